"""Plant a bug in a process of its own, run the tests that must notice, and say which did."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct

from tests.mutants.plant import VARIABLE
from tests.mutants.planted import Mutant

_ROOT = Path(__file__).resolve().parents[2]
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=no")
_FAILED = re.compile(r"^FAILED (\S+?::\w+)", re.MULTILINE)


class Hunt(Struct, frozen=True):
    """What became of a mutant: the tests that failed, those that should have, and how long it took."""

    name: str
    killers: tuple[str, ...]
    silent: tuple[str, ...]
    seconds: float

    @property
    def killed(self) -> bool:
        """Tell whether every test that is named for it failed."""
        return not self.silent


def hunt(mutant: Mutant) -> Hunt:
    """Run a mutant's tests with the bug planted."""
    started = time.monotonic()
    command = [*_PYTEST, "-p", "tests.mutants.plant", *mutant.tests]
    done = subprocess.run(command, cwd=_ROOT, env={**os.environ, VARIABLE: mutant.name}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    failed = set(_FAILED.findall(done.stdout)) if done.returncode == 1 else set()
    names = {test: test.partition("[")[0] for test in mutant.tests}
    return Hunt(
        mutant.name, tuple(t for t, name in names.items() if name in failed),
        tuple(t for t, name in names.items() if name not in failed), time.monotonic() - started,
    )  # fmt: skip


def sound(tests: list[str]) -> str:
    """Run tests without any bug: a test that fails anyway proves nothing. Returns what pytest says of a failure."""
    done = subprocess.run([*_PYTEST, *tests], cwd=_ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
