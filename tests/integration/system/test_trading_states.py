"""Trading states and limits of a running trader, changed from the command line."""

import os
import signal
from pathlib import Path

from robotrader import bootstrap
from robotrader.model import Action, SetLimits, TradingState
from tests.integration.system.running import eventually, robotrader
from tests.integration.system.test_kill import AAPL, Place, place_opened

_SLOW = ("--speed", "4")
"""Steps a second: the bars must not end before the commands do."""


def states(account: Place) -> dict[tuple[str | None, str | None], TradingState]:
    return {(s.strategy, s.instrument): s.state for s in bootstrap.reader(account.state).trading_state()}


def test_one_symbol_and_one_strategy_stop_by_themselves_and_go_on_by_themselves(place: Path) -> None:
    with place_opened(place, *_SLOW) as account, account.trader():
        assert eventually(lambda: account.holds() > 0)
        ask = [robotrader(*command.split(), "--reason", "a drill", state=account.state)
               for command in ("halt --symbol AAPL", "reduce --strategy hold")]  # fmt: skip
        assert [(done.code, done.json["trading_state"]) for done in ask] == [(0, "ACTIVE"), (0, "ACTIVE")]
        assert states(account) == {(None, AAPL): TradingState.HALTED, ("hold", None): TradingState.REDUCING}
        assert not (account.state / "HALT").exists()
        refused = robotrader("resume", "--symbol", "MSFT", "--reason", "why not", state=account.state)
        assert refused.code == 4
        assert "what is: AAPL.NASDAQ, hold" in refused.json["error"]
        for scope in ("--symbol AAPL", "--strategy hold"):
            assert robotrader("resume", *scope.split(), "--reason", "over", state=account.state).code == 0
        assert set(states(account).values()) == {TradingState.ACTIVE}
        unknown = robotrader("halt", "--strategy", "other", state=account.state)
        assert (unknown.code, "hold" in unknown.err) == (2, True)


def test_what_is_locked_takes_a_second_person(place: Path) -> None:
    with place_opened(place, *_SLOW) as account, account.trader() as trader:
        assert eventually(lambda: account.holds() > 0)
        locked = robotrader("halt", "--lock", "--reason", "a stranger", state=account.state)
        assert (locked.code, locked.json["trading_state"], (account.state / "HALT").exists()) == (0, "LOCKED", True)
        first = robotrader("resume", "--reason", "all clear", state=account.state)
        assert (first.code, first.json["trading_state"]) == (8, "LOCKED")
        account.freeze(trader)  # a bar is a day here: only what it finds at once is within a quarter of an hour
        for person in ("cli:anna", "cli:ben"):
            bootstrap.request(account.state, Action.RESUME, "all clear", person, console=True)
        os.kill(trader.pid, signal.SIGCONT)
        assert eventually(lambda: states(account)[None, None] is TradingState.ACTIVE)


def test_a_limit_is_tightened_at_once_and_loosened_by_an_approver_only(place: Path) -> None:
    with place_opened(place, *_SLOW) as account:
        config = ("--config", account.settings())

        def change(text: str, *options: str) -> tuple[int, list[str]]:
            done = robotrader("risk", "set", text, "--reason", "a drill", *options, *config, state=account.state)
            return done.code, done.json.get("changed", [])

        with account.trader():
            assert eventually(lambda: account.holds() > 0)
            assert change("max_order_quantity=10") == (0, ["max_order_quantity"])
            assert change("max_order_quantity=20") == (4, [])
            assert change("max_order_quantity=20", "--approver", "anna") == (0, ["max_order_quantity"])
            assert change("max_order_quantities=20")[0] == 5
            shown = robotrader("risk", "limits", *config, state=account.state).json["limits"]
            (row,) = [r for r in shown if r["check"] == "max_order_quantity"]
            assert (row["settings"]["max_order_quantity"], "approved by anna" in row["origin"]) == (20, True)
        with account.trader():
            assert eventually(lambda: len(bootstrap.reader(account.state).commands(SetLimits)) == 3)
        assert robotrader("db", "verify", state=account.state).json["ok"] is True
