"""Market data and contracts as ib_async's own facade understands them: values, and not one error line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import ib_async
import numpy as np
import pytest

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, Venue, stock
from robotrader.simulation.gateway import GatewayConfig
from robotrader.simulation.gateway.connection import MarketDataRules
from tests.integration.gateway.world import WAIT_S, facade, gateway, market, raw, run

NS = 10**9
OPEN = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
OPEN_NS = int(OPEN.timestamp()) * NS
MINUTE = 60 * NS
DAY = 86_400 * NS


@pytest.fixture(autouse=True)
def _no_error_lines(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR] == []


def minutes(days: int = 3, each: int = 390) -> Panel:
    """Minute bars of AAPL: each opens at 100 + its number / 100, rises by 1, falls by 1, ends up 0.10."""
    opened = np.concatenate([OPEN_NS + d * DAY + MINUTE * np.arange(each, dtype=np.int64) for d in range(days)])
    price = 100 + np.arange(len(opened), dtype=np.float64)[:, None] / 100
    return Panel(
        instruments=(stock("AAPL", Venue.NASDAQ),), spec=BarSpec.MINUTE, opened=opened, ts=opened + MINUTE, open=price,
        high=price + 1, low=price - 1, close=price + 0.1, volume=np.full_like(price, 600.0),
    )  # fmt: skip


def at(minute: float, *, day: int = 1, **rules: Any) -> GatewayConfig:
    """Return a lock-step gateway that begins so many minutes into a session."""
    start = OPEN_NS + day * DAY + round(minute * 60) * NS
    return GatewayConfig(lock_step=True, step="session", start=start, market_data=MarketDataRules(**rules))


def aapl() -> ib_async.Contract:
    return ib_async.Stock("AAPL", "SMART", "USD")


async def qualified(ib: ib_async.IB) -> ib_async.Contract:
    (found,) = await ib.qualifyContractsAsync(aapl())
    assert isinstance(found, ib_async.Contract)
    return found


async def until(condition: Callable[[], bool], event: Any) -> None:
    """Wait for events until the condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await event


def test_contract_details_are_those_of_a_stock() -> None:
    async def body() -> None:
        async with gateway() as (_, port), facade(port) as ib:
            (details,) = await ib.reqContractDetailsAsync(ib_async.Stock("AAPL", "NASDAQ", "USD"))
            contract = details.contract
            assert contract is not None
            assert (contract.exchange, contract.primaryExchange, contract.tradingClass) == ("NASDAQ", "NASDAQ", "NMS")
            assert (details.marketName, details.longName, details.stockType) == ("NMS", "AAPL", "COMMON")
            assert (details.validExchanges, details.marketRuleIds) == ("SMART,NASDAQ", "26,26")
            assert (details.minTick, details.minSize, details.sizeIncrement) == (0.01, 1.0, 1.0)
            assert details.tradingHours == details.liquidHours
            assert {"LMT", "MKT", "TRAIL"} < set(details.orderTypes.split(","))
            increments = await ib.reqMarketRuleAsync(26)
            assert increments is not None
            (increment,) = increments
            assert (increment.lowEdge, increment.increment) == (0.0, 0.01)

    run(body)


def test_symbols_are_found_by_their_beginning() -> None:
    async def body() -> None:
        async with gateway() as (_, port), facade(port) as ib:
            samples = await ib.reqMatchingSymbolsAsync("ib")
            assert samples is not None
            (found,) = samples
            assert found.contract is not None
            assert (found.contract.symbol, found.contract.primaryExchange) == ("IBM", "NYSE")
            assert found.derivativeSecTypes == []
            assert await ib.reqMatchingSymbolsAsync("MS") == []

    run(body)


