"""What no file of this repository may hold: addresses of registries, one machine's paths, names that say nothing."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {"__pycache__", "node_modules", "build", "dist"}
OUR_DOT_FOLDERS = {".ci", ".github"}
MACHINE_PATH = re.compile(r"(?<![\w.~}/-])/(?:work|root|Users|home/\w+)/")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|debian\.org|ubuntu\.com"
    r"|--(?:(?:extra-)?index-url|find-links|trusted-host)"
)
EMPTY_WORDS = {"util", "utils", "common", "helper", "helpers", "misc", "base", "manager", "handler"}


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Walk what the repository holds: no caches, environments or built files."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in OUR_DOT_FOLDERS
        if path.is_dir() and not hidden and path.name not in SKIPPED and path.parts[-2:] != ("static", "vendor"):
            yield from files(path)
        elif path.is_file():
            yield path


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text file's name and content."""
    for path in files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a binary file


def test_the_walk_sees_the_repository() -> None:
    names = {name for name, _ in texts()}
    assert {"Makefile", ".ci/run", ".npmrc", "requirements/dev.txt", "tests/architecture/test_repo_hygiene.py"} <= names


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine path", "registry"])
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() for match in pattern.finditer(text)]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_forbid() -> None:
    for name in ("root", "work", "Users", "home/someone"):
        assert MACHINE_PATH.search(f'path = "/{name}/x"')
    for allowed in ("src/work/x", "https://example.org/work/x", "../root/x"):
        assert not MACHINE_PATH.search(allowed)
    for host in ("pypi", "debian"):
        assert REGISTRY.search(f"https://{host}.org/simple")
    assert REGISTRY.search("-" * 2 + "index-url x")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_nothing_ignored_is_committed() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert not found, f"{len(found)} ignored files are in the repository, first {found[0]}: git rm -r --cached"


def test_the_npm_lock_holds_no_addresses() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry or "integrity" not in entry] == []


def test_the_locks_agree_and_pin_every_hash() -> None:
    locks = {path.stem: path.read_text("utf-8") for path in (ROOT / "requirements").glob("*.txt")}
    pins = {name: set(re.findall(r"^(\S+==\S+.*?) \\$", lock, re.MULTILINE)) for name, lock in locks.items()}
    assert pins["base"] < pins["dev"]
    assert pins["build"] < pins["dev"]
    for name, lock in locks.items():
        unhashed = re.findall(r"^\S+==\S+[^\\\n]*$", lock, re.MULTILINE)
        assert not unhashed, (name, unhashed)


def says_nothing(name: str) -> bool:
    """Tell whether a module is named after nothing in the field: ``order_manager``, ``base_strategy``, ``utils``."""
    return bool(EMPTY_WORDS & set(name.lower().strip("_").split("_")))


def test_modules_are_named_from_the_field() -> None:
    source = ROOT / "src" / "robotrader"
    parts = {part for path in files(source) for part in path.relative_to(source).with_suffix("").parts}
    assert [part for part in parts if says_nothing(part)] == []
    assert all(map(says_nothing, ["utils", "order_manager", "base_strategy", "_helpers"]))
    assert not any(map(says_nothing, ["ledger", "database", "commonwealth", "__init__"]))


def forbidden_in_tests(source: str) -> list[str]:
    """List mocks and sleeps in a test module."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in {"mock", "unittest.mock"}]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in names if name == "time.sleep" or name.startswith(("unittest.mock", "mock."))]
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {"time.sleep", "unittest.mock"}:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.arg) and node.arg == "mocker":
            found.append("the mocker fixture")
    return found


def test_tests_neither_mock_nor_sleep() -> None:
    found = {
        p.name: bad
        for p in files(ROOT / "tests")
        if p.suffix == ".py"
        if (bad := forbidden_in_tests(p.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import unittest.mock",
        "from unittest import mock",
        "from unittest.mock import Mock",
        "import time\ntime.sleep(1)",
        "from time import sleep",
        "def test(mocker): ...",
    ],
)
def test_mocks_and_sleeps_are_found(source: str) -> None:
    assert forbidden_in_tests(source)
