"""A command imports what it needs: each heavy library that it does not touch would cost it a share of a second."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from robotrader import bootstrap

HEAVY = ("coverage", "dataframely", "ib_async", "numba", "pandas", "polars", "quart", "scipy", "sqlalchemy", "talib")
CODE = """
import json, sys
from robotrader.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""


def loaded(*arguments: str, state: Path) -> list[str]:
    """Run the command line and return which heavy libraries it has imported; calendars are kept from a run before."""
    bootstrap.sessions("2024-01-02", "2024-01-05")
    command = [sys.executable, "-c", CODE.format(heavy=HEAVY), *arguments, "--state", str(state), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("engine", "expected"), [("auto", []), ("fast", ["numba"])])
def test_a_backtest_of_daily_bars_imports_no_library_that_it_does_not_use(
    tmp_path: Path, engine: str, expected: list[str]
) -> None:
    arguments = ("backtest", "sma_crossover", "--data", "sample:AAPL", "--impact", "0", "--borrow", "0")
    assert loaded(*arguments, "--engine", engine, state=tmp_path) == expected


def test_a_file_of_clean_bars_is_judged_with_polars_alone(tmp_path: Path) -> None:
    days = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
    rows = [f"SPY,{day},{10 + n},{11 + n},{9 + n},{10 + n},100" for n, day in enumerate(days)]
    file = tmp_path / "bars.csv"
    file.write_text("\n".join(["symbol,timestamp,open,high,low,close,volume", *rows]), encoding="utf-8")
    assert loaded("backtest", "sma_crossover", "--data", str(file), state=tmp_path) == ["polars"]


def test_a_users_own_compiled_code_has_linear_algebra_beside_the_kernel() -> None:
    code = """
import robotrader.research.kernel_layout, numba, numpy as np
print(numba.njit(lambda a: np.dot(np.linalg.inv(a), a))(np.eye(2) * 2).tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[[1.0, 0.0], [0.0, 1.0]]\n", done.stderr