def test_level_one_is_a_function_of_the_market_time() -> None:
    async def body() -> None:
        async with gateway(at(10.5), minutes()) as (_, port), facade(port) as ib:
            contract = await qualified(ib)
            ticker = ib.reqMktData(contract, "233,236")
            await until(lambda: not np.isnan(ticker.shortableShares), ticker.updateEvent)
            # Minute 400 opens at 104.00; rising, it falls to 103 first and is half way up to 105 after 30 s.
            assert (ticker.bid, ticker.ask, ticker.last) == (103.99, 104.01, 104.0)
            assert (ticker.bidSize, ticker.askSize, ticker.lastSize) == (500.0, 700.0, 600.0)
            assert (ticker.open, ticker.high, ticker.low, ticker.close) == (103.9, 104.99, 102.9, 103.99)
            assert (ticker.volume, ticker.rtVolume) == (6_300.0, 6_300.0)
            assert ticker.lastTimestamp == ticker.rtTime == datetime(2024, 1, 3, 14, 40, 30, tzinfo=UTC)
            assert ticker.vwap == 103.963492  # of highest, lowest and last of each minute
            assert (ticker.shortable, ticker.marketDataType, ticker.minTick) == (3.0, 1, 0.01)
            await ib.reqCurrentTimeAsync()
            await ib.reqCurrentTimeAsync()
            assert (ticker.last, ticker.high, ticker.volume) == (107.89, 108.79, 390 * 600.0)
            ib.cancelMktData(contract)
            await ib.reqCurrentTimeAsync()
            assert ticker.last == 107.89

    run(body)


def test_a_snapshot_ends() -> None:
    async def body() -> None:
        async with gateway(at(10), minutes()) as (_, port), facade(port) as ib:
            contract = await qualified(ib)
            (ticker,) = await ib.reqTickersAsync(contract)
            assert (ticker.bid, ticker.ask, ticker.last) == (104.08, 104.1, 104.09)

    run(body)


def test_delayed_data_are_a_quarter_of_an_hour_old() -> None:
    async def body() -> None:
        async with gateway(at(25.5, delayed=True), minutes()) as (_, port), facade(port) as ib:
            contract = await qualified(ib)
            ib.reqMarketDataType(3)
            ticker = ib.reqMktData(contract, "233")
            await until(lambda: ticker.delayedLastTimestamp is not None, ticker.updateEvent)
            assert (ticker.marketDataType, ticker.bid, ticker.last, ticker.volume) == (3, 103.99, 104.0, 6_300.0)
            assert (ticker.open, ticker.high, ticker.low, ticker.close) == (103.9, 104.99, 102.9, 103.99)
            assert ticker.delayedLastTimestamp == datetime(2024, 1, 3, 14, 40, 30, tzinfo=UTC)
            assert ticker.rtTime is None

    run(body)


def test_tick_by_tick_tells_what_happens_from_now_on() -> None:
    async def body() -> None:
        async with gateway(at(10.5), minutes()) as (_, port), raw(port) as peer:
            for req_id, kind in enumerate(("Last", "AllLast", "BidAsk", "MidPoint"), 1):
                peer.client.reqTickByTickData(req_id, aapl(), kind, 0, False)
            await peer.next_session()
            assert peer.heard.names("tickByTickAllLast", "tickByTickBidAsk", "tickByTickMidPoint") == []
            closed = await peer.next_session()
            last, all_last = peer.heard.all("tickByTickAllLast")
            assert last[:5] == (1, 1, closed, 107.89, 800.0)
            assert last[6:] == ("NASDAQ", "")
            assert all_last[:5] == (2, 2, *last[2:5])
            ((req_id, ts, *sides, _),) = peer.heard.all("tickByTickBidAsk")
            assert (req_id, ts, sides) == (3, closed, [107.88, 107.9, 700.0, 900.0])
            assert peer.heard.all("tickByTickMidPoint") == [(4, closed, 107.89)]
            for req_id in (1, 2, 3, 4):
                peer.client.cancelTickByTickData(req_id)
            await peer.next_session()
            assert len(peer.heard.all("tickByTickAllLast")) == 2
            assert peer.codes() == []

    run(body)


def test_the_facade_takes_tick_by_tick_data() -> None:
    async def body() -> None:
        async with gateway(at(10.5), minutes()) as (_, port), facade(port) as ib:
            contract = await qualified(ib)
            ticker = ib.reqTickByTickData(contract, "BidAsk")
            await ib.reqCurrentTimeAsync()
            await ib.reqCurrentTimeAsync()
            assert (ticker.bid, ticker.ask) == (107.88, 107.9)

    run(body)


