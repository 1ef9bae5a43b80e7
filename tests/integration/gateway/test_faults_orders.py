"""Faults of orders: what a client sees of them, and that the log replays them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from robotrader.simulation.gateway import Gateway, GatewayConfig, GatewayRecord
from tests.integration.gateway.faulty import AAPL, faulty, orders, run, script
from tests.integration.gateway.test_faults_messages import BOUGHT
from tests.integration.gateway.world import Raw, market, order, raw, venue


def executions(client: Raw) -> list[tuple[str, float, float, float]]:
    """Return what a client heard of executions: last part of the id, shares, price, cumulated shares."""
    found = (args[2] for args in client.heard.all("execDetails"))
    return [(e.execId[-2:], e.shares, round(e.price, 2), e.cumQty) for e in found]


def test_a_correction_replaces_price_or_shares_under_the_next_revision() -> None:
    async def body() -> None:
        faults = """{on: execDetails, wait: 5, do: correct, by: "0.05"}
            {on: execDetails, nth: 2, wait: 5, do: correct, quantity: 0}"""
        async with faulty(faults) as (served, port), raw(port) as client:
            client.place(1, order())
            await asyncio.sleep(60)
            (_, shares, price, total), *corrected = executions(client)
            assert (shares, total) == (100, 100)
            assert corrected == [("02", 100, round(price + 0.05, 2), 100), ("03", 0, round(price + 0.05, 2), 0)]
            assert len(client.heard.all("commissionReport")) == 3
            assert not any(holding.quantity for holding in served.book.account.holdings.values())

    run(body)


@pytest.mark.parametrize("trigger", ["on: cancelOrder", "on: error, where: {code: '202'}", "at: 20"])
def test_an_order_may_fill_after_its_cancel(trigger: str) -> None:
    async def body() -> None:
        async with faulty(f"{{{trigger}, do: fill-late}}") as (_, port), raw(port) as client:
            client.place(1, order(kind="LMT", lmtPrice=50))
            await client.heard.until("orderStatus", 2)
            client.client.cancelOrder(1)
            await asyncio.sleep(30)
            tail = orders(client)[4:]
            assert tail[0] == "status Cancelled"
            assert "fill" in tail
            ((revision, shares, price, total),) = executions(client)
            assert (revision, shares, total) == ("01", 100, 100)
            assert price == pytest.approx(115, abs=2)

    run(body)


def test_an_order_vanishes_without_a_word() -> None:
    async def body() -> None:
        faults = "{on: orderStatus, where: {status: Submitted}, wait: 5, do: vanish}"
        async with faulty(faults) as (_, port), raw(port) as client:
            client.place(1, order(kind="LMT", lmtPrice=50, tif="GTC"))
            await asyncio.sleep(60)
            said = len(client.heard.calls)
            client.client.reqOpenOrders()
            client.client.reqCompletedOrders(False)
            await asyncio.sleep(5)
            assert [name for name, _ in client.heard.calls[said:]] == ["openOrderEnd", "completedOrdersEnd"]
            client.client.cancelOrder(1)
            assert (await client.heard.until("error", 4))[:2] == (1, 10147)

    run(body)


def test_an_order_may_go_on_under_another_perm_id() -> None:
    async def body() -> None:
        faults = "{on: orderStatus, where: {status: Submitted}, wait: 5, do: new-perm-id}"
        async with faulty(faults) as (_, port), raw(port) as client:
            client.place(1, order(kind="LMT", lmtPrice=114.5))
            await asyncio.sleep(6000)
            ids = [args[5] for args in client.heard.all("orderStatus")]
            assert len(dict.fromkeys(ids)) == 2
            (fill,) = (args[2] for args in client.heard.all("execDetails"))
            assert (fill.permId, fill.orderId) == (ids[-1], 1)

    run(body)


def test_the_broker_may_expire_an_order_early() -> None:
    async def body() -> None:
        async with faulty("{at: 20, do: expire}") as (_, port), raw(port) as client:
            client.place(1, order(kind="LMT", lmtPrice=50, tif="GTC"))
            await asyncio.sleep(30)
            assert orders(client)[-1] == "status Cancelled"

    run(body)


def test_a_person_trades_in_tws() -> None:
    async def body() -> None:
        faults = """{at: 5, do: manual-order, symbol: AAPL, quantity: 10}
            {at: 10, do: manual-order, symbol: IBM, quantity: 20, side: BUY, price: "20"}"""
        async with faulty(faults, master_client_id=7) as (_, port), raw(port) as mine, raw(port, 7) as master:
            await asyncio.sleep(30)
            assert orders(mine) == []
            mine.client.reqAllOpenOrders()
            mine.client.reqPositions()
            await mine.heard.until("positionEnd")
            assert [(args[0], args[2].orderRef) for args in mine.heard.all("openOrder")] == [(0, "")]
            assert [(args[1].symbol, args[2]) for args in mine.heard.all("position")] == [("AAPL", 10)]
            assert [args[2].clientId for args in master.heard.all("execDetails")] == [0]

    run(body)


def test_the_broker_liquidates() -> None:
    async def body() -> None:
        faults = "{at: 10, do: liquidate, symbol: AAPL}\n{at: 20, do: liquidate, symbol: IBM}"
        async with faulty(faults, master_client_id=7) as (served, port), raw(port) as client, raw(port, 7) as master:
            client.place(1, order())
            await asyncio.sleep(30)
            assert executions(client)[1:] == []  # not its order
            assert [args[2].liquidation for args in master.heard.all("execDetails")] == [0, 1]
            assert not any(holding.quantity for holding in served.book.account.holdings.values())

    run(body)


@pytest.mark.parametrize(("code", "told"), [("", 2.0), (", code: 1", 1.0)])
def test_in_a_halt_orders_rest_and_quotes_stand_still_until_it_ends(code: str, told: float) -> None:
    async def body() -> None:
        faults = "{at: 10, do: halt, symbol: AAPL, seconds: 300" + code + "}"
        async with faulty(faults) as (_, port), raw(port) as client:
            client.client.reqMktData(900, AAPL, "", False, False, [])
            await asyncio.sleep(11)
            assert [args[2] for args in client.heard.all("tickGeneric") if args[1] == 49] == [0.0, told]
            said = len(client.heard.calls)
            client.place(1, order())
            await asyncio.sleep(280)
            assert {name for name, _ in client.heard.calls[said:]} == {"openOrder", "orderStatus"}
            assert orders(client)[-1] == "status PreSubmitted"
            await asyncio.sleep(60)
            assert [args[2] for args in client.heard.all("tickGeneric") if args[1] == 49] == [0.0, told, 0.0]
            assert orders(client)[-1] == "commission"

    run(body)


def test_a_short_sale_waits_for_shares_until_they_are_located() -> None:
    async def body() -> None:
        faults = (
            "{at: 1, do: lend, symbol: AAPL, quantity: 50}\n{on: error, where: {code: '404'}, wait: 30, do: locate}"
        )
        async with faulty(faults) as (_, port), raw(port) as client:
            await asyncio.sleep(2)
            client.place(1, order("SELL"))
            await asyncio.sleep(20)
            held = client.heard.all("orderStatus")[-1]
            assert (held[1], held[9]) == ("PreSubmitted", "locate")
            assert [args[:2] for args in client.heard.all("error") if args[0] == 1] == [(1, 404)]
            await asyncio.sleep(30)
            assert orders(client)[-1] == "commission"

    run(body)


def test_an_order_fills_while_its_client_is_away() -> None:
    async def body() -> None:
        faults = "{on: placeOrder, do: reset}\n{on: placeOrder, do: session}"
        async with faulty(faults, lock_step=True) as (served, port):
            async with raw(port) as client:
                client.place(1, order())
                await asyncio.sleep(1)
                assert not client.client.isConnected()
                assert orders(client) == BOUGHT[:2]
            (execution,) = served.book.executions
            async with raw(port) as client:
                client.client.reqOpenOrders()
                await client.heard.until("openOrderEnd")
                assert orders(client) == []
                assert execution.quantity == 100

    run(body)


def test_a_restart_may_forget_which_ids_were_used() -> None:
    async def ids(rollback: str) -> Any:
        async with faulty(f"{{at: 10, do: restart, seconds: 5, rollback: {rollback}}}") as (_, port):
            async with raw(port) as client:
                client.place(5, order())
                await asyncio.sleep(11)
            await asyncio.sleep(5)
            async with raw(port) as client:
                return (await client.heard.until("nextValidId"))[0]

    async def body() -> None:
        assert (await ids("false"), await ids("true")) == (6, 1)

    run(body)


def test_what_cannot_be_done_is_a_warning_and_the_gateway_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    deeds = (
        "correct",
        "fill-late",
        "vanish",
        "expire",
        "locate",
        "liquidate, symbol: IBM",
        "lend, symbol: X, quantity: 1",
    )

    async def body() -> None:
        async with faulty("\n".join(f"{{at: 1, do: {deed}}}" for deed in deeds)) as (_, port), raw(port) as client:
            await asyncio.sleep(5)
            client.place(1, order())
            await client.heard.until("commissionReport")

    run(body)
    warnings = [
        r.getMessage() for r in caplog.records if r.name.endswith("gateway.script") and r.levelname == "WARNING"
    ]
    assert [text.partition(":")[0] for text in warnings] == [deed.partition(",")[0] for deed in deeds]


def test_a_deed_on_its_own_report_ends() -> None:
    async def body() -> None:
        faults = '{on: execDetails, times: 5, do: correct, by: "0.01"}'
        async with faulty(faults) as (_, port), raw(port) as client:
            client.place(1, order())
            await asyncio.sleep(30)
            assert [revision for revision, *_ in executions(client)] == ["01", "02", "03", "04", "05", "06"]

    run(body)


def test_the_log_replays_to_the_same_state(tmp_path: Path) -> None:
    faults = """{on: execDetails, wait: 5, do: correct, by: "0.05", quantity: 90}
        {on: cancelOrder, do: fill-late}
        {at: 15, do: manual-order, symbol: IBM, quantity: 10}
        {at: 20, do: liquidate, symbol: AAPL, quantity: 30}
        {at: 22, do: halt, symbol: AAPL, seconds: 900}
        {at: 25, do: vanish}
        {at: 30, do: restart, seconds: 5, rollback: true}"""
    config = GatewayConfig(faults=script(faults), state=tmp_path)

    def state(served: Gateway) -> Sequence[object]:
        account = served.book.account
        held = {iid: (h.quantity, h.cost, h.realized) for iid, h in account.holdings.items()}
        tickets = [(t.perm_id, t.status, t.filled, t.paid) for t in served.book.blotter.tickets.values()]
        halts = served.book.halts, served.book.venue.halted
        return account.cash, held, tickets, served.book.executions, served.book.next_id(1), halts

    async def body() -> None:
        panel = market()
        served = Gateway(panel, venue(panel), config)
        port = await served.serve()
        async with raw(port) as client:
            client.place(1, order())
            client.place(2, order(kind="LMT", lmtPrice=50))
            await client.heard.until("commissionReport")
            client.client.cancelOrder(2)
            await asyncio.sleep(35)
        await served.close()
        before = state(served)
        again = Gateway(panel, venue(panel), config)
        after = state(again)
        again.desk.close()
        assert after == before
        assert after[4] == 1

    run(body)
    record = GatewayRecord.read(tmp_path)
    assert {str(iid).split(".")[0]: q for iid, q in record.positions.items()} == {"AAPL": 160, "IBM": 10}
    assert record.cash < Decimal(1_000_000)
