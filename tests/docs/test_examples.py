"""The scripts of `examples/` do what they say, in a folder and with a state of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "first_steps": ("AAPL.NASDAQ, GOOG.NASDAQ", "sharpe 0.", "at twice the costs 0.", "first_steps.html"),
    "own_strategy": ("Dip: total_return", "deflated Sharpe", "31 trials so far"),
}


def test_every_example_is_tried_and_short() -> None:
    assert {path.stem for path in EXAMPLES} == set(SAYS)
    assert all(len(path.read_text("utf-8").splitlines()) < 60 for path in EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_writes_nowhere_but_where_it_is(path: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "ROBOTRADER_STATE": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, path], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [said for said in SAYS[path.stem] if said not in done.stdout] == []
    assert done.stderr == ""
    written = {p.name for p in tmp_path.iterdir()}
    assert written == {"state", *([f"{path.stem}.html"] if path.stem == "first_steps" else [])}
