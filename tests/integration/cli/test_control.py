"""Halt, reduce, resume: with no trader, with a broken or locked database, and with a trader that runs."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from robotrader import bootstrap
from robotrader.model import OrderState
from tests.integration.cli.commands import ask, run
from tests.integration.cli.conftest import Left
from tests.integration.system.running import eventually, process

CONFIG = """
mode = "paper"
[broker]
port = {port}
account = "DU1234567"
lock_step = true
[data]
universe = ["AAPL.NASDAQ", "IBM.NYSE"]
[risk]
profile = "research"
[[strategy]]
id = "sma"
source = "sma_crossover"
universe = ["AAPL.NASDAQ", "IBM.NYSE"]
capital = "1000000"
parameters = {{ fast = 1, slow = 2 }}
"""
SLOW = "0.1"
"""Sessions a second: an order decided at a close waits ten seconds for the next open."""


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the database's write lock."""
    other = sqlite3.connect(state / "journal.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def test_a_halt_on_an_empty_state_is_a_flag(state: Path) -> None:
    answer = ask("halt", "--reason", "storm", state=state)
    assert (answer["trading_state"], answer["orders_canceled"], answer["flat"]) == ("HALTED", 0, True)
    assert "storm" in (state / "HALT").read_text()
    assert ask("status", state=state)["trading_state"] == "HALTED"


def test_a_halt_is_idempotent_and_keeps_its_first_reason(left: Left) -> None:
    first, again = (ask("halt", "--reason", reason, state=left.state) for reason in ("storm", "again"))
    assert first["trading_state"] == again["trading_state"] == "HALTED"
    assert first["request_id"] != again["request_id"]
    assert (left.state / "HALT").read_text().strip() == "storm"
    assert first["orders_canceled"] is None  # one order is in the dark, and nobody runs who could cancel it
    assert first["flat"] is False


def test_resume_wants_a_reason_and_lowers_the_flag(left: Left) -> None:
    ask("halt", state=left.state)
    assert run("resume", state=left.state).code == 2
    assert run("resume", "--reason", " ", state=left.state).code == 2
    assert ask("status", state=left.state)["trading_state"] == "HALTED"
    assert ask("resume", "--reason", "all clear", state=left.state)["trading_state"] == "ACTIVE"
    assert not (left.state / "HALT").exists()
    assert ask("status", state=left.state)["trading_state"] == "ACTIVE"


def test_resume_on_an_empty_state_is_no_error(state: Path) -> None:
    assert ask("resume", "--reason", "nothing to fear", state=state)["trading_state"] == "ACTIVE"
    assert not (state / "journal.sqlite").exists()


@pytest.mark.parametrize("recorded", [False, True])
def test_reduce_waits_for_the_next_trader(recorded: bool, state: Path, request: pytest.FixtureRequest) -> None:
    if recorded:
        request.getfixturevalue("left")
    answer = ask("reduce", "--reason", "too large", state=state)
    assert (answer["trading_state"], answer["taken"]) == ("REDUCING", False)
    (row,) = bootstrap.reader(state).requests()
    assert (row.id, row.reason, row.taken) == (answer["request_id"], "too large", None)
    assert row.actor.startswith("cli:")
    assert "next start" in run("reduce", state=state).out


def test_reduce_loosens_a_halt_only_that_far(left: Left) -> None:
    ask("halt", state=left.state)
    assert ask("reduce", state=left.state)["trading_state"] == "REDUCING"
    assert not (left.state / "HALT").exists()
    assert ask("halt", state=left.state)["trading_state"] == "HALTED"


def test_a_halt_gets_through_a_locked_database(left: Left) -> None:
    with locked(left.state):
        ran = run("halt", "--reason", "locked out", "--json", state=left.state)
        assert ran.code == 0
        assert ran.json["trading_state"] == "HALTED"
        assert ran.json["request_id"] is None
        assert "flag file" in ran.err
        assert "locked out" in (left.state / "HALT").read_text()
        assert ask("status", state=left.state)["trading_state"] == "HALTED"


def test_reduce_on_a_locked_database_says_so(left: Left) -> None:
    with locked(left.state):
        ran = run("reduce", "--json", state=left.state)
    assert ran.code == 1
    assert "locked" in ran.json["error"]
    assert bootstrap.reader(left.state).requests() == []


def test_a_halt_gets_through_a_broken_database(state: Path) -> None:
    state.mkdir()
    (state / "journal.sqlite").write_bytes(b"no database at all " * 100)
    answer = ask("halt", state=state)
    assert (answer["trading_state"], answer["orders_canceled"], answer["flat"]) == ("HALTED", None, None)
    assert run("resume", "--reason", "try", state=state).code == 7
    assert (state / "HALT").exists()


def working(state: Path) -> list[str]:
    """Return the orders that the broker works."""
    return [row.working.order.id for row in bootstrap.reader(state).orders(states=[OrderState.ACCEPTED])]


@pytest.mark.slow
def test_a_running_trader_takes_the_requests(state: Path, tmp_path: Path) -> None:
    config = tmp_path / "trade.toml"
    with process("gateway-sim", "--lock-step", "--speed", SLOW, "--json", state=state) as gateway:
        assert gateway.stdout is not None
        config.write_text(CONFIG.format(port=json.loads(gateway.stdout.readline())["port"]))
        with process("trade", "--config", str(config), "--quiet", state=state):
            assert eventually(lambda: bool(working(state)))
            halted = ask("halt", "--reason", "drill", state=state)
            assert (halted["taken"], halted["trading_state"], halted["flat"]) == (True, "HALTED", True)
            assert halted["orders_canceled"] == 1
            status = ask("status", state=state)
            assert (status["broker"], status["trading_state"], status["open_orders"]) == ("READY", "HALTED", 0)
            assert [alert["code"] for alert in status["alerts"]] == ["flag", "halted"]
            for command, expected in (("resume", "ACTIVE"), ("reduce", "REDUCING")):
                answer = ask(command, "--reason", "drill", state=state)
                assert (answer["taken"], answer["trading_state"]) == (True, expected)
    assert ask("status", state=state)["broker"] == "stopped"
    assert [o["state"] for o in ask("orders", state=state)["orders"]][-1] == "CANCELED"
    assert ask("db", "verify", state=state)["ok"]
