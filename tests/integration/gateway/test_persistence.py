"""What a gateway remembers: a restart from the log, the record for judges, and the same bytes for the same inputs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from robotrader.model import ConfigError, InstrumentId
from robotrader.simulation.gateway import Gateway, GatewayConfig, GatewayRecord
from robotrader.simulation.gateway.record import LOG_NAME, Intervention
from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder
from tests.integration.gateway.world import Raw, gateway, market, order, raw, run, venue


def config(state: Path, **changes: object) -> GatewayConfig:
    return msgspec.structs.replace(GatewayConfig(lock_step=True, state=state), **changes)


async def trade_a_little(peer: Raw) -> None:
    """Buy, sell a part, modify, cancel, be refused; leave one order open."""
    await peer.next_session()
    await peer.next_session()
    peer.place(1, order())
    await peer.next_session()
    peer.place(2, order("SELL", 40, orderRef="RT-TWO"))
    peer.place(3, order(kind="LMT", lmtPrice=50.0, tif="GTC", orderRef="RT-THREE"))
    peer.place(3, order(quantity=60, kind="LMT", lmtPrice=51.0, tif="GTC", orderRef="RT-THREE"))
    peer.place(4, order(kind="LMT", lmtPrice=50.0, tif="GTC", orderRef="RT-FOUR"))
    peer.client.cancelOrder(4)
    peer.place(5, order(), "NOPE")
    await peer.next_session()


def session(state: Path) -> None:
    async def body() -> None:
        async with gateway(config(state)) as (_, port), raw(port, 6) as peer:
            await trade_a_little(peer)

    run(body)


def test_a_restart_continues_with_the_same_state(tmp_path: Path) -> None:
    session(tmp_path)
    before = (tmp_path / LOG_NAME).read_bytes()

    async def body() -> None:
        async with gateway(config(tmp_path)) as (server, port), raw(port, 6) as peer:
            assert (tmp_path / LOG_NAME).read_bytes() == before  # a restart alone changes nothing
            assert peer.heard.all("nextValidId")[0] == (6,)
            assert await peer.next_session() == server.now // 10**9
            peer.client.reqOpenOrders()
            await peer.heard.until("openOrderEnd")
            ((order_id, _, wire, state),) = peer.heard.all("openOrder")
            assert (order_id, wire.orderRef, wire.totalQuantity, state.status) == (3, "RT-THREE", 60.0, "Submitted")
            peer.client.reqPositions()
            await peer.heard.until("positionEnd")
            assert peer.heard.all("position")[0][2:] == (60.0, 101.02)
            peer.client.reqCompletedOrders(False)
            await peer.heard.until("completedOrdersEnd")
            ended = [(o.orderRef, s.status) for _, o, s in peer.heard.all("completedOrder")]
            assert ended == [("RT-ONE", "Filled"), ("RT-FOUR", "Cancelled"), ("RT-TWO", "Filled")]
            peer.place(6, order("SELL", 60))
            await peer.next_session()
            assert peer.heard.all("execDetails")[-1][2].execId == "0000e0d5.00000003.01.01"

    run(body)


def test_the_record_needs_nothing_but_the_file(tmp_path: Path) -> None:
    session(tmp_path)
    record = GatewayRecord.read(tmp_path)
    assert [
        (p.order_ref, p.order.order_id, p.order.action, str(p.order.quantity), p.modify, p.code)
        for p in record.placements
    ] == [
        ("RT-ONE", 1, "BUY", "100", False, 0),
        ("RT-TWO", 2, "SELL", "40", False, 0),
        ("RT-THREE", 3, "BUY", "100", False, 0),
        ("RT-THREE", 3, "BUY", "60", True, 0),
        ("RT-FOUR", 4, "BUY", "100", False, 0),
        ("RT-ONE", 5, "BUY", "100", False, 200),
    ]
    assert {p.client_id for p in record.placements} == {6}
    assert [(e.order_ref, e.quantity, e.price) for e in record.executions] == [
        ("RT-ONE", 100, Decimal("101.01")), ("RT-TWO", 40, Decimal("101.99")),
    ]  # fmt: skip
    assert record.positions == {"AAPL.NASDAQ": 60}
    commission = sum((e.commission for e in record.executions), Decimal(0))
    assert record.cash == Decimal(1_000_000) - 10_101 + Decimal("4079.60") - commission
    with pytest.raises(ConfigError, match="no gateway log"):
        GatewayRecord.read(tmp_path / "elsewhere")


def test_a_state_folder_has_one_gateway(tmp_path: Path) -> None:
    panel = market()
    first = Gateway(panel, venue(panel), config(tmp_path))
    with pytest.raises(ConfigError, match="another gateway"):
        Gateway(panel, venue(panel), config(tmp_path))
    first.desk.close()
    Gateway(panel, venue(panel), config(tmp_path)).desk.close()  # and the refusal has left nothing locked


async def intervene_a_little(server: Gateway, peer: Raw) -> None:
    """Let the broker do one of everything; a what-if order leaves no trace."""
    await trade_a_little(peer)
    manual = order_of_tws()
    peer.place(7, order(whatIf=True))
    peer.place(8, order(kind="LMT", lmtPrice=50.0, tif="GTC", transmit=False))
    peer.place(9, order("SELL", 90, kind="LMT", lmtPrice=150.0, tif="GTC", parentId=8))
    await peer.heard.until("openOrder", 13)
    for deed, more in DEEDS:
        server.tell(
            server.desk.intervene(Intervention(deed=deed, **({"order": manual} if "manually" in deed else more)))
        )
    await peer.next_session()


DEEDS: list[tuple[Any, dict[str, Any]]] = [
    ("correct", {"exec_id": "0000e0d5.00000001.01.01", "price": Decimal("100.50"), "quantity": 90}),
    ("correct", {"exec_id": "0000e0d5.00000002.01.01", "quantity": 0}), ("order manually", {}), ("bind", {}),
    ("order manually", {}), ("liquidate", {"instrument": "AAPL.NASDAQ", "quantity": 5}),
    ("fill late", {"client_id": 6, "order_id": 4}), ("lend", {"instrument": "AAPL.NASDAQ", "quantity": 7}),
    ("renumber", {"client_id": 6, "order_id": 3}), ("vanish", {"client_id": 6, "order_id": 3}),
    ("expire", {"client_id": 6, "order_id": 8}), ("roll back", {}),
    ("split", {"instrument": "AAPL.NASDAQ", "new": 3, "old": 2, "price": Decimal("67.50")}),
]  # fmt: skip


def order_of_tws() -> PlaceOrder:
    return PlaceOrder(
        order_id=0, contract=ContractQuery(symbol="AAPL", sec_type="STK"), action="BUY", order_type="LMT",
        quantity=Decimal(10), limit=Decimal(50), aux=None, tif="GTC", account="", order_ref="",
    )  # fmt: skip


def test_what_the_broker_did_by_itself_survives_a_restart(tmp_path: Path) -> None:
    async def first() -> None:
        async with gateway(config(tmp_path)) as (server, port), raw(port, 6) as peer:
            await intervene_a_little(server, peer)
            states.append(state_of(server))

    states: list[object] = []
    run(first)
    panel = market()
    again = Gateway(panel, venue(panel), config(tmp_path))
    again.desk.close()
    assert state_of(again) == states[0]
    record = GatewayRecord.read(tmp_path)
    assert record.positions == {i: h.quantity for i, h in again.book.account.holdings.items() if h.quantity}
    assert record.cash == again.book.account.cash
    assert [p.order.order_id for p in record.placements][-2:] == [8, 9]


def state_of(server: Gateway) -> object:
    book = server.book
    holdings = {i: (h.quantity, h.cost, h.realized) for i, h in book.account.holdings.items()}
    orders = list(book.blotter.tickets.values()), book.completed, book.executions
    return book.account.cash, holdings, orders, book.next_id(6), book.binds, book.shortable(InstrumentId("AAPL.NASDAQ"))


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        session(tmp_path / name)
    assert (tmp_path / "a" / LOG_NAME).read_bytes() == (tmp_path / "b" / LOG_NAME).read_bytes()


def test_a_log_torn_anywhere_replays(tmp_path: Path) -> None:
    session(tmp_path)
    log, panel = tmp_path / LOG_NAME, market()
    whole = log.read_bytes()
    for cut in range(0, len(whole), 97):
        log.write_bytes(whole[:cut])
        Gateway(panel, venue(panel), config(tmp_path)).desk.close()
        grown = log.read_bytes()
        assert grown.endswith(b"\n")
        assert whole.startswith(grown)  # what was torn off after its input is written again


def test_a_log_of_something_else_is_refused(tmp_path: Path) -> None:
    session(tmp_path)
    panel = market()
    for other in ({"account": "DU2"}, {"initial_cash": Decimal(5)}, {"lock_step": False}):
        with pytest.raises(ConfigError, match="another configuration"):
            Gateway(panel, venue(panel), config(tmp_path, **other))
    with pytest.raises(ConfigError, match="other market data"):
        Gateway(market(31), venue(market(31)), config(tmp_path))
    with pytest.raises(ConfigError, match="other costs"):
        Gateway(panel, venue(panel, "bps:10"), config(tmp_path))
    log = tmp_path / LOG_NAME
    log.write_bytes(log.read_bytes().replace(b'"kind":"advance"', b'"kind":"retreat"', 1))
    with pytest.raises(ConfigError, match="not a line of a gateway log"):
        Gateway(panel, venue(panel), config(tmp_path))


def test_the_open_market_is_remembered_too(tmp_path: Path) -> None:
    async def first() -> None:
        async with gateway(GatewayConfig(state=tmp_path, speed=60.0)) as (_, port), raw(port) as peer:
            peer.place(1, order())
            await peer.heard.until("commissionReport")
            peer.place(2, order(kind="LMT", lmtPrice=50.0, tif="GTC"))
            await peer.heard.until("openOrder", 4)

    async def again() -> None:
        async with gateway(GatewayConfig(state=tmp_path, speed=60.0)) as (server, _):
            assert [t.order_id for t in server.book.open_orders()] == [2]
            assert [e.order_id for e in server.book.executions] == [1]

    run(first)
    run(again)
