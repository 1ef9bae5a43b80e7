"""What a backtest takes for granted, and what it says of it."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.cli.commands import ask, run

AAPL = ("backtest", "sma_crossover", "--data", "sample:AAPL", "--end", "2004-12-31")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_the_worse_is_assumed_unless_told_and_named(state: Path) -> None:
    plain = ask(*AAPL, state=state)
    said = plain["assumptions"]
    assert (said["half_spread_bps"], said["impact"], said["borrow_rate"]) == ("1", "1.0", "0.01")
    assert said["stop_and_target_in_one_bar"] == "the stop"
    free = ask(*AAPL, "--impact", "0", "--slippage", "none", "--participation", "0.5", state=state)
    assert free["assumptions"]["participation"] == "0.5"
    assert Decimal(free["slippage_cost"]) == 0 < Decimal(plain["slippage_cost"])


@pytest.mark.parametrize(
    "exits", [("--stop-loss", "percent:0.03"), ("--stop-loss", "trailing_percent:0.03"), ("--time-exit", "5d")]
)
def test_both_engines_play_exits_alike(exits: tuple[str, str], state: Path) -> None:
    plain, played = ask(*AAPL, state=state), ask(*AAPL, *exits, state=state)
    assert played["fills_hash"] != plain["fills_hash"]
    assert played["engine"] == "event"
    fast = ask(*AAPL, *exits, "--engine", "fast", state=state)
    assert all(fast[name] == played[name] for name in ("orders_hash", "fills_hash", "final_equity", "denied"))


def test_a_stop_that_cannot_be_read_is_refused(state: Path) -> None:
    assert run(*AAPL, "--stop-loss", "5 %", state=state).code == 5
