"""What users get is the wheel: built, installed in a clean environment and used there without network or Node.js."""

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scripts.build_assets import WEB, read_vendor, shipped_name

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe.py")
VENDOR = read_vendor(WEB / "VENDOR.json")
ASSETS = [shipped_name(name, file) for name, package in VENDOR.items() for file in package["files"]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # a first run may have to fetch the dependencies
]


def run(command: Sequence[str | Path], environ: dict[str, str]) -> str:
    """Run a command outside the source tree; its output is in the failure."""
    result = subprocess.run(command, cwd="/", env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def network_namespace() -> list[str]:
    """Give the command that starts a program without network; empty where the machine does not allow it."""
    namespace = [shutil.which("unshare") or "", "--net", "--map-root-user"]
    allowed = namespace[0] and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    return namespace if allowed else []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, users_environ: dict[str, str]) -> Path:
    """Build the wheel from a copy, as from a release's sources plus the built assets."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copyfile(ROOT / name, copy / name)
    build = "import os, sys; os.chdir(sys.argv.pop(1)); from hatchling.cli import hatchling; sys.exit(hatchling())"
    run([sys.executable, "-c", build, copy, "build", "-t", "wheel", "-d", folder], users_environ)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, users_environ: dict[str, str]) -> Iterator[Path]:
    """Install the locked dependencies and the wheel in a clean environment; give its Python."""
    environment = wheel.parent / "venv"
    python = environment / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    locked: list[str | Path] = ["--quiet", "--require-hashes", "-r", ROOT / "requirements" / "base.txt"]
    run([sys.executable, "-m", "venv", environment], users_environ)
    run([uv, "pip", "install", "--python", python, *locked], users_environ)
    run([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel], users_environ)
    run([python, "-m", "pip", "--disable-pip-version-check", "check"], users_environ)
    yield python
    shutil.rmtree(environment)  # pytest keeps the folders of three runs


def test_the_wheel_holds_the_whole_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "robotrader").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {f"robotrader/web/static/vendor/{asset}" for asset in ASSETS} <= names
    assert "robotrader/py.typed" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


@pytest.mark.skipif(
    not (ROOT / "src/robotrader/cli/main.py").exists(),
    reason="the command line is not written yet (src/robotrader/cli)",
)
def test_the_installed_program_works_alone(python: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": str(python.parent), "LANG": "C.UTF-8"}
    namespace = network_namespace()
    program = [*namespace, python, "-I", PROBE, "isolated" if namespace else "open", tmp_path / "state", *ASSETS]
    result = json.loads(run(program, environ))
    assert result["isolated"] or not namespace
    assert result["node"] is None
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert version in result["version"]
    assert "backtest" in result["help"]
    assert result["backtest"]["fills"] > 0
    assert result["backtest"]["bars"] > 0
    for name, package in VENDOR.items():
        for file in package["files"]:
            served = result["dashboard"]["sizes"][shipped_name(name, file)]
            assert served == (WEB / "static" / "vendor" / shipped_name(name, file)).stat().st_size
