"""Orders over the wire in lock-step, seen by a raw ib_async client as our own adapter is one."""

from __future__ import annotations

import ib_async
import pytest

from tests.integration.gateway.world import Raw, gateway, order, raw, run

ORDER_CALLS = ("openOrder", "orderStatus", "execDetails", "commissionReport", "error")


def told(peer: Raw) -> list[str]:
    """Return what a client heard of its orders: callback and status or error code, in order."""
    found = []
    for name, args in peer.heard.calls:
        if name == "openOrder":
            found.append(f"open {args[3].status}")
        elif name == "orderStatus":
            found.append(f"status {args[1]}")
        elif name == "error" and not 2100 <= args[1] < 2200:
            found.append(f"error {args[1]}")
        elif name in ORDER_CALLS[2:4]:
            found.append(name)
    return found


def test_a_market_order_is_told_in_the_order_of_the_real_gateway() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port, 4) as peer:
            await peer.next_session()
            peer.place(7, order())
            await peer.next_session()
            assert told(peer) == [
                "open PreSubmitted", "status PreSubmitted",
                "execDetails", "open Filled", "status Filled", "commissionReport",
            ]  # fmt: skip
            contract, wire, _ = peer.heard.all("openOrder")[-1][1:]
            assert (contract.symbol, wire.orderRef, wire.clientId, wire.account) == ("AAPL", "RT-ONE", 4, "DU1234567")
            req_id, _, execution = peer.heard.all("execDetails")[0]
            assert req_id == -1
            assert (execution.execId, execution.side, execution.shares) == ("0000e0d5.00000001.01.01", "BOT", 100.0)
            assert (execution.orderId, execution.permId, execution.orderRef) == (7, wire.permId, "RT-ONE")

    run(body)


def test_limits_and_stops_wait_for_their_price_and_day_orders_expire() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.place(1, order(kind="LMT", lmtPrice=99.5))  # the first bar trades down to 99
            peer.place(2, order("SELL", kind="STP", auxPrice=99.2))
            peer.place(3, order(kind="LMT", lmtPrice=50.0))  # never there: expires with the session
            peer.place(4, order(kind="LMT", lmtPrice=50.0, tif="GTC"))
            await peer.heard.until("orderStatus", 7)
            assert told(peer)[:6] == [
                "open PreSubmitted", "status PreSubmitted", "open Submitted", "status Submitted",
                "open PreSubmitted", "status PreSubmitted",
            ]  # fmt: skip
            assert peer.heard.all("orderStatus")[2][9] == "trigger"
            await peer.next_session()
            assert [e.price for _, _, e in peer.heard.all("execDetails")] == [99.19, 99.5]  # stops first
            assert [(a[0], a[1]) for a in peer.heard.all("orderStatus")][-1] == (3, "Cancelled")
            assert peer.codes() == []  # an expiry is no error
            peer.client.reqAllOpenOrders()
            await peer.heard.until("openOrderEnd")
            assert peer.heard.all("openOrder")[-1][0] == 4

    run(body)


def test_modify_and_cancel() -> None:
    async def body() -> None:
        async with gateway() as (server, port), raw(port) as peer:
            await peer.next_session()
            peer.place(1, order(kind="LMT", lmtPrice=50.0, tif="GTC"))
            peer.place(1, order(quantity=30, kind="LMT", lmtPrice=51.0, tif="GTC"))
            await peer.heard.until("openOrder", 3)
            first, *_, last = [args[2] for args in peer.heard.all("openOrder")]
            assert (last.totalQuantity, last.lmtPrice, last.permId) == (30.0, 51.0, first.permId)
            peer.client.cancelOrder(1)
            await peer.heard.until("orderStatus", 4)
            assert told(peer)[-2:] == ["status Cancelled", "error 202"]
            assert server.book.idle
            peer.client.reqCompletedOrders(False)
            await peer.heard.until("completedOrdersEnd")
            ((_, done, state),) = peer.heard.all("completedOrder")
            assert (done.orderRef, done.permId, state.status) == ("RT-ONE", first.permId, "Cancelled")

    run(body)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (order(kind="TRAIL"), 321),
        (order(kind="LMT", lmtPrice=100.005), 110),
        (order(kind="LMT"), 321),
        (order(quantity=0), 434),
        (order(quantity=1.5), 10243),
        (order(quantity=1_000_000), 201),
        (order(kind="STP", auxPrice=99.0, tif="IOC"), 111),
        (order(kind="MOC", tif="GTC"), 111),
        (order(parentId=3), 10006),
        (order(tif="GTD", goodTillDate="soon"), 321),
        (order(quantity=1_000_001), 201),
        (order(account="DU7"), 321),
    ],
)
def test_orders_that_cannot_be_are_refused(wrong: ib_async.Order, code: int) -> None:
    async def body() -> None:
        async with gateway() as (server, port), raw(port) as peer:
            await peer.next_session()
            await peer.next_session()
            peer.place(1, wrong)
            await peer.heard.until("error", 4)
            assert told(peer) == [f"error {code}"]
            assert server.book.idle

    run(body)


def test_unknown_contracts_and_ids_get_their_codes() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.place(5, order(), "NOPE")
            peer.place(4, order())  # below what was used
            peer.client.cancelOrder(99)
            peer.place(6, order())
            await peer.next_session()
            peer.place(6, order())  # filled
            peer.client.cancelOrder(6)
            peer.place(7, order(kind="LMT", lmtPrice=50.0))
            await peer.next_session()
            peer.client.cancelOrder(7)  # expired
            peer.place(7, order())
            peer.client.reqIds(1)
            await peer.heard.until("nextValidId", 2)
            assert peer.codes() == [200, 103, 10147, 104, 161, 10148, 103]
            assert peer.heard.all("nextValidId")[-1] == (8,)

    run(body)


def test_fills_go_to_their_owner() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port, 1) as one, raw(port, 2) as two:
            await one.next_session()
            one.place(1, order())
            two.place(1, order("SELL", 40, orderRef="RT-TWO"))
            await one.heard.until("openOrder")
            await two.heard.until("openOrder")
            await one.next_session()
            await two.heard.until("commissionReport")
            assert [e.orderRef for _, _, e in one.heard.all("execDetails")] == ["RT-ONE"]
            assert [e.orderRef for _, _, e in two.heard.all("execDetails")] == ["RT-TWO"]
            two.client.reqPositions()
            await two.heard.until("positionEnd")
            assert two.heard.all("position")[-1][2] == 60.0
            two.client.reqExecutions(8, ib_async.ExecutionFilter(clientId=1))
            await two.heard.until("execDetailsEnd")
            assert [(r, e.clientId) for r, _, e in two.heard.all("execDetails")][-1] == (8, 1)

    run(body)


def test_a_global_cancel_takes_every_clients_orders() -> None:
    async def body() -> None:
        async with gateway() as (server, port), raw(port, 1) as one, raw(port, 2) as two:
            one.place(1, order(kind="LMT", lmtPrice=50.0))
            two.place(1, order(kind="LMT", lmtPrice=50.0))
            await two.heard.until("openOrder")
            await one.heard.until("openOrder")
            one.client.reqGlobalCancel()
            await two.heard.until("orderStatus", 3)
            assert told(two)[-2:] == told(one)[-2:] == ["status Cancelled", "error 202"]
            assert server.book.idle

    run(body)
