"""The dashboard's third-party files are exactly those that were looked at and committed as ``VENDOR.json``."""

import hashlib
import json
from pathlib import Path

import pytest

from scripts.build_assets import ROOT, WEB, AssetError, Package, copy_checked, is_current, read_vendor

TEXT = b"draw()"
STATED: dict[str, Package] = {
    "chart": {"version": "1.0.0", "licence": "MIT", "files": {"dist/chart.js": hashlib.sha256(TEXT).hexdigest()}}
}


def fetched(folder: Path, *, version: str = "1.0.0", licence: str = "MIT", text: bytes = TEXT) -> Path:
    """Lay out what npm would fetch."""
    package = folder / "node_modules" / "chart"
    (package / "dist").mkdir(parents=True)
    (package / "dist" / "chart.js").write_bytes(text)
    (package / "package.json").write_text(json.dumps({"version": version, "license": licence}), encoding="utf-8")
    return folder / "node_modules"


def test_stated_files_are_copied_and_others_removed(tmp_path: Path) -> None:
    target = tmp_path / "vendor"
    target.mkdir()
    (target / "old.js").touch()
    assert not is_current(STATED, target)
    copy_checked(STATED, fetched(tmp_path), target)
    assert [path.relative_to(target).as_posix() for path in target.rglob("*.*")] == ["chart/chart.js"]
    assert is_current(STATED, target)
    (target / "chart" / "chart.js").write_bytes(b"steal()")
    assert not is_current(STATED, target)


@pytest.mark.parametrize(
    ("what", "node_modules"),
    [
        ("SHA-256", {"text": b"steal()"}),
        ("version", {"version": "1.0.1"}),
        ("licence", {"licence": "UNLICENSED"}),
    ],
)
def test_anything_else_stops_the_build(tmp_path: Path, what: str, node_modules: dict[str, str | bytes]) -> None:
    with pytest.raises(AssetError, match=what):
        copy_checked(STATED, fetched(tmp_path, **node_modules), tmp_path / "vendor")  # type: ignore[arg-type]
    assert not (tmp_path / "vendor").exists()


def test_the_npm_lock_and_the_statement_agree() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    asked = json.loads((ROOT / "package.json").read_text("utf-8"))["dependencies"]
    stated = {name: package["version"] for name, package in read_vendor(WEB / "VENDOR.json").items()}
    assert stated == asked == {name: lock[f"node_modules/{name}"]["version"] for name in asked}


def test_the_assets_are_built() -> None:
    assert is_current(read_vendor(WEB / "VENDOR.json"), WEB / "static" / "vendor"), "run `make assets`"
