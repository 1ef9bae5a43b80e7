"""ib_async's own facade works against the gateway, start-up fetches included."""

from __future__ import annotations

import ib_async

from robotrader.simulation.gateway import GatewayConfig
from tests.integration.gateway.world import ACCOUNT, facade, gateway, run


def aapl() -> ib_async.Contract:
    return ib_async.Stock("AAPL", "SMART", "USD")  # a new one each: qualifying changes it


def test_connect_account_contracts_and_history() -> None:
    async def body() -> None:
        async with gateway() as (server, port), facade(port) as ib:
            contract = aapl()
            assert ib.client.serverVersion() == 178
            assert ib.managedAccounts() == [ACCOUNT]
            values = {v.tag: v.value for v in ib.accountValues()}
            assert values["NetLiquidation"] == values["TotalCashValue"] == "1000000.00"
            assert values["AccountType"] == "INDIVIDUAL"
            (details,) = await ib.reqContractDetailsAsync(contract)
            assert details.contract is not None
            assert (details.minTick, details.contract.primaryExchange) == (0.01, "NASDAQ")
            assert details.liquidHours.startswith("20240102:0930-20240102:1600;20240103:0930-")
            assert await ib.reqContractDetailsAsync(ib_async.Stock("NOPE", "SMART", "USD")) == []
            assert (await ib.reqCurrentTimeAsync()).isoformat() == "2024-01-02T13:30:00+00:00"
            assert not await ib.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "TRADES", True)
            for _ in range(3):
                await ib.reqCurrentTimeAsync()
            bars = await ib.reqHistoricalDataAsync(contract, "", "2 D", "1 day", "TRADES", True)
            assert [(str(b.date), b.open, b.close, b.volume) for b in bars] == [
                ("2024-01-03", 101.0, 101.25, 1e6),
                ("2024-01-04", 102.0, 102.25, 1e6),
            ]
            told = await ib.reqCurrentTimeAsync()
            assert server.now == int(told.timestamp()) * 10**9

    run(body)


def test_an_order_fills_at_the_next_open_and_is_seen_everywhere() -> None:
    async def body() -> None:
        async with gateway() as (_, port), facade(port, 5) as ib:
            contract = aapl()
            await ib.qualifyContractsAsync(contract)
            await ib.reqCurrentTimeAsync()
            trade = ib.placeOrder(contract, ib_async.MarketOrder("BUY", 100, orderRef="RT-X"))
            await ib.reqCurrentTimeAsync()
            assert trade.orderStatus.status == "Filled"
            (fill,) = trade.fills
            assert (fill.execution.price, fill.execution.orderRef) == (100.01, "RT-X")
            assert fill.execution.time.isoformat() == "2024-01-02T14:30:00+00:00"
            assert (fill.commissionReport.commission, fill.commissionReport.currency) == (1.0, "USD")
            (position,) = ib.positions()
            assert (position.position, position.avgCost) == (100.0, 100.02)
            (held,) = ib.portfolio()
            assert (held.marketPrice, held.unrealizedPNL) == (100.25, 23.0)
            assert {v.tag: v.value for v in ib.accountValues()}["TotalCashValue"] == "989998.00"
            (done,) = await ib.reqCompletedOrdersAsync(False)
            assert (done.order.orderRef, done.orderStatus.status) == ("RT-X", "Filled")
            assert [f.execution.execId for f in await ib.reqExecutionsAsync()] == ["0000e0d5.00000001.01.01"]

    run(body)


def test_level_one_and_forming_bars_on_the_open_market() -> None:
    async def body() -> None:
        async with gateway(GatewayConfig(speed=3_600.0)) as (_, port), facade(port) as ib:
            contract = aapl()
            await ib.qualifyContractsAsync(contract)
            ticker = ib.reqMktData(contract)
            bars = await ib.reqHistoricalDataAsync(contract, "", "3 D", "1 day", "TRADES", True, keepUpToDate=True)
            assert len(bars) == 3
            trade = ib.placeOrder(contract, ib_async.MarketOrder("BUY", 10))
            await bars.updateEvent
            while not trade.isDone():
                await trade.statusEvent
            last = bars[-1]
            assert last.low <= trade.fills[0].execution.price - 0.02 <= last.high
            assert ticker.bid < ticker.last < ticker.ask

    run(body)
