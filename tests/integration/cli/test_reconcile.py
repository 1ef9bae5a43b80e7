"""`robotrader reconcile`: a trade made in TWS becomes a ticket that stops trading until it is resolved."""

import json
from pathlib import Path

import pytest

from robotrader.cli.read import effective_state
from robotrader.model import Action, TradingState
from robotrader.ports import RequestRow
from tests.integration.cli.commands import ask, run
from tests.integration.cli.test_control import CONFIG
from tests.integration.system.running import eventually, process

FAULTS = """
faults:
  - {on: placeOrder, do: manual-order, symbol: AAPL, quantity: 7, side: SELL, times: 1}
"""


def test_without_a_trader_nothing_can_be_compared(tmp_path: Path) -> None:
    assert ask("reconcile", state=tmp_path / "state", code=3) == {
        "schema_version": 1, "ok": False, "breaks": [],
        "error": "no trader runs on this state: start one, it compares at once",
    }  # fmt: skip


def test_a_comparison_that_waits_leaves_the_trading_state_alone() -> None:
    waits = RequestRow(id="r", ts=0, action=Action.RECONCILE, reason="asked for", actor="me")
    halt = RequestRow(id="h", ts=0, action=Action.HALT, reason="lunch", actor="me")
    assert effective_state((), [waits], flag=None, running=True) is TradingState.ACTIVE
    assert effective_state((), [waits, halt], flag=None, running=False) is TradingState.HALTED


def test_a_ticket_that_is_not_open_cannot_be_resolved(tmp_path: Path) -> None:
    assert run("reconcile", "resolve", "B7", "--reason", "x", state=tmp_path / "state").code == 2
    assert run("reconcile", "resolve", "B7", state=tmp_path / "state").code == 2


@pytest.mark.slow
def test_a_manual_trade_becomes_a_ticket_that_stops_trading_until_it_is_resolved(tmp_path: Path) -> None:
    state, config, faults = tmp_path / "state", tmp_path / "trade.toml", tmp_path / "faults.yaml"
    state.mkdir()
    faults.write_text(FAULTS)
    with process("gateway-sim", "--lock-step", "--speed", "20", "--faults", str(faults), "--json", state=state) as sim:
        assert sim.stdout is not None
        config.write_text(CONFIG.format(port=json.loads(sim.stdout.readline())["port"]))
        with process("trade", "--config", str(config), "--quiet", state=state):
            # long enough for the execution to be no longer told: only the position shows it
            assert eventually(lambda: len(ask("fills", state=state)["fills"]) >= 8)
            found = ask("reconcile", state=state, code=1)
            [ticket] = found["breaks"]
            difference = ticket["broker"] - ticket["ledger"]
            assert (found["ok"], ticket["instrument"], difference) == (False, "AAPL.NASDAQ", -7)
            status = ask("status", state=state)
            assert (status["trading_state"], "break" in {a["code"] for a in status["alerts"]}) == ("HALTED", True)
            assert run("resume", "--reason", "go on", state=state).code == 4
            resolved = ask("reconcile", "resolve", ticket["id"], "--reason", "I sold these", state=state)
            assert (resolved["ok"], resolved["breaks"]) == (True, [])
            assert ask("resume", "--reason", "explained", state=state)["trading_state"] == "ACTIVE"
            assert ask("reconcile", state=state)["ok"]
    assert ask("db", "verify", state=state)["ok"]
