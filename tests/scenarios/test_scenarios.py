"""Every scenario holds, and fails under the bug that its file names."""

from pathlib import Path

import pytest

from tests.scenarios.judge import failures
from tests.scenarios.mutants import MUTANTS
from tests.scenarios.play import play
from tests.scenarios.script import all_files, read

FILES = pytest.mark.parametrize("file", all_files(), ids=lambda f: f.stem)


@FILES
def test_the_scenario_holds(file: Path, tmp_path: Path) -> None:
    scenario = read(file)
    assert failures(scenario, play(scenario, tmp_path)) == []


@pytest.mark.parametrize("file", all_files()[::4], ids=lambda f: f.stem)  # `make scenarios` plays all of them
def test_the_scenario_fails_under_its_mutant(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = read(file)
    MUTANTS[scenario.mutant](monkeypatch)
    assert failures(scenario, play(scenario, tmp_path)) != []


def test_a_file_is_named_by_its_scenario_and_every_mutant_is_used() -> None:
    scenarios = {file: read(file) for file in all_files()}
    assert [f.name.partition("-")[0] for f in scenarios] == [s.id for s in scenarios.values()]
    assert {s.mutant for s in scenarios.values()} == set(MUTANTS)
