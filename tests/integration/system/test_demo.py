"""The main job, driven through the public entry point."""

import signal
import socket
from pathlib import Path

import pytest

from robotrader import bootstrap
from tests.integration.system.running import eventually, process, robotrader

DAYS = "260"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state folder of a headless demo that ran to its end."""
    state = tmp_path_factory.mktemp("demo")
    done = robotrader("demo", "--headless", "--days", DAYS, state=state)
    assert done.code == 0, done.err
    return state


def test_two_headless_runs_are_equal(finished: Path, tmp_path: Path) -> None:
    first = robotrader("demo", "--headless", "--days", DAYS, state=tmp_path / "a").json
    second = robotrader("demo", "--headless", "--days", DAYS, state=tmp_path / "b").json
    for name in ("orders", "fills", "denied", "orders_hash", "fills_hash", "equity", "cash", "positions"):
        assert first[name] == second[name]
    assert first["fills"] > 10
    assert first["reconciled"] is True
    assert first["invariants_checked"] == 16
    assert first["invariants_violated"] == first["duplicate_orders"] == first["lost_fills"] == 0


def test_what_met_inside_is_not_looked_for_at_the_broker(tmp_path: Path) -> None:
    done = robotrader("demo", "--headless", "--days", "980", state=tmp_path)  # the first crossing is in session 966
    assert done.code == 0, done.err
    assert done.json["reconciled"] is True
    assert [row.fill for row in bootstrap.reader(tmp_path).fills(limit=10_000) if row.fill.crossed]


def test_a_finished_demo_started_again_changes_nothing(tmp_path: Path) -> None:
    first = robotrader("demo", "--headless", "--days", "120", state=tmp_path)
    again = robotrader("demo", "--headless", "--days", "120", state=tmp_path)
    assert again.code == 0, again.err
    for name in ("orders_hash", "fills_hash", "equity", "cash"):
        assert again.json[name] == first.json[name]


def test_the_journal_of_a_demo_verifies(finished: Path) -> None:
    report = bootstrap.verify(finished)
    assert report.ok
    assert report.chain_ok
    assert len(report.invariants) == 17
    assert {name for name, result in report.invariants.items() if not result.checked} == {"I20"}, "nothing halted"


@pytest.mark.parametrize(("strategy", "data"), [("sma_crossover", "sample:AAPL"), ("momentum", "sample:all")])
def test_the_wire_decides_and_fills_as_the_backtest(strategy: str, data: str, tmp_path: Path) -> None:
    done = robotrader("parity", strategy, "--data", data, "--days", "420", state=tmp_path)
    assert done.code == 0, done.err
    assert done.json["differences"] == []
    assert done.json["compared"]["event_wire"]["orders"] > 5
    assert done.json["compared"]["event_wire"]["fills"] > 5


def test_a_raised_flag_stops_orders_at_once_and_outlives_the_process(tmp_path: Path) -> None:
    (tmp_path / "HALT").write_text("by hand\n", encoding="utf-8")
    done = robotrader("demo", "--headless", "--days", DAYS, state=tmp_path)
    assert done.code == 0, done.err
    assert done.json["orders"] == done.json["fills"] == 0
    assert done.json["denied"] > 0
    reader = bootstrap.reader(tmp_path)
    assert reader.trading_state()[0].state == "HALTED"
    assert {"trading_state"} <= {reason for row in reader.denials() for reason in row.reasons}
    (tmp_path / "HALT").unlink()  # the journal remembers the halt without the flag
    assert robotrader("demo", "--headless", "--days", DAYS, state=tmp_path).json["fills"] == 0


def test_a_halt_in_the_middle_lets_nothing_through_and_reducing_lets_exits_through(tmp_path: Path) -> None:
    """Halt a running demo, see the count of orders stand still, then reduce: only exits follow."""
    reader = bootstrap.reader(tmp_path)

    def sent() -> set[str]:
        rows = reader.orders(limit=100_000) if (tmp_path / bootstrap.JOURNAL).exists() else ()
        return {r.working.order.id for r in rows if r.working.broker_order_id is not None}

    with process("demo", "--days", "1600", "--speed", "80", "--port", "0", "--quiet", state=tmp_path):
        assert eventually(lambda: len(sent()) > 10)
        halt = robotrader("halt", "--reason", "test", state=tmp_path)
        assert halt.json["trading_state"] == "HALTED"
        before, bars = sent(), reader.account().mark
        assert bars is not None
        assert eventually(lambda: (m := reader.account().mark) is not None and m.ts > bars.ts + 60 * 86_400 * 10**9)
        assert sent() == before
        assert robotrader("reduce", "--reason", "test", state=tmp_path).json["trading_state"] == "REDUCING"
        held = {p.instrument for p in reader.positions() if p.strategy is None and p.quantity}
        if held:
            assert eventually(lambda: sent() > before)
        after = [r.working.order for r in reader.orders(limit=1_000) if r.working.order.id in sent() - before]
        assert all(order.side == "SELL" for order in after)  # both strategies are long only


def test_a_wrong_account_is_refused(tmp_path: Path) -> None:
    with process("gateway-sim", "--lock-step", "--account", "U7654321", "--json", "--days", "5", state=tmp_path) as sim:
        assert sim.stdout is not None
        sim.stdout.readline()
        port = int((tmp_path / "run" / "gateway.port").read_text(encoding="ascii"))
        config = tmp_path / "c.toml"
        config.write_text(
            f'mode = "paper"\n[broker]\nport = {port}\naccount = "DU1234567"\nlock_step = true\n'
            '[data]\nuniverse = ["AAPL.NASDAQ"]\n'
            '[[strategy]]\nid = "s"\nsource = "sma_crossover"\nuniverse = ["AAPL.NASDAQ"]\ncapital = "1000"\n',
            encoding="utf-8",
        )
        done = robotrader("trade", "--config", str(config), state=tmp_path / "trader")
    assert done.code == 5
    assert "DU1234567" in done.err


def test_no_gateway_is_a_clear_error(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        # in lock-step: by the system's clock it would wait through the known resets of every night
        '[broker]\nport = 1\naccount = "DU1234567"\nlock_step = true\n[data]\nuniverse = ["AAPL.NASDAQ"]\n'
        '[[strategy]]\nid = "s"\nsource = "sma_crossover"\nuniverse = ["AAPL.NASDAQ"]\ncapital = "1000"\n',
        encoding="utf-8",
    )
    done = robotrader("trade", "--config", str(config), state=tmp_path / "trader")
    assert done.code == 6
    assert "Traceback" not in done.err


def test_a_busy_port_is_a_clear_error(tmp_path: Path) -> None:
    with process("gateway-sim", "--json", "--days", "5", state=tmp_path) as sim:
        assert sim.stdout is not None
        sim.stdout.readline()
        port = (tmp_path / "run" / "gateway.port").read_text(encoding="ascii")
        done = robotrader("gateway-sim", "--port", port, "--days", "5", state=tmp_path / "second")
    assert done.code == 5
    assert "Traceback" not in done.err


def test_a_trader_that_waits_for_a_silent_gateway_ends_when_asked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "c.toml"
        config.write_text(
            f'[broker]\nport = {silent.getsockname()[1]}\naccount = "DU1234567"\n[data]\nuniverse = ["AAPL.NASDAQ"]\n'
            '[[strategy]]\nid = "s"\nsource = "sma_crossover"\nuniverse = ["AAPL.NASDAQ"]\ncapital = "1000"\n',
            encoding="utf-8",
        )
        trader = process("trade", "--config", str(config), state=tmp_path / "trader")
        with trader as child, silent.accept()[0]:  # it has come so far as to ask for a session
            child.send_signal(signal.SIGTERM)
            assert child.wait(timeout=20) == 0
