"""The import contracts of ``pyproject.toml`` hold for the source, and each of them can fail.

The second half lays out an empty house with the names of ``docs/architecture.md``, adds one forbidden import and
expects the contract that names it to break.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
CORE = ["data", "engine.trader", "execution", "features", "model", "portfolio", "risk", "simulation.venue", "strategy"]
SHELL = [
    "adapters.ibkr",
    "adapters.sql",
    "api",
    "bootstrap",
    "cli",
    "config",
    "engine.runner",
    "learning",
    "monitoring",
]
HOUSE = [*CORE, *SHELL, "ports", "research", "simulation.costs", "web"]


def lint(folder: Path) -> tuple[int, str]:
    """Run import-linter with our contracts on the package ``robotrader`` below `folder`."""
    command: list[str | Path] = [LINT, "--config", ROOT / "pyproject.toml", "--no-cache"]
    environ = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}
    result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Lay out a package with every name of the architecture and no import."""
    for name in HOUSE:
        package = tmp_path / "robotrader"
        for part in name.split("."):
            package.mkdir(exist_ok=True)
            (package / "__init__.py").touch()
            package /= part
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
    return tmp_path


def test_the_source_keeps_the_contracts() -> None:
    code, output = lint(ROOT / "src")
    assert code == 0, output


def test_an_empty_house_keeps_them(house: Path) -> None:
    code, output = lint(house)
    assert code == 0, output


LAYERS, PURE, ADAPTERS, IB, CYCLES = (
    "Imports point down",
    "The core is pure",
    "Only bootstrap",
    "Interactive",
    "No cycles",
)


@pytest.mark.parametrize(
    ("module", "imported", "broken"),
    [
        ("model/x.py", "robotrader.ports", LAYERS),
        ("risk/x.py", "robotrader.portfolio", LAYERS),
        ("web/x.py", "robotrader.monitoring", LAYERS),
        ("engine/x.py", "robotrader.research", LAYERS),
        ("extra/__init__.py", "robotrader.model", LAYERS),  # a package without a place
        ("model/x.py", "time", PURE),
        ("features/x.py", "pandas", PURE),
        ("execution/x.py", "logging", PURE),
        ("engine/trader/x.py", "asyncio", PURE),
        ("simulation/venue/x.py", "random", PURE),
        ("cli/x.py", "robotrader.adapters.sql", ADAPTERS),
        ("cli/x.py", "ib_async", IB),
        ("adapters/sql/x.py", "ib_async", IB),
    ],
)
def test_a_forbidden_import_breaks_its_contract(house: Path, module: str, imported: str, broken: str) -> None:
    path = house / "robotrader" / module
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"import {imported}\n", encoding="utf-8")
    code, output = lint(house)
    assert code == 1, output
    assert [line for line in output.splitlines() if line.startswith(broken) and "BROKEN" in line], output


def test_purity_is_checked_through_other_modules(house: Path) -> None:
    (house / "robotrader/simulation/venue/x.py").write_text("import robotrader.simulation.costs\n", encoding="utf-8")
    (house / "robotrader/simulation/costs/x.py").write_text("import random\n", encoding="utf-8")
    (house / "robotrader/simulation/costs/__init__.py").write_text(
        "import robotrader.simulation.costs.x\n", encoding="utf-8"
    )
    code, output = lint(house)
    assert code == 1, output
    assert PURE in output


def test_a_cycle_inside_a_package_is_found(house: Path) -> None:
    (house / "robotrader/model/a.py").write_text("import robotrader.model.b\n", encoding="utf-8")
    (house / "robotrader/model/b.py").write_text("import robotrader.model.a\n", encoding="utf-8")
    code, output = lint(house)
    assert code == 1, output
    assert [line for line in output.splitlines() if line.startswith(CYCLES) and "BROKEN" in line], output
