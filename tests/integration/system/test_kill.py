"""`cancel-all` and `flatten` on real processes, judged by the gateway's own log."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import ib_async

from robotrader import bootstrap
from robotrader.adapters.process_files import read_lease
from robotrader.model import Action, InstrumentId, OrderState, Side
from robotrader.simulation.gateway.record import (
    LOG_NAME,
    Advance,
    Cancellation,
    Execution,
    GatewayRecord,
    Placement,
    read_lines,
)
from tests.chaos.real import Account, Process
from tests.integration.gateway.world import facade, run
from tests.integration.system.running import Done, eventually, process, robotrader

AAPL = InstrumentId("AAPL.NASDAQ")
_STRATEGY = """
[broker]
port = {port}
account = "DU1234567"
client_id = {client_id}
lock_step = {lock_step}
[data]
universe = ["AAPL.NASDAQ"]
[risk]
profile = "research"
[log]
level = "ERROR"
[[strategy]]
id = "hold"
source = {source}
universe = ["AAPL.NASDAQ"]
capital = "100000"
stop_loss = "percent:0.6"
take_profit = "percent:0.9"
"""


_UNHEARD = """
faults:
  - {on: openOrder, client: 1, do: drop, times: 3}
  - {on: orderStatus, client: 1, do: drop, times: 3}
  - {on: reqCurrentTime, client: 1, nth: 3, do: drop, times: 1}
"""
"""No order is acknowledged, and then the time stands still: nothing fills."""


class Place(Account):
    """An account whose trader buys once and keeps, with a stop and a target at the broker."""

    lock_step = True
    gateway: Process

    def has_met(self, fault: int) -> bool:
        """Wait until one of the gateway's faults has happened: it logs each."""
        assert self.gateway.stderr is not None
        return any(f"fault {fault}, " in line for line in self.gateway.stderr)

    @property
    def port(self) -> int:
        return self._port

    def settings(self, client_id: int = 1) -> str:
        path = self.root / f"{client_id}.toml"
        source = json.dumps(f"{Path(__file__).with_name('hold.py')}:Hold")
        clock = str(self.lock_step).lower()
        text = _STRATEGY.format(port=self._port, client_id=client_id, source=source, lock_step=clock)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def record(self) -> GatewayRecord:
        return GatewayRecord.read(self.root / "gateway")

    def holds(self) -> int:
        return self.record().positions.get(AAPL, 0)

    def kill(self, command: str, *options: str) -> Done:
        return robotrader(command, "--config", self.settings(), *options, state=self.state)


@contextmanager
def place_opened(root: Path, *options: str, lock_step: bool = True) -> Iterator[Place]:
    for name in ("gateway", "trader"):
        (root / name).mkdir()
    options = ("--data", "sample:AAPL", "--days", "300", "--json", "--speed", "20", *options)
    options += ("--lock-step",) if lock_step else ()
    with process("gateway-sim", *options, state=root / "gateway") as child:
        assert child.stdout is not None
        account = Place(root, int(json.loads(child.stdout.readline())["port"]))
        account.lock_step, account.gateway = lock_step, child
        yield account


@contextmanager
def holding(place: Place) -> Iterator[Process]:
    """Run a trader until it holds a position, and freeze it."""
    with place.trader() as child:
        assert eventually(lambda: place.holds() > 0)
        place.freeze(child)
        yield child


def open_at_broker(place: Place) -> list[str]:
    """Return the references of all open orders, as a client that we did not write sees them."""
    found: list[str] = []

    async def body() -> None:
        async with facade(place.port, 9) as ib:
            found.extend(t.order.orderRef for t in await ib.reqAllOpenOrdersAsync())

    run(body)
    return found


def lines(place: Place) -> list[Any]:
    return read_lines(place.root / "gateway" / LOG_NAME)[0]


def test_flatten_ends_a_frozen_trader_its_position_and_only_then_its_stop(place: Path) -> None:
    with place_opened(place) as account, holding(account) as trader:
        assert len(open_at_broker(account)) == 2  # stop and target
        done = account.kill("flatten")
        assert trader.wait(10) == -9
        assert (done.code, done.json["flat"], done.json["fenced"], done.json["orders_left"]) == (0, True, True, [])
        assert account.holds() == 0
        assert open_at_broker(account) == []
        log = lines(account)
        sold = next(n for n, line in enumerate(log) if isinstance(line, Execution) and line.side is Side.SELL)
        assert log[sold].order_ref.startswith("KILL-")
        assert not any(isinstance(line, Cancellation) for line in log[:sold])  # its stop stood until it was flat
        assert (account.state / "HALT").exists()


