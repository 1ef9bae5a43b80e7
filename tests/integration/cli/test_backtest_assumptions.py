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


def test_stops_are_played_by_the_event_engine_only(state: Path) -> None:
    plain, stopped = ask(*AAPL, state=state), ask(*AAPL, "--stop-loss", "percent:0.03", state=state)
    assert stopped["orders"] > plain["orders"]
    assert stopped["fills_hash"] != plain["fills_hash"]
    assert stopped["engine"] == "event"
    refused = ask(*AAPL, "--stop-loss", "percent:0.03", "--engine", "fast", state=state, code=5)
    assert "stop_loss" in refused["error"]
    assert run(*AAPL, "--stop-loss", "5 %", state=state).code == 5
