"""Order types, brackets, groups, what-if, several clients and the broker's own deeds, as ib_async sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ib_async
import msgspec
import pytest

from robotrader.model import InstrumentId
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig
from robotrader.simulation.gateway.record import Intervention
from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder
from robotrader.simulation.venue import Venue
from tests.integration.gateway.test_orders import told
from tests.integration.gateway.world import LOCK_STEP, Raw, gateway, market, order, raw, run

AAPL = InstrumentId("AAPL.NASDAQ")


def limit(price: float, side: str = "BUY", **more: Any) -> ib_async.Order:
    return order(side, kind="LMT", lmtPrice=price, **{"tif": "GTC"} | more)


def intervene(server: Gateway, deed: Any, **more: Any) -> None:
    """Do what a fault script does."""
    server.tell(server.desk.intervene(Intervention(deed=deed, **more)))


@asynccontextmanager
async def thin_market(share: float) -> AsyncIterator[int]:
    """Serve a market of which only a share of the volume fills orders."""
    panel = market()
    venue = Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed"), participation=share)
    server = Gateway(panel, venue, LOCK_STEP)
    try:
        yield await server.serve()
    finally:
        await server.close()


async def held_up(peer: Raw, order_id: int, placed: ib_async.Order) -> tuple[Any, Any]:
    """Place an order and return what openOrder and orderStatus say of it first."""
    count = len(peer.heard.all("orderStatus"))
    peer.place(order_id, placed)
    await peer.heard.until("orderStatus", count + 1)
    return peer.heard.all("openOrder")[count], peer.heard.all("orderStatus")[count]


@pytest.mark.parametrize(
    ("placed", "shows", "why"),
    [
        (order(kind="STP LMT", auxPrice=105.0, lmtPrice=105.5), {"auxPrice": 105.0, "lmtPrice": 105.5}, "trigger"),
        (order("SELL", kind="TRAIL", auxPrice=5.0), {"auxPrice": 5.0, "orderType": "TRAIL"}, "trigger"),
        (
            order("SELL", kind="TRAIL", trailingPercent=4.5, trailStopPrice=95.0),
            {"trailingPercent": 4.5, "trailStopPrice": 95.0},
            "trigger",
        ),
        (order(kind="MOC"), {"orderType": "MOC"}, ""),
        (order(kind="LOC", lmtPrice=101.0), {"orderType": "LOC", "lmtPrice": 101.0}, ""),
        (order(tif="OPG"), {"orderType": "MKT", "tif": "OPG"}, ""),
        (order(kind="LMT", lmtPrice=101.0, tif="OPG"), {"orderType": "LMT", "tif": "OPG"}, ""),
        (order(tif="IOC"), {"tif": "IOC"}, ""),
        (order(tif="FOK"), {"tif": "FOK"}, ""),
        (
            order(kind="LMT", lmtPrice=50.0, tif="GTD", goodTillDate="20240110 16:00:00 US/Eastern"),
            {"tif": "GTD", "goodTillDate": "20240110 16:00:00 US/Eastern"},
            "",
        ),
        (limit(50.0, ocaGroup="g", ocaType=1), {"ocaGroup": "g", "ocaType": 1}, ""),
    ],
)
@pytest.mark.parametrize("version", [157, 178])
def test_every_kind_of_order_is_shown_as_it_was_placed(
    placed: ib_async.Order, shows: dict[str, object], why: str, version: int
) -> None:
    async def body() -> None:
        config = msgspec.structs.replace(LOCK_STEP, server_version=version)
        async with gateway(config) as (_, port), raw(port) as peer:
            await peer.next_session()
            (_, _, wire, state), said = await held_up(peer, 1, placed)
            assert {name: getattr(wire, name) for name in shows} == shows
            assert (state.status, said[1], said[9]) == ("PreSubmitted", "PreSubmitted", why)

    run(body)


def test_auctions_and_immediate_orders_fill_where_they_should() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.place(1, order(kind="MOC"))  # the first session opens at 100 and closes at 100.25
            peer.place(2, order(kind="LOC", lmtPrice=100.0))
            peer.place(3, order(tif="OPG"))
            peer.place(4, limit(99.5, tif="IOC"))
            peer.place(5, limit(99.5, tif="FOK"))
            peer.place(6, limit(100.0, tif="FOK"))
            await peer.next_session()
            fills = {e.orderId: e.price for _, _, e in peer.heard.all("execDetails")}
            assert fills == {1: 100.25, 3: 100.01, 6: 100.0}
            ends = [(a[0], a[1]) for a in peer.heard.all("orderStatus") if a[1] not in {"PreSubmitted", "Submitted"}]
            assert ends == [
                (3, "Filled"), (4, "PendingCancel"), (4, "Cancelled"), (5, "Inactive"), (6, "Filled"), (1, "Filled"),
                (2, "Cancelled"),
            ]  # fmt: skip
            assert peer.codes() == []

    run(body)


def test_a_bracket_appears_whole_and_its_exits_follow_the_entry() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.place(1, limit(100.0, transmit=False))
            peer.place(2, limit(103.0, "SELL", parentId=1, transmit=False))
            peer.client.reqOpenOrders()
            await peer.heard.until("openOrderEnd")
            assert told(peer) == []  # nothing is known of them yet
            peer.place(3, order("SELL", kind="STP", auxPrice=95.0, tif="GTC", parentId=1))
            await peer.heard.until("orderStatus", 4)
            states = [(a[0], a[1], a[6], a[9]) for a in peer.heard.all("orderStatus")]
            assert states == [
                (1, "PreSubmitted", 0, ""), (1, "Submitted", 0, ""),
                (2, "PreSubmitted", 1, "child"), (3, "PreSubmitted", 1, "child"),
            ]  # fmt: skip
            assert [w.parentId for _, _, w, _ in peer.heard.all("openOrder")] == [0, 0, 1, 1]
            for _ in range(4):
                await peer.next_session()
            ends = [(a[0], a[1]) for a in peer.heard.all("orderStatus") if a[1] in {"Filled", "Cancelled"}]
            assert ends == [(1, "Filled"), (2, "Filled"), (3, "Cancelled")]
            groups = {w.ocaGroup for order_id, _, w, _ in peer.heard.all("openOrder") if order_id > 1}
            assert groups == {str(peer.heard.all("openOrder")[0][2].permId)}
            assert peer.codes() == [202]

    run(body)


def test_one_order_of_a_group_cancels_the_other() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.place(1, limit(99.5, ocaGroup="one", ocaType=1))
            peer.place(2, limit(99.0, ocaGroup="one", ocaType=1))
            await peer.next_session()
            assert told(peer)[-6:] == [
                "execDetails", "open Filled", "status Filled", "commissionReport", "status Cancelled", "error 202",
            ]  # fmt: skip

    run(body)


def test_partial_fills_are_told_one_by_one() -> None:
    async def body() -> None:
        async with thin_market(0.00006) as port, raw(port) as peer:
            await peer.next_session()
            peer.place(1, limit(101.0))
            await peer.next_session()
            await peer.next_session()
            assert [(e.shares, e.cumQty) for _, _, e in peer.heard.all("execDetails")] == [(60.0, 60.0), (40.0, 100.0)]
            states = [(a[1], a[2], a[3]) for a in peer.heard.all("orderStatus")]
            assert states[-2:] == [("Submitted", 60.0, 40.0), ("Filled", 100.0, 0.0)]

    run(body)


@pytest.mark.parametrize("version", [157, 163, 178])
def test_a_what_if_order_shows_its_margin_and_is_no_order(version: int) -> None:
    async def body() -> None:
        config = msgspec.structs.replace(LOCK_STEP, server_version=version)
        async with gateway(config) as (server, port), raw(port) as peer:
            await peer.next_session()
            await peer.next_session()
            peer.place(1, order(whatIf=True, quantity=1_000))
            _, _, wire, state = await peer.heard.until("openOrder")
            assert (wire.whatIf, wire.permId, state.status) == (True, 0, "PreSubmitted")
            assert (state.initMarginBefore, state.initMarginChange, state.initMarginAfter) == (
                "0.00", "50125.00", "50125.00",
            )  # fmt: skip
            assert (state.maintMarginAfter, state.equityWithLoanBefore) == ("50125.00", "1000000.00")
            assert (state.equityWithLoanChange, state.equityWithLoanAfter) == ("-5.00", "999995.00")
            assert (state.commission, state.commissionCurrency) == (5.0, "USD")
            assert told(peer) == ["open PreSubmitted"]
            peer.client.reqIds(1)
            assert (await peer.heard.until("nextValidId", 2)) == (1,)
            assert server.book.idle

    run(body)


def test_a_short_sale_is_held_until_its_shares_are_located() -> None:
    async def body() -> None:
        async with gateway() as (server, port), raw(port) as peer:
            await peer.next_session()
            intervene(server, "lend", instrument=AAPL, quantity=10)
            (_, _, _, state), said = await held_up(peer, 1, order("SELL", tif="GTC"))
            assert (state.status, said[9]) == ("PreSubmitted", "locate")
            await peer.next_session()
            assert told(peer) == ["open PreSubmitted", "status PreSubmitted", "error 404"]
            intervene(server, "locate", client_id=1, order_id=1)
            await peer.next_session()
            assert told(peer)[-4:] == ["execDetails", "open Filled", "status Filled", "commissionReport"]

    run(body)


def test_out_of_hours_an_order_is_warned_of_and_waits() -> None:
    async def body() -> None:
        opening = int(market().opened[0])
        config = GatewayConfig(nights=True, start=opening - 60 * 10**9, speed=1.0, tick_s=3_600.0)
        async with gateway(config) as (server, port), raw(port) as peer:
            peer.place(1, limit(50.0))
            _, code, text, *_ = await peer.heard.until("error", 4)
            assert (code, "2024-01-02 09:30:00 US/Eastern" in text) == (399, True)
            assert told(peer) == ["open PreSubmitted", "status PreSubmitted", "error 399"]
            server.tell(server.desk.advance(opening + 10**9, always_log=True))
            await peer.heard.until("orderStatus", 2)
            assert told(peer)[-2:] == ["open Submitted", "status Submitted"]

    run(body)


def test_clients_see_their_own_orders_and_the_master_all() -> None:
    async def body() -> None:
        config = msgspec.structs.replace(LOCK_STEP, master_client_id=9)
        async with gateway(config) as (_, port), raw(port, 1) as one, raw(port, 2) as two, raw(port, 9) as master:
            await one.next_session()
            one.place(1, order())
            await one.heard.until("orderStatus")
            two.client.cancelOrder(1)  # another client's
            two.client.reqOpenOrders()
            await two.heard.until("openOrderEnd")
            assert (told(two), two.codes()) == (["error 10147"], [10147])
            two.client.reqAllOpenOrders()
            await two.heard.until("openOrderEnd", 2)
            assert [a[2].clientId for a in two.heard.all("openOrder")] == [1]
            await one.next_session()
            await master.heard.until("commissionReport")
            assert told(master) == told(one)
            two.client.reqAutoOpenOrders(True)
            await two.heard.until("error", 5)
            assert two.codes()[-1] == 327

    run(body)


def test_manual_orders_are_bound_to_client_0() -> None:
    async def body() -> None:
        async with gateway() as (server, port), raw(port, 0) as zero, raw(port, 1) as one:
            await zero.next_session()
            placed = PlaceOrder(
                order_id=0, contract=ContractQuery(symbol="AAPL", sec_type="STK"), action="BUY", order_type="LMT",
                quantity=Decimal(10), limit=Decimal(50), aux=None, tif="GTC", account="", order_ref="",
            )  # fmt: skip
            intervene(server, "order manually", order=placed)
            assert (await zero.heard.until("orderStatus"))[0] == 0
            zero.client.reqAutoOpenOrders(True)
            perm_id, client_id, order_id = await zero.heard.until("orderBound")
            assert (client_id, order_id) == (0, zero.heard.all("openOrder")[-1][0])
            assert order_id < 0
            assert perm_id == zero.heard.all("openOrder")[-1][2].permId
            one.client.cancelOrder(order_id)
            await one.heard.until("error", 4)
            assert one.codes() == [10147]
            zero.client.cancelOrder(order_id)
            await zero.heard.until("error", 4)
            assert told(zero)[-2:] == ["status Cancelled", "error 202"]
            for only_api, count in ((True, 0), (False, 1)):
                zero.client.reqCompletedOrders(only_api)
                await zero.heard.until("completedOrdersEnd", 1 + count)
                assert len(zero.heard.all("completedOrder")) == count

    run(body)


def test_corrections_busts_liquidations_and_late_fills_are_told_as_executions() -> None:
    async def body() -> None:
        async with gateway() as (server, port), raw(port, 0) as peer:
            await peer.next_session()
            peer.place(1, order())
            peer.place(2, limit(50.0))
            await peer.next_session()
            peer.client.cancelOrder(2)
            await peer.heard.until("error", 4)
            stem = "0000e0d5.00000001.01"
            intervene(server, "correct", exec_id=f"{stem}.01", price=Decimal("100.50"))
            intervene(server, "correct", exec_id=f"{stem}.02", quantity=0)
            intervene(server, "fill late", client_id=0, order_id=2)
            intervene(server, "liquidate", instrument=AAPL, quantity=30)
            await peer.heard.until("commissionReport", 5)
            seen = [
                (e.execId[-11:], e.shares, e.price, e.orderId, e.liquidation)
                for _, _, e in peer.heard.all("execDetails")
            ]
            assert seen == [
                ("00001.01.01", 100.0, 100.01, 1, 0), ("00001.01.02", 100.0, 100.5, 1, 0),
                ("00001.01.03", 0.0, 100.5, 1, 0), ("00002.01.01", 100.0, 100.25, 2, 0),
                ("00003.01.01", 30.0, 100.25, 0, 1),
            ]  # fmt: skip
            assert [c.execId for (c,) in peer.heard.all("commissionReport")] == [
                e.execId for _, _, e in peer.heard.all("execDetails")
            ]
            peer.client.reqPositions()
            await peer.heard.until("positionEnd")
            assert peer.heard.all("position")[-1][2] == 70.0

    run(body)


def test_executions_are_found_by_every_filter() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            for _ in range(3):
                await peer.next_session()
            peer.place(1, order())
            peer.place(2, order("SELL", 10), "IBM")
            seconds = await peer.next_session()
            peer.place(3, order("SELL", 20))
            await peer.next_session()
            later = (ib_async.util.parseIBDatetime(str(seconds)) + timedelta(hours=1)).strftime("%Y%m%d-%H:%M:%S")
            wanted: list[tuple[dict[str, Any], list[int]]] = [
                ({}, [1, 2, 3]), ({"symbol": "IBM"}, [2]), ({"side": "BUY"}, [1]), ({"side": "SLD"}, [2, 3]),
                ({"clientId": 7}, []), ({"acctCode": "DU1234567"}, [1, 2, 3]), ({"acctCode": "DU7"}, []),
                ({"secType": "OPT"}, []), ({"exchange": "NASDAQ"}, [1, 3]), ({"time": later}, [3]),
            ]  # fmt: skip
            for req_id, (filters, found) in enumerate(wanted, 100):
                peer.client.reqExecutions(req_id, ib_async.ExecutionFilter(**filters))
                await peer.heard.until("execDetailsEnd", req_id - 99)
                assert [e.orderId for r, _, e in peer.heard.all("execDetails") if r == req_id] == found, filters

    run(body)
