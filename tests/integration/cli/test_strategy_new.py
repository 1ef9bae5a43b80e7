"""`strategy new`: what it writes works as it is, and what does not fit is refused before anything is written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.commands import run
from tests.integration.cli.inside import ask


def test_a_new_strategy_passes_its_checks_and_its_own_test_and_trades(state: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my strategies"
    answer = ask("strategy", "new", "slow_trend", "--folder", str(folder), state=state)
    file, test = folder / "slow_trend.py", folder / "test_slow_trend.py"
    assert answer["strategy"] == f"{file}:SlowTrend"
    assert answer["files"] == [str(file), str(test)]
    assert answer["next"][0] == f"robotrader strategy check '{file}:SlowTrend'"
    checked = ask("strategy", "check", answer["strategy"], state=state)
    assert checked["passed"] is True
    assert {rule["outcome"] for rule in checked["rules"]} == {"passed"}
    played = ask("backtest", answer["strategy"], "--data", "sample:IBM", "-p", "length=20", state=state)
    assert played["fills"] > 0
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)], cwd=folder,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_its_test_fails_once_the_strategy_looks_ahead(state: Path, tmp_path: Path) -> None:
    ask("strategy", "new", "ahead", "--folder", str(tmp_path), state=state)
    file = tmp_path / "ahead.py"
    text = file.read_text("utf-8")
    assert "return strengths\n" in text
    file.write_text(text.replace("] = wanted\n", "] = np.roll(wanted, -1, axis=0)\n"), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_ahead.py"],
                          cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "truncation: later bars left out" in done.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Trend", "expected small letters"), ("2fast", "expected small letters"), ("a-b", "expected small letters"),
        ("../up", "expected small letters"), ("a__b", "expected small letters"),
        ("momentum", "the library has one of that name"), ("panel", "its class would hide"),
        ("class", "it is a word of Python"), ("none", "it is a word of Python"),
        ("numpy", "its file would hide the Python module"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_fit_is_refused_and_nothing_is_written(
    name: str, why: str, state: Path, tmp_path: Path
) -> None:
    refused = ask("strategy", "new", name, "--folder", str(tmp_path / "new"), state=state, code=5)
    assert refused["kind"] == "ConfigError"
    assert why in refused["error"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", ["mine.py", "test_mine.py"])
def test_no_file_is_overwritten(there: str, state: Path, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine", encoding="utf-8")
    refused = ask("strategy", "new", "mine", "--folder", str(tmp_path), state=state, code=5)
    assert f"{tmp_path / there} exist" in refused["error"]
    assert [file.read_text("utf-8") for file in tmp_path.iterdir()] == ["mine"]


def test_people_read_what_was_written_and_what_comes_next(tmp_path: Path) -> None:
    ran = run("strategy", "new", "mine", "--folder", str(tmp_path))
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"wrote {tmp_path}/mine.py", f"wrote {tmp_path}/test_mine.py", "", "next:",
        f"  robotrader strategy check {tmp_path}/mine.py:Mine", f"  pytest {tmp_path}/test_mine.py",
        f"  robotrader backtest {tmp_path}/mine.py:Mine --data sample:all",
    ]  # fmt: skip