def test_flatten_works_with_the_database_locked_and_the_next_trader_starts_halted_with_a_ticket(place: Path) -> None:
    with place_opened(place) as account:
        with holding(account) as trader, closing(sqlite3.connect(account.state / bootstrap.JOURNAL)) as other:
            other.isolation_level = None
            other.execute("BEGIN EXCLUSIVE")
            done = account.kill("flatten")
            assert (done.code, done.json["flat"], done.json["fenced"]) == (0, True, False)
            assert trader.wait(10) == -9
            other.execute("ROLLBACK")
        assert account.holds() == 0
        before = account.placed()
        with account.trader():
            reader = bootstrap.reader(account.state)
            assert eventually(lambda: [b.instrument for b in reader.breaks()] == [AAPL])
            assert robotrader("status", state=account.state).json["trading_state"] == "HALTED"
            resolved = robotrader("reconcile", "resolve", "B1", "--reason", "flattened", state=account.state)
            assert resolved.json == {"schema_version": 1, "ok": True, "breaks": []}
            assert robotrader("positions", state=account.state).json["positions"] == []
        assert account.placed() == before
        assert robotrader("db", "verify", state=account.state).json["ok"] is True


def test_a_journal_that_the_frozen_trader_locks_is_fenced_when_that_is_gone(place: Path) -> None:
    with place_opened(place) as account, holding(account) as trader:
        other = sqlite3.connect(account.state / bootstrap.JOURNAL, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")

        def unlock() -> None:  # as the death of its owner would
            trader.wait(30)
            other.close()

        unlocks = Thread(target=unlock)
        unlocks.start()
        done = account.kill("cancel-all")
        unlocks.join()
        assert (done.code, done.json["fenced"]) == (0, True)
        assert [r.action for r in bootstrap.reader(account.state).requests()] == [Action.HALT]


def test_an_order_of_another_client_survives_without_all_clients_and_goes_with_it(place: Path) -> None:
    async def place_by_hand() -> None:
        async with facade(account.port, 5) as ib:
            order = ib_async.LimitOrder("BUY", 10, 1.0, orderRef="by hand", tif="GTC")
            ib.placeOrder(ib_async.Stock("AAPL", "SMART", "USD"), order)
            await ib.reqAllOpenOrdersAsync()

    with place_opened(place) as account:
        with account.trader() as trader:
            assert eventually(lambda: account.holds() > 0)
            run(place_by_hand)
            mine = account.kill("cancel-all")
            assert trader.wait(10) != 0
        assert (mine.code, mine.json["orders_canceled"], mine.json["flat"]) == (0, 2, False)
        assert open_at_broker(account) == ["by hand"]
        everybody = account.kill("cancel-all", "--all-clients")
        assert (everybody.code, everybody.json["orders_canceled"]) == (0, 1)
        assert open_at_broker(account) == []
        assert account.holds() > 0


def test_an_order_in_flight_is_canceled_and_never_fills(place: Path) -> None:
    faults = place / "faults.yaml"
    faults.write_text(_UNHEARD, encoding="utf-8")
    with place_opened(place, "--faults", str(faults)) as account:
        with account.trader() as trader:
            assert account.has_met(3)  # else the trader after this one would meet it
            assert account.placed() == 3  # the entry, its stop and its target
            account.freeze(trader)
            found = bootstrap.reader(account.state).orders(states=[OrderState.SENDING])
            assert len(found) == 3  # nobody told the trader what became of them
            done = account.kill("cancel-all")
        assert (done.code, done.json["orders_canceled"], done.json["flat"]) == (0, 3, True)
        with account.trader():
            reader = bootstrap.reader(account.state)
            assert eventually(lambda: len(reader.orders(states=[OrderState.CANCELED])) == 3)
            assert robotrader("status", state=account.state).json["trading_state"] == "HALTED"
        assert (account.holds(), account.placed()) == (0, 3)
        assert robotrader("db", "verify", state=account.state).json["ok"] is True


def test_flatten_never_sells_more_than_is_held_however_little_fills_at_a_time(place: Path) -> None:
    async def buy_by_hand() -> None:
        async with facade(account.port, 5) as ib:
            await ib.reqCurrentTimeAsync()
            for _ in range(2):
                ib.placeOrder(ib_async.Stock("AAPL", "SMART", "USD"), ib_async.MarketOrder("BUY", 5_000, tif="DAY"))
                await ib.reqCurrentTimeAsync()

    with place_opened(place, "--participation", "0.0001") as account, holding(account):
        run(buy_by_hand)
        assert account.holds() > 0
        done = account.kill("flatten")
        held = asked = 0
        for line in lines(account):
            if isinstance(line, Execution):
                held += line.side.sign * line.quantity
            elif isinstance(line, Placement) and line.order_ref.startswith("KILL-"):
                asked += int(line.order.quantity or 0)
            elif isinstance(line, Advance):
                asked = 0  # orders of the day: each step is a session
            assert 0 <= asked <= held
        assert (done.code, done.json["flat"], held) == (0, True, 0)
        assert open_at_broker(account) == []
        assert sum(e.order_ref.startswith("KILL-") for e in account.record().executions) > 2


def test_flatten_works_on_a_clock_that_runs_and_for_a_short_position(place: Path) -> None:
    """Where nobody knows anything of an earlier trader: no state, no journal; only its orders are at the broker."""

    async def sell_and_protect() -> None:
        async with facade(account.port, 1) as ib:
            stock, group = ib_async.Stock("AAPL", "SMART", "USD"), {"ocaGroup": "OCA-RT-B", "ocaType": 2, "tif": "GTC"}
            ib.placeOrder(stock, ib_async.MarketOrder("SELL", 100, orderRef="RT-A"))
            ib.placeOrder(stock, ib_async.StopOrder("BUY", 100, 90.0, orderRef="RT-B", **group))
            await ib.reqAllOpenOrdersAsync()

    with place_opened(place, lock_step=False) as account:
        run(sell_and_protect)
        assert eventually(lambda: account.holds() == -100)
        done = account.kill("flatten")
        assert (done.code, done.json["flat"], account.holds()) == (0, True, 0)
        assert open_at_broker(account) == []


def test_a_client_id_that_is_still_in_use_is_waited_for(place: Path) -> None:
    faults = place / "faults.yaml"
    faults.write_text("faults: [{on: startApi, do: refuse, code: 326, times: 2}]\n", encoding="utf-8")
    with place_opened(place, "--faults", str(faults)) as account:
        done = account.kill("flatten")
        assert (done.code, done.json["flat"], done.json["stopped"]) == (0, True, None)


def test_flatten_of_one_symbol_leaves_no_order_of_it_and_says_what_it_did(place: Path) -> None:
    with place_opened(place) as account, holding(account):
        done = account.kill("flatten", "--symbol", "AAPL", "--all-clients")
        assert done.code == 2
        done = account.kill("flatten", "--symbol", "AAPL", "--reason", "drill")
        assert (done.code, done.json["positions"], account.holds()) == (0, {}, 0)
        assert (account.state / "HALT").read_text(encoding="utf-8").strip() == "drill"
        assert bootstrap.reader(account.state).requests()[-1].reason == "drill"


def test_without_a_gateway_the_halt_stands_and_the_answer_says_that_the_broker_is_out_of_reach(place: Path) -> None:
    (place / "trader").mkdir()
    account = Place(place, 1)
    done = account.kill("flatten")
    assert (done.code, done.json["flat"], done.json["trading_state"]) == (6, None, "HALTED")
    assert (account.state / "HALT").exists()


def test_a_wrong_configuration_stops_the_trader_and_a_wrong_symbol_stops_nothing(place: Path) -> None:
    with place_opened(place) as account, account.trader() as trader:
        assert eventually(lambda: bootstrap.trader_pid(account.state) == trader.pid)
        assert account.kill("flatten", "--symbol", "IBM").code == 2
        assert not (account.state / "HALT").exists()
        wrong = place / "wrong.toml"
        wrong.write_text("[nonsense]\n", encoding="utf-8")
        assert robotrader("cancel-all", "--config", str(wrong), state=account.state).code == 5
        assert (account.state / "HALT").exists()
        assert trader.wait(10) is not None


def test_a_dead_man_flattens_for_a_frozen_trader_and_leaves_one_that_ends_in_order_alone(place: Path) -> None:
    with place_opened(place) as account, holding(account):
        done = account.kill("deadman", "--after", "0", "--do", "flatten")
        assert (done.code, done.json["flat"], done.json["stopped"] is not None) == (0, True, True)
        assert account.holds() == 0
        assert (account.state / "HALT").read_text("utf-8").startswith("the trader gave no sign of life since")
        assert read_lease(account.state) is None


def test_a_trader_that_ends_in_order_leaves_no_lease_behind(place: Path) -> None:
    with place_opened(place) as account:
        with account.trader():
            assert eventually(lambda: read_lease(account.state) is not None)
        assert read_lease(account.state) is None
