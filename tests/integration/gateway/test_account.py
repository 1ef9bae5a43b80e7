"""The account as ib_async's own facade understands it: values, live updates, and not one error line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import ib_async
import pytest

from tests.integration.gateway.world import ACCOUNT, LOCK_STEP, Raw, facade, gateway, order, raw, run


@pytest.fixture(autouse=True)
def _no_error_lines(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR] == []


def aapl() -> ib_async.Contract:
    return ib_async.Stock("AAPL", "SMART", "USD")


def test_the_facade_reads_summary_profit_and_positions() -> None:
    async def body() -> None:
        async with gateway() as (_, port), facade(port) as ib:
            contract = aapl()
            await ib.qualifyContractsAsync(contract)
            await ib.reqCurrentTimeAsync()
            total, single = ib.reqPnL(ACCOUNT), ib.reqPnLSingle(ACCOUNT, "", contract.conId)
            ib.placeOrder(contract, ib_async.MarketOrder("BUY", 100))
            await ib.reqCurrentTimeAsync()
            # Bought at 100.01 and a dollar of commission; the session ended at 100.25.
            assert (total.dailyPnL, total.unrealizedPnL, total.realizedPnL) == (23.0, 23.0, 0.0)
            assert (single.position, single.value, single.dailyPnL) == (100, 10_025.0, 23.0)
            ib.placeOrder(contract, ib_async.MarketOrder("SELL", 40))
            await ib.reqCurrentTimeAsync()
            # Sold 40 at 100.99 (cost 100.02 each) with a dollar of commission and some cents of fees; closed at 101.25.
            realized = total.realizedPnL
            assert realized == pytest.approx(40 * (100.99 - 100.02) - 1, abs=0.2)
            assert total.unrealizedPnL == single.unrealizedPnL == pytest.approx(60 * (101.25 - 100.02))
            assert total.dailyPnL == pytest.approx(realized + total.unrealizedPnL - 23.0)
            assert (single.position, single.realizedPnL, single.value) == (60, realized, 6_075.0)
            await ib.reqCurrentTimeAsync()
            assert (total.dailyPnL, total.realizedPnL) == (60.0, 0.0)  # a new day: 60 shares up one
            ib.cancelPnL(ACCOUNT)
            ib.cancelPnLSingle(ACCOUNT, "", contract.conId)
            values = {v.tag: (v.value, v.currency) for v in await ib.accountSummaryAsync()}
            assert values["GrossPositionValue"] == ("6135.00", "USD")
            assert values["FullInitMarginReq"] == values["InitMarginReq"] == ("3067.50", "USD")
            assert values["AccountType"] == ("INDIVIDUAL", "")
            assert values["Leverage"][0].startswith("0.006")

    run(body)


def test_family_codes_and_user_info_are_answered() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            peer.client.reqFamilyCodes()
            peer.client.reqUserInfo(4)
            peer.client.reqManagedAccts()
            assert (await peer.heard.until("familyCodes"))[0][0].accountID == ACCOUNT
            assert await peer.heard.until("userInfo") == (4, "")
            assert await peer.heard.until("managedAccounts", 2) == (ACCOUNT,)

    run(body)


async def trade(peer: Raw, order_id: int, side: str = "BUY") -> None:
    """Trade a hundred shares in the next session."""
    peer.place(order_id, order(side))
    await peer.next_session()


def test_positions_are_told_when_they_change_by_model_too() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.client.reqPositions()
            peer.client.reqPositionsMulti(7, ACCOUNT, "")
            await peer.heard.until("positionMultiEnd")
            await trade(peer, 1)
            await peer.next_session()  # only its price changes
            await trade(peer, 2, "SELL")
            await trade(peer, 3, "SELL")
            assert [args[2] for args in peer.heard.all("position")] == [100, 0, -100]
            assert [(a[0], a[1], a[3].symbol, a[4]) for a in peer.heard.all("positionMulti")] == [
                (7, ACCOUNT, "AAPL", 100), (7, ACCOUNT, "AAPL", 0), (7, ACCOUNT, "AAPL", -100),
            ]  # fmt: skip
            peer.client.cancelPositions()
            peer.client.cancelPositionsMulti(7)
            await trade(peer, 4)
            assert len(peer.heard.all("position")) == len(peer.heard.all("positionMulti")) == 3

    run(body)


def test_account_values_of_a_request_are_told_when_they_change_until_it_ends() -> None:
    async def body() -> None:
        async with gateway() as (_, port), raw(port) as peer:
            await peer.next_session()
            peer.client.reqAccountUpdatesMulti(5, ACCOUNT, "", False)
            peer.client.reqAccountUpdatesMulti(6, ACCOUNT, "", True)
            await peer.heard.until("accountUpdateMultiEnd", 2)
            first = len(peer.heard.all("accountUpdateMulti"))
            await trade(peer, 1)
            news: list[Any] = peer.heard.all("accountUpdateMulti")[first:]
            assert ("TotalCashValue", "989998.00") in [a[3:5] for a in news if a[0] == 5]
            assert "AccountType" not in [a[3] for a in news]
            assert {a[3] for a in news if a[0] == 6} == {
                "CashBalance",
                "NetLiquidation",
                "StockMarketValue",
                "UnrealizedPnL",
            }
            peer.client.cancelAccountUpdatesMulti(5)
            peer.client.cancelAccountUpdatesMulti(6)
            count = len(peer.heard.all("accountUpdateMulti"))
            await trade(peer, 2)
            assert len(peer.heard.all("accountUpdateMulti")) == count

    run(body)


def test_two_summaries_at_most_and_only_our_account() -> None:
    async def body() -> None:
        async with gateway(LOCK_STEP) as (_, port), raw(port) as peer:
            for req_id in (1, 2, 3):
                peer.client.reqAccountSummary(req_id, "All", "NetLiquidation,$LEDGER,Nonsense")
            peer.client.cancelAccountSummary(1)
            peer.client.reqAccountSummary(4, "All", "Cushion")
            peer.client.reqAccountSummary(5, "Mine", "Cushion")
            peer.client.reqAccountUpdates(True, "DU9")
            peer.client.reqPnL(6, "DU9", "")
            peer.client.reqPnLSingle(7, ACCOUNT, "", 123)
            await peer.next_session()
            assert peer.codes() == [322, 321, 321, 321, 200]
            assert [a[0] for a in peer.heard.all("accountSummaryEnd")] == [1, 2, 4]
            told = {a[2]: a[3:] for a in peer.heard.all("accountSummary") if a[0] == 2}
            assert told["NetLiquidation"] == ("1000000.00", "USD")
            assert set(told) == {"NetLiquidation", "CashBalance", "StockMarketValue", "RealizedPnL", "UnrealizedPnL"}
            assert [a[2:] for a in peer.heard.all("accountSummary") if a[0] == 4] == [("Cushion", "1.000000", "")]

    run(body)
