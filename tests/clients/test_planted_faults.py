"""The matrix is worth something: a simulator that is wrong in one field fails it."""

import sys
from pathlib import Path

import pytest

from tests.clients.matrix import SESSION, hold
from tests.clients.mutant import MUTANTS
from tests.clients.script import faults


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_fails_the_matrix(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    command = (sys.executable, "-m", "tests.clients.mutant", name)
    found = faults(SESSION, hold(mutant.client, mutant.version, tmp_path, command=command))
    sign = mutant.sign or name.partition(" ")[0].lower()
    assert [line for line in found if sign in line or sign in line.lower().replace(" ", "")], "\n".join(found)