def test_real_time_bars_cover_every_five_seconds() -> None:
    async def body() -> None:
        async with gateway(at(389.5), minutes()) as (_, port), facade(port) as ib:
            trades = ib.reqRealTimeBars(aapl(), 5, "TRADES", True)
            asks = ib.reqRealTimeBars(aapl(), 5, "ASK", True)
            await ib.reqCurrentTimeAsync()
            await ib.reqCurrentTimeAsync()
            await until(lambda: len(asks) == 6, asks.updateEvent)
            assert [b.time.second for b in trades] == [30, 35, 40, 45, 50, 55]
            assert trades[-1].close == 107.89
            assert [b.volume for b in trades] == [50.0] * 6
            assert [round(a.high - t.high, 2) for a, t in zip(asks, trades, strict=True)] == [0.01] * 6
            assert asks[0].volume == -1
            ib.cancelRealTimeBars(trades)
            ib.cancelRealTimeBars(asks)

    run(body)


def test_history_of_quotes_is_a_tick_from_the_trades() -> None:
    async def body() -> None:
        async with gateway(at(1), minutes()) as (_, port), facade(port) as ib:
            found = {}
            for what in ("TRADES", "ADJUSTED_LAST", "MIDPOINT", "BID", "ASK", "BID_ASK"):
                (bar,) = await ib.reqHistoricalDataAsync(aapl(), "", "60 S", "1 min", what, True, formatDate=2)
                found[what] = (bar.open, bar.high, bar.low, bar.close, bar.volume)
                assert bar.date == datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
            assert found == {
                "TRADES": (103.9, 104.9, 102.9, 104.0, 600.0), "ADJUSTED_LAST": (103.9, 104.9, 102.9, 104.0, 600.0),
                "MIDPOINT": (103.9, 104.9, 102.9, 104.0, -1.0), "BID": (103.89, 104.89, 102.89, 103.99, -1.0),
                "ASK": (103.91, 104.91, 102.91, 104.01, -1.0),
                "BID_ASK": (103.906667, 104.91, 102.89, 103.926667, -1.0),
            }  # fmt: skip
            hours = await ib.reqHistoricalDataAsync(aapl(), "", "1 D", "4 hours", "TRADES", True)
            assert [b.volume for b in hours] == [600.0]

    run(body)


def test_history_kept_up_to_date_misses_no_bar() -> None:
    async def body() -> None:
        async with gateway(at(388), minutes()) as (_, port), facade(port) as ib:
            bars = await ib.reqHistoricalDataAsync(aapl(), "", "120 S", "1 min", "TRADES", True, keepUpToDate=True)
            assert [str(b.date)[14:16] for b in bars] == ["56", "57"]
            await ib.reqCurrentTimeAsync()
            await ib.reqCurrentTimeAsync()
            await until(lambda: len(bars) == 4, bars.updateEvent)
            assert [str(b.date)[14:16] for b in bars] == ["56", "57", "58", "59"]
            assert [b.volume for b in bars] == [600.0] * 4
            ib.cancelHistoricalData(bars)
            await ib.reqCurrentTimeAsync()
            assert len(bars) == 4

    run(body)


def test_the_head_timestamp_is_the_first_bar_s() -> None:
    async def body() -> None:
        async with gateway(at(0), minutes()) as (_, port), facade(port) as ib:
            assert await ib.reqHeadTimeStampAsync(aapl(), "TRADES", True, 1) == OPEN.replace(tzinfo=None)
            assert await ib.reqHeadTimeStampAsync(aapl(), "BID", True, 2) == OPEN

    run(body)


