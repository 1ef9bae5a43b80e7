"""A volatility shock shrinks the book at the next decision."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from robotrader import bootstrap
from tests.differential.engines import strategies
from tests.integration.cli.inside import ask

QUIET, WILD, WINDOW = 100, 20, 63
CASH = 1_000_000.0
FREE = ("--impact", "0", "--slippage", "none", "--commission", "none", "--participation", "1")


def closes() -> list[float]:
    """Return closes that swing by 1 %, then by a fifth."""
    return [100.0 + n % 2 for n in range(QUIET)] + [80.0 if n % 2 else 100.0 for n in range(WILD)]


def expected(prices: list[float]) -> list[int]:
    """Return the units that each close asks for; each is traded at the next open, which is that close."""
    cash, held, out = CASH, 0, []
    for n, price in enumerate(prices):
        window = np.array(prices[max(n + 1 - WINDOW, 0) : n + 1])
        share = 0.0
        if len(window) == WINDOW:
            share = min(0.1 / (np.diff(window) / window[:-1]).std(ddof=1) / 252**0.5, 1.0)
        wanted = int(share * (cash + held * price) / price)
        cash, held = cash - (wanted - held) * price, wanted
        out.append(wanted)
    return out


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Write daily bars, each of which opens where the one before closed."""
    prices, days = closes(), bootstrap.sessions("2024-01-01", "2024-12-31").dates
    rows = [
        f"{day},{opened},{max(opened, close)},{min(opened, close)},{close},100000000"
        for day, opened, close in zip(days, [prices[0], *prices], prices, strict=False)
    ]
    file = tmp_path / "shock.csv"
    file.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *rows, ""]), "utf-8")
    return file


def test_a_volatility_shock_shrinks_the_book_at_the_next_decision(bars: Path, state: Path, tmp_path: Path) -> None:
    hold = f"{strategies.__file__}:Hold"
    found = ask("backtest", hold, "--data", str(bars), "--symbol", "SPY", "--sizer", "volatility:0.1", "--resize",
                "every_bar", "--cash", str(CASH), *FREE, "--out", str(tmp_path / "run"), state=state)  # fmt: skip
    assert (found["bars"], found["engine"]) == (QUIET + WILD, "event")
    fills = pl.read_parquet(tmp_path / "run" / "fills.parquet")
    signed = [q if side == "BUY" else -q for q, side in fills.select("quantity", "side").iter_rows()]
    wanted = expected(closes())
    assert signed == [step for step in np.diff([0, *wanted[:-1]]).tolist() if step]
    before, after = wanted[QUIET], wanted[QUIET + 1]
    assert (wanted[WINDOW - 2], after < before / 2) == (0, True), "nothing is bought before the window is full"
