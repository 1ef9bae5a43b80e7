"""What a client subscribed to: asked and answered without a socket, in the dialect of every version."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.simulation.gateway.answers import ANSWERS
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection, MarketDataRules, Stream
from robotrader.simulation.gateway.interventions import intervene
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.messages import Speaker
from robotrader.simulation.gateway.pacing import Pacer
from robotrader.simulation.gateway.quotes import ticks
from robotrader.simulation.gateway.record import Intervention
from robotrader.simulation.gateway.requests import decode
from robotrader.simulation.gateway.wire import split
from tests.unit.simulation.gateway.rig import (
    AAPL,
    DAY,
    FIRST_OPEN,
    IBM,
    SECOND,
    SESSION,
    book,
    flat,
    heard,
    panel,
    wire_order,
)

MINUTE = 60 * SECOND
STOCK = ["0", "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", ""]
OFFICIAL = ["0", "AAPL", "STK", "", "", "", "", "SMART", "", "USD", "", ""]
VERSIONS = [157, 163, 164, 166, 170, 174, 178]
LATER = [182, 186, 189, 192, 194, 196, 198, 200]


class Peer:
    """The far end of a connection: asks in fields, keeps the frames."""

    def __init__(self, of: Book, version: int = 178, **rules: Any) -> None:
        self.book = of
        self.version = version
        self.frames: list[bytes] = []
        line: Any = self
        self.connection = Connection(line, MarketDataRules(**rules))
        self.connection.speaker = Speaker(version, of.contracts, of.account.name)

    def send(self, data: bytes) -> None:
        while data:
            size = 4 + int.from_bytes(data[:4], "big")
            self.frames.append(data[:size])
            data = data[size:]

    def ask(self, *fields: object) -> list[list[str]]:
        """Ask, and return the fields of every message that came."""
        request = decode([str(f) for f in fields], self.version)
        ANSWERS[request.what](self.book, self.connection, request)
        return self.told()

    def until(self, ts: int) -> list[list[str]]:
        """Move the market, and return the fields of every message that came."""
        self.book.advance(ts)
        self.connection.refresh()
        return self.told()

    def told(self) -> list[list[str]]:
        frames, self.frames = self.frames, []
        return [split(data[4:].decode()) for data in frames]


def trading(version: int = 178, **rules: Any) -> Peer:
    """Return a peer of a market that has been open for an hour on its third day."""
    peer = Peer(book(panel(*[(100.0, 103.0, 98.0, 101.0)] * 5, instruments=(AAPL, IBM))), version, **rules)
    peer.until(FIRST_OPEN + 2 * DAY + 3_600 * SECOND)
    return peer


def quotes(peer: Peer, req_id: int = 1, generics: str = "233,236", contract: list[str] = STOCK) -> list[list[str]]:
    return peer.ask("1", "11", req_id, *contract, "0", generics, "0", "0", "")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_reads_well_at_every_version_of_ib_async(version: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "ib_async.Decoder")
    peer, frames = trading(version), []
    issuer = [""] * (version >= 176)
    requests: list[tuple[object, ...]] = [
        ("1", "11", 1, *STOCK, "0", "233,236", "0", "0", ""), ("6", "2", "1", "DU1"),
        ("9", "8", 2, *STOCK, "0", "", "", *issuer),
        ("20", 3, *STOCK, "0", "", "1 day", "2 D", "1", "TRADES", "1", "1", ""),
        ("50", "3", 4, *STOCK, "5", "BID", "1", ""),
        ("62", "1", 5, "All", "NetLiquidation"), ("61", "1"), ("74", "1", 6, "DU1", ""), ("76", "1", 7, "DU1", "", "0"),
        ("80",), ("81", 8, "A"), ("87", 9, *STOCK, "0", "1", "TRADES", "1"), ("91", 26), ("92", 10, "DU1", ""),
        ("94", 11, "DU1", "", peer.book.contracts.fields[AAPL.id]["conId"]),
        ("97", 12, *STOCK, "BidAsk", "0", "0"), ("104", 13),
    ]  # fmt: skip
    for fields in requests:
        request = decode([str(f) for f in fields], version)
        ANSWERS[request.what](peer.book, peer.connection, request)
    peer.book.place(1, wire_order())
    peer.book.advance(FIRST_OPEN + 3 * DAY + 5_400 * SECOND)
    peer.connection.refresh()
    frames = peer.frames
    calls = heard(version, *frames)
    assert len(calls) >= len(frames)
    assert not caplog.records
    assert {name for name, _ in calls} == {
        "accountDownloadEnd", "accountSummary", "accountSummaryEnd", "accountUpdateMulti", "accountUpdateMultiEnd",
        "contractDetails", "contractDetailsEnd", "familyCodes", "headTimestamp", "historicalData", "historicalDataEnd",
        "historicalDataUpdate", "marketDataType", "marketRule", "pnl", "pnlSingle", "position", "positionEnd",
        "positionMulti", "positionMultiEnd", "priceSizeTick", "realtimeBar", "symbolSamples", "tickByTickBidAsk",
        "tickGeneric", "tickReqParams", "tickSize", "tickString", "updateAccountTime", "updateAccountValue",
        "updatePortfolio", "userInfo",
    }  # fmt: skip


def test_level_one_differs_between_versions_only_by_the_unit_of_sizes() -> None:
    lots, shares = quotes(trading(157)), quotes(trading(200))
    assert len(lots) == len(shares)
    different = [(a, b) for a, b in zip(lots, shares, strict=True) if a != b]
    assert {a[3] for a, _ in different} == {"0", "1", "2", "3", "4", "5", "8", "48"}
    assert (["2", "6", "1", "0", "8"], ["2", "6", "1", "0", "800"]) in different
    assert ["2", "6", "1", "89", "10000000"] in lots


@pytest.mark.parametrize("version", LATER)
def test_field_counts_above_ib_async_are_those_of_the_official_clients(version: int) -> None:
    peer = trading(version)
    (details, end) = peer.ask("9", "8", 2, *OFFICIAL, "0", "", "", "")
    assert (len(details), len(end)) == (40 + (version >= 182) + (version >= 186), 3)
    answer = peer.ask("20", 3, *OFFICIAL, "0", "", "1 day", "2 D", "1", "TRADES", "1", "0", "")
    assert [len(m) for m in answer] == ([19, 4] if version >= 196 else [21])
    assert [len(m) for m in peer.ask("81", 4, "AAPL")] == [11]
    (tick, *_) = quotes(peer, contract=OFFICIAL)[2:]
    assert tick == ["1", "6", "1", "1", "99.07", "800", "1"]


def test_a_step_of_the_market_tells_only_what_changed() -> None:
    peer = trading()
    first = {tuple(m[:1] + m[3:4]): m[4:] for m in quotes(peer)}
    assert first["1", "4"] == ["99.08", "900", "0"]
    news = {tuple(m[:1] + m[3:4]): m[4:] for m in peer.until(peer.book.market.now + SECOND)}
    assert set(news) == {("2", "8"), ("46", "45"), ("46", "48")}  # a second is not a tick yet
    assert peer.until(peer.book.market.now) == []
    moved = {(m[0], m[3]) for m in peer.until(peer.book.market.now + 20 * MINUTE)}
    assert {("1", "1"), ("1", "2"), ("1", "4"), ("1", "7")} < moved
    assert not moved & {("1", "6"), ("1", "9"), ("1", "14"), ("45", "49"), ("45", "46")}


def test_a_quote_depends_on_the_time_and_not_on_the_steps_to_it() -> None:
    one, many = Market(flat(3)), Market(flat(3))
    target = FIRST_OPEN + DAY + 7_777 * SECOND
    list(one.advance(target))
    for second in range(0, 7_777, 11):
        list(many.advance(FIRST_OPEN + DAY + second * SECOND))
    list(many.advance(target))
    assert one.quote(AAPL.id) == many.quote(AAPL.id)
    assert one.quote(AAPL.id, 900 * SECOND) == Market(flat(3), target - 900 * SECOND).quote(AAPL.id)


def test_the_last_price_of_a_quote_is_the_one_that_orders_meet() -> None:
    market = Market(panel((100.0, 103.0, 98.0, 101.0), (101.0, 104.0, 97.0, 100.0)))
    for minutes in range(1, 2_000, 7):
        list(market.advance(FIRST_OPEN + minutes * MINUTE))
        quote = market.quote(AAPL.id)
        assert quote is not None
        assert float(quote.last) == market.last[AAPL.id]
        assert (quote.low or 0) <= quote.average <= (quote.high or 0)


def test_before_the_first_bar_there_is_no_quote() -> None:
    peer = Peer(book(flat(2)))
    assert [m[0] for m in quotes(peer, generics="")] == ["58", "81"]
    assert ["1", "6", "1", "14", "100.0", "0", "0"] in peer.until(FIRST_OPEN + SECOND)


def test_a_quote_is_encoded_once_for_all_who_speak_a_version() -> None:
    book_ = book(flat(3))
    peers = [Peer(book_, 178) for _ in range(4)]
    book_.advance(FIRST_OPEN + MINUTE)
    ticks.cache_clear()
    for req_id, peer in enumerate(peers):
        quotes(peer, req_id)
    for second in range(61, 71):
        book_.advance(FIRST_OPEN + second * SECOND)
        for peer in peers:
            peer.connection.refresh()
    assert ticks.cache_info().misses == 11


def account_news(peer: Peer, ts: int) -> set[str]:
    return {m[2] if m[0] == "6" else m[0] for m in peer.until(ts)}


def test_account_values_come_at_once_with_a_trade_and_else_every_three_minutes() -> None:
    peer = trading()
    now = peer.book.market.now
    assert {m[0] for m in peer.ask("6", "2", "1", "")} == {"6", "8", "54"}
    peer.book.place(1, wire_order())
    assert {"CashBalance", "GrossPositionValue", "7"} <= account_news(peer, now + SECOND)
    assert account_news(peer, now + 179 * SECOND) == set()
    assert {"NetLiquidation", "7", "8"} <= account_news(peer, now + 181 * SECOND)
    peer.ask("6", "2", "0", "")
    assert account_news(peer, now + 600 * SECOND) == set()


def test_profit_is_told_every_second_while_it_changes() -> None:
    peer = trading()
    now = peer.book.market.now
    assert peer.ask("92", 5, "DU1", "") == [["94", "5", "0", "0", "0"]]
    peer.book.place(1, wire_order())
    assert [m[:2] for m in peer.until(now + 200 * SECOND)] == [["94", "5"]]
    assert peer.until(now + 200 * SECOND + SECOND // 2) == []
    ((_, _, daily, unrealized, realized),) = peer.until(FIRST_OPEN + 2 * DAY + SESSION)
    assert (float(daily), float(unrealized), float(realized)) == (192.0, 192.0, 0.0)  # bought at 99.08, closed at 101
    ((_, _, daily, unrealized, realized),) = peer.until(FIRST_OPEN + 3 * DAY + SESSION // 3)
    assert (float(daily), float(unrealized), float(realized)) == (-300.0, -108.0, 0.0)  # 98 against 101


def test_a_correction_and_a_bust_change_the_profit_of_the_day() -> None:
    peer = trading()
    peer.ask("92", 5, "DU1", "")
    peer.book.place(1, wire_order())
    peer.until(FIRST_OPEN + 2 * DAY + SESSION)
    (execution,) = peer.book.executions
    correction = Intervention(deed="correct", exec_id=execution.exec_id, price=Decimal("98.08"))
    intervene(peer.book, correction)
    assert [float(v) for m in peer.until(peer.book.market.now) for v in m[2:]] == [292.0, 292.0, 0.0]
    intervene(peer.book, structs.replace(correction, quantity=0))
    assert [float(v) for m in peer.until(peer.book.market.now) for v in m[2:]] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("shares", "shortable"), [(1_000, "3.0"), (999, "2.0"), (0, "1.0")])
def test_the_shortable_tick_tells_how_hard_it_is_to_borrow(shares: int, shortable: str) -> None:
    peer = trading()
    intervene(peer.book, Intervention(deed="lend", instrument=AAPL.id, quantity=shares))
    found = quotes(peer, generics="236")
    assert ["45", "6", "1", "46", shortable] in found
    assert ["2", "6", "1", "89", str(shares)] in found


def test_real_time_bars_make_up_the_bar() -> None:
    data = panel((100.0, 103.0, 98.0, 101.0))
    peer = Peer(book(data))
    assert peer.ask("50", "3", 4, *STOCK, "5", "TRADES", "1", "") == []
    bars = peer.until(FIRST_OPEN + 7 * SECOND)
    assert [int(m[3]) - FIRST_OPEN // SECOND for m in bars] == [0]
    bars += peer.until(FIRST_OPEN + SESSION)
    assert [int(m[3]) * SECOND for m in bars] == list(range(FIRST_OPEN, FIRST_OPEN + SESSION, 5 * SECOND))
    opens, highs, lows, closes = ([float(m[k]) for m in bars] for k in (4, 5, 6, 7))
    assert (opens[0], max(highs), min(lows), closes[-1]) == (100.0, 103.0, 98.0, 101.0)
    assert len(peer.connection._streams) == 1
    assert peer.ask("51", "1", 4) == []
    assert peer.until(FIRST_OPEN + DAY) == []


def test_a_stream_sends_what_changed_and_asks_for_it_only_when_the_moment_did() -> None:
    now, asked = [1], []

    def state(sent: Any) -> Any:
        asked.append(len(sent))
        yield "a", b"same"
        yield "b", b"%d" % (now[0] // 2)

    stream = Stream(lambda: now[0], state)
    assert stream.news() == [b"same", b"0"]
    assert stream.news() == []
    now[0] = 2
    assert stream.news() == [b"1"]
    now[0] = 3
    assert stream.news() == []
    assert asked == [0, 2, 2]


def take(pacer: Pacer, now: float, question: object, series: object = "s", **more: int) -> bool:
    return pacer.take(now, question, series, **{"open_now": 0, "weight": 1, **more})


def test_pacing_identical_requests_wait_fifteen_seconds() -> None:
    pacer = Pacer()
    assert [take(pacer, t, "q") for t in (0.0, 14.9, 15.0)] == [True, False, True]


def test_pacing_five_of_one_series_in_two_seconds() -> None:
    pacer = Pacer()
    assert [take(pacer, 0.1 * n, n) for n in range(6)] == [True] * 5 + [False]
    assert take(pacer, 0.6, "other", "another series")
    assert take(pacer, 2.05, 7)


def test_pacing_sixty_in_ten_minutes_and_bid_ask_counts_twice() -> None:
    pacer = Pacer()
    assert all(take(pacer, n * 0.5, n, n, weight=2) for n in range(30))
    assert not take(pacer, 599.0, "one more")
    assert take(pacer, 600.0, "one more")


def test_pacing_fifty_open() -> None:
    assert take(Pacer(), 0.0, "q", open_now=49)
    assert not take(Pacer(), 0.0, "q", open_now=50)