def test_what_cannot_be_is_refused_with_the_code_of_the_real_one() -> None:
    async def body() -> None:
        config = at(10, lines=1)
        async with gateway(config, minutes()) as (_, port), raw(port) as peer:
            client, ibm = peer.client, ib_async.Stock("IBM", "SMART", "USD")
            client.reqMktData(1, aapl(), "", False, False, [])
            for req_id, contract, generics, snapshot in (
                (1, aapl(), "", False), (2, aapl(), "", False), (3, ibm, "", False), (4, aapl(), "233", True),
                (5, aapl(), "nonsense", False), (6, aapl(), "", True),
            ):  # fmt: skip
                client.reqMktData(req_id, contract, generics, snapshot, False, [])
            client.cancelMktData(1)
            client.cancelMktData(1)
            client.cancelTickByTickData(9)
            client.cancelRealTimeBars(9)
            client.cancelHistoricalData(9)
            client.reqTickByTickData(10, aapl(), "Nonsense", 0, False)
            for req_id in (11, 12, 13, 14):
                client.reqTickByTickData(req_id, aapl(), "Last", 0, False)
            client.reqRealTimeBars(15, aapl(), 5, "OPTIONS", True, [])
            client.reqHeadTimeStamp(16, ibm, "TRADES", True, 1)
            client.reqMarketDataType(9)
            client.reqMarketRule(1)
            client.reqContractDetails(17, ib_async.Contract(secType="NOPE", symbol="AAPL"))
            client.reqContractDetails(
                18, ib_async.Stock("AAPL", "SMART", "USD", secIdType="ISIN", secId="US0378331005")
            )
            await peer.next_session()
            assert [(a[0], a[1]) for a in peer.heard.all("error") if not 2100 <= a[1] < 2200] == [
                (1, 101), (2, 101), (3, 200), (4, 321), (5, 321), (1, 300), (9, 300), (9, 300), (9, 366), (10, 10189),
                (14, 10190), (15, 321), (16, 200), (-1, 321), (-1, 321), (17, 321), (18, 200),
            ]  # fmt: skip

    run(body)


def test_an_id_in_use_is_refused() -> None:
    async def body() -> None:
        async with gateway(at(10), minutes()) as (_, port), raw(port) as peer:
            peer.client.reqMktData(1, aapl(), "", False, False, [])
            peer.client.reqMktData(1, aapl(), "", False, False, [])
            peer.client.reqHistoricalData(1, aapl(), "", "60 S", "1 min", "TRADES", True, 1, True, [])
            peer.client.reqHistoricalData(1, aapl(), "", "60 S", "1 min", "TRADES", True, 1, True, [])
            await peer.next_session()
            assert peer.codes() == [322, 322]
            assert peer.heard.names("historicalDataEnd") == ["historicalDataEnd"]

    run(body)


def test_without_a_subscription_live_data_are_refused_and_delayed_data_announced() -> None:
    async def body() -> None:
        async with gateway(at(30, delayed=True), minutes()) as (_, port), raw(port) as peer:
            client = peer.client
            client.reqMktData(1, aapl(), "", False, False, [])
            client.reqTickByTickData(2, aapl(), "Last", 0, False)
            client.reqRealTimeBars(3, aapl(), 5, "TRADES", True, [])
            client.reqMarketDataType(4)
            client.reqMktData(4, aapl(), "", False, False, [])
            await peer.next_session()
            assert peer.codes() == [354, 10189, 420, 10167]
            names = [name for name, args in peer.heard.calls if args and args[0] == 4]
            assert names[:3] == ["error", "marketDataType", "tickReqParams"]
            assert {args[1] for args in peer.heard.all("priceSizeTick")} == {66, 67, 68, 72, 73, 75, 76}
            assert {args[1] for args in peer.heard.all("tickSize")} == {69, 70, 71, 74}

    run(body)


def test_pacing_is_enforced_if_wanted() -> None:
    async def body() -> None:
        async with gateway(at(0, pacing=True), market()) as (_, port), raw(port) as peer:
            assert len(await peer.history("AAPL", "1 D")) == 1
            assert await peer.history("AAPL", "1 D") == []
            assert "pacing violation" in peer.heard.all("error")[-1][2]
            assert len(await peer.history("AAPL", "2 D")) == 1
            assert peer.codes() == [162]

    run(body)
