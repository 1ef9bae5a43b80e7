"""What became of each mutant, which survivors are explained, and a second look at those that are not."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from msgspec import Struct, structs
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from tests.mutation.undecorate import SUFFIX, undecorated

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("survivors.toml")
SLOW = ("tests/property/test_corporate.py", "tests/property/test_gate.py")
"""Tests that are asked only about what the others let through."""


class Mutant(Struct, frozen=True):
    """One change: mutmut's name for it, the file, the function and its changed lines, and mutmut's word on it."""

    name: str
    path: str
    text: str
    fate: str

    @property
    def module(self) -> str:
        """Return the module without the package's name."""
        return self.path.removeprefix("src/robotrader/").removesuffix(".py").replace("/", ".")

    @property
    def survives(self) -> bool:
        """Tell whether no test noticed; a test that hangs has."""
        return self.fate not in {"killed", "timeout"}


def tree(folder: Path) -> Path:
    """Copy what the run needs, and lay bare what is to be mutated."""
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    shutil.copy2(ROOT / "pyproject.toml", folder)
    for file in (folder / "src").rglob("*.py"):
        if any(fnmatch(str(file.relative_to(folder)), pattern) for pattern in _config()["only_mutate"]):
            file.write_text(undecorated(file.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def _config() -> dict[str, Any]:
    config: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    return config


def explained() -> dict[str, str]:
    """Return the survivors that are known, each with its reason."""
    groups = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["equivalent"]
    return {text: group["why"] for group in groups for text in group["mutants"]}


def mutants(folder: Path) -> list[Mutant]:
    """Read what mutmut left in `folder`; mutants that it was not asked for are left out."""
    with contextlib.chdir(folder):
        found = []
        for meta in sorted(Path("mutants").rglob("*.py.meta")):
            path = str(meta.relative_to("mutants").with_suffix(""))
            for name, code in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
                if code is not None:
                    found.append(_mutant(name, path, status_by_exit_code[code]))
        return found


def _mutant(name: str, path: str, fate: str) -> Mutant:
    """Describe a mutant by its function and changed lines: its number moves with every edit."""
    if fate == "killed":
        return Mutant(name, path, "", fate)
    function, of_class = orig_function_and_class_names_from_key(name)
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    changed = [line[1:].strip() for line in lines if line.startswith("+")]
    changed = changed or [f"without {line[1:].strip()}" for line in lines if line.startswith("-")]
    module = name.rpartition(".")[0].removeprefix("robotrader.")
    where = ".".join(part for part in (module, of_class, function.removesuffix(SUFFIX)) if part)
    return Mutant(name, path, f"{where}: {' '.join(changed)}", fate)


def second_look(folder: Path, mutant: Mutant) -> Mutant:
    """Run all the tests in a fresh process in which the mutant is there from the first import on."""
    config, mutated = _config(), folder / "mutants"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:randomly", "--timeout=60",
         *config["pytest_add_cli_args"], *config["pytest_add_cli_args_test_selection"], *SLOW],
        env={**os.environ, "PYTHONPATH": str(mutated / "src"), "MUTANT_UNDER_TEST": mutant.name}, cwd=mutated,
        capture_output=True, check=False,
    )  # fmt: skip
    return structs.replace(mutant, fate="killed" if done.returncode else "survived")
