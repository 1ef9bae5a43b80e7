"""Minute bars made of what is streamed, and asked for where pieces are missing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.feed import IbkrFeed
from robotrader.model import BarsClosed, BarSpec, ConfigError
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import Handler, ScriptedGateway
from tests.integration.ibkr.session import connected
from tests.integration.ibkr.supervised import Desk, supervised
from tests.integration.ibkr.test_feed import AAPL, DAYS, SESSIONS, SPY, at

OPEN = at(DAYS[5], 9, 30)
MINUTE, SECOND = 60 * 10**9, 10**9
ASKED = "10.0|20.0|5.0|15.0|1200|10.5|7"

Scenario = Callable[[IbkrFeed, Arrivals, "Stream"], Awaitable[None]]


class Stream:
    """The gateway's side of both subscriptions."""

    def __init__(self, peer: ScriptedGateway) -> None:
        self.peer = peer
        self._ids: dict[str, str] = {}

    async def watched(self) -> None:
        self._ids |= {fields[4]: fields[2] for fields in await self.peer.until("50", 2)}

    def say(self, symbol: str, *seconds: int, price: float = 10.0) -> None:
        """Send the pieces that begin so many seconds after the open."""
        self.peer.say(*(
            f"50|3|{self._ids[symbol]}|{OPEN // SECOND + s}|{price}|{price + 1}|{price - 1}|{price}|100|10.1|3"
            for s in seconds
        ))  # fmt: skip

    def refuse(self, symbol: str) -> None:
        self.peer.say(f"4|2|{self._ids[symbol]}|10225|Bust event occurred, current subscription is deactivated.|")


def minutes(fields: list[str]) -> Sequence[str]:
    """Answer with the first ten minutes of the session."""
    rows = [f"{OPEN // SECOND + 60 * n}|{ASKED}" for n in range(10)]
    return ["|".join(["17", fields[1], "start", "end", str(len(rows)), *rows])]


def streaming(scenario: Scenario, *, on20: Handler = minutes, **options: Any) -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        default = {"deliver_after": OPEN, "timeout_s": 5.0, "spec": BarSpec.MINUTE, "grace_s": 5.0}
        feed = IbkrFeed(link, inbox, (AAPL, SPY), SESSIONS, **{**default, **options})
        stream = Stream(peer)
        await stream.watched()
        await scenario(feed, inbox, stream)

    connected(run, on20=on20)


async def heard(inbox: Arrivals, stream: Stream) -> None:
    """Wait until all that was said so far has been heard."""
    stream.peer.say("4|2|-1|2104|Market data farm connection is OK:usfarm|")
    inbox.notices.clear()
    while not inbox.notices:
        await inbox.next()


def test_a_minute_closes_when_the_clock_has_passed_it_and_all_pieces_of_all_are_there() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        stream.say("AAPL", *range(0, 60, 5))
        stream.say("SPY", *range(5, 55, 5))
        stream.say("SPY", 0, price=30.0)  # late, and still the open
        await heard(inbox, stream)
        feed.on_time(OPEN + 59 * SECOND)
        feed.on_time(OPEN + MINUTE)
        assert inbox.of(BarsClosed) == []
        stream.say("SPY", 55, price=12.0)
        await heard(inbox, stream)
        feed.on_time(OPEN + MINUTE + SECOND)
        [event] = inbox.of(BarsClosed)
        first, second = event.bars
        assert (event.ts_event, first.ts_event, first.spec) == (OPEN + MINUTE, OPEN + MINUTE, BarSpec.MINUTE)
        assert (first.instrument, first.open, first.high, first.low, first.close, first.volume) == (
            AAPL.id, 10.0, 11.0, 9.0, 10.0, 1200.0,
        )  # fmt: skip
        assert (second.open, second.high, second.close, second.volume) == (30.0, 31.0, 12.0, 1200.0)
        assert stream.peer.requests("20") == []
        [ask, _] = stream.peer.requests("50")
        assert ask[4:] == ["AAPL", "STK", "", "0.0", "", "", "SMART", "NASDAQ", "USD", "", "", "5", "TRADES", "1", ""]

    streaming(scenario)


def test_what_was_delivered_does_not_come_again_whatever_is_repeated() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        for _ in range(2):
            stream.say("AAPL", *range(0, 120, 5))
            stream.say("SPY", *range(0, 120, 5))
            stream.say("SPY", *range(0, 60, 5), price=70.0)
            await heard(inbox, stream)
            feed.on_time(OPEN + 2 * MINUTE + 10 * SECOND)
        assert [(e.ts_event, [b.close for b in e.bars]) for e in inbox.of(BarsClosed)] == [
            (OPEN + MINUTE, [10.0, 10.0]), (OPEN + 2 * MINUTE, [10.0, 10.0]),
        ]  # fmt: skip
        assert stream.peer.requests("20") == []
        assert feed._live is not None
        assert not any(feed._live._pieces.values())  # nor is it kept

    streaming(scenario)


def test_a_bar_with_a_missing_piece_is_asked_for_when_its_grace_is_over() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        stream.say("AAPL", *range(0, 60, 5))
        stream.say("SPY", *range(0, 30, 5), *range(35, 60, 5))
        await heard(inbox, stream)
        feed.on_time(OPEN + MINUTE + 4 * SECOND)
        assert not feed.pending()
        feed.on_time(OPEN + MINUTE + 5 * SECOND)
        assert feed.pending()
        [event] = await inbox.until(BarsClosed)
        assert [(b.close, b.volume) for b in event.bars] == [(10.0, 1200.0), (15.0, 1200.0)]
        [request] = stream.peer.requests("20")
        assert (request[3], request[15:18], request[20]) == ("SPY", ["", "1 min", "1 D"], "2")

    streaming(scenario)


def test_a_malformed_piece_is_dropped_aloud_and_its_bar_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        stream.say("AAPL", *range(0, 60, 5))
        stream.say("SPY", *range(0, 55, 5))
        stream.say("SPY", 55, price=-4.0)
        await heard(inbox, stream)
        feed.on_time(OPEN + MINUTE + 5 * SECOND)
        [event] = await inbox.until(BarsClosed)
        assert [b.close for b in event.bars] == [10.0, 15.0]

    streaming(scenario)
    assert "SPY.ARCA bar that ended 2026-04-13T13:31:00Z: prices must be above zero" in caplog.text


def test_of_a_silent_instrument_nothing_is_expected_until_it_speaks() -> None:
    def only_old(fields: list[str]) -> Sequence[str]:
        return ["|".join(["17", fields[1], "s", "e", "1", f"{at(DAYS[4], 9, 30) // SECOND}|{ASKED}"])]

    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        for minute in range(3):
            stream.say("AAPL", *range(60 * minute, 60 * minute + 60, 5))
            await heard(inbox, stream)
            feed.on_time(OPEN + (minute + 1) * MINUTE + 5 * SECOND)
            await inbox.until(BarsClosed, minute + 1)
        assert [[b.instrument for b in e.bars] for e in inbox.of(BarsClosed)] == [[AAPL.id]] * 3
        assert [f[3] for f in stream.peer.requests("20")] == ["SPY"]
        stream.say("AAPL", *range(180, 235, 5))
        await heard(inbox, stream)
        feed.on_time(OPEN + 4 * MINUTE + 5 * SECOND)
        await inbox.until(BarsClosed, 4)
        assert [f[3] for f in stream.peer.requests("20")] == ["SPY", "AAPL"]
        for symbol in ("AAPL", "SPY"):
            stream.say(symbol, *range(240, 300, 5))
        await heard(inbox, stream)
        feed.on_time(OPEN + 5 * MINUTE)
        assert len(inbox.of(BarsClosed)[-1].bars) == 2

    streaming(scenario, on20=only_old)


def test_without_a_subscription_each_bar_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        stream.refuse("SPY")
        stream.say("AAPL", *range(0, 60, 5))
        await heard(inbox, stream)
        feed.on_time(OPEN + MINUTE + 5 * SECOND)
        [event] = await inbox.until(BarsClosed)
        assert [b.close for b in event.bars] == [10.0, 15.0]

    streaming(scenario)
    assert "SPY.ARCA has no live bars" in caplog.text


def test_a_subscription_that_failed_is_tried_again_each_minute_and_a_new_session_begins_anew() -> None:
    async def scenario(desk: Desk) -> None:
        IbkrFeed(desk.connection, desk, (AAPL, SPY), SESSIONS, spec=BarSpec.MINUTE)
        stream = Stream(desk.peer)
        await stream.watched()
        stream.refuse("SPY")
        await asyncio.sleep(59)
        assert [f[4] for f in desk.peer.requests("50")] == ["AAPL", "SPY"]
        await asyncio.sleep(2)
        assert [f[4] for f in desk.peer.requests("50")] == ["AAPL", "SPY", "SPY"]
        desk.peer.hang_up()
        await asyncio.sleep(30)
        assert [f[4] for f in desk.peer.requests("50")] == ["AAPL", "SPY"]
        desk.peer.say("4|2|-1|1100|Connectivity between IB and TWS has been lost|")
        desk.peer.say("4|2|-1|1102|Connectivity restored, data maintained|")
        await asyncio.sleep(30)
        assert [f[4] for f in desk.peer.requests("50")] == ["AAPL", "SPY"] * 2
        first, second = ([f[2] for f in desk.peer.requests("50")][n : n + 2] for n in (0, 2))
        assert [f[2] for f in desk.peer.requests("51")] == first
        assert not set(first) & set(second)

    supervised(scenario)


def test_warmup_of_hours_is_made_of_their_quarters() -> None:
    def quarters(fields: list[str]) -> Sequence[str]:
        rows = [f"{OPEN // SECOND + 900 * n}|{n + 1}|{n + 2}|{n + 0.5}|{n + 1}|10|1|1" for n in range(26)]
        return ["|".join(["17", fields[1], "start", "end", str(len(rows)), *rows])]

    async def scenario(feed: IbkrFeed, inbox: Arrivals, stream: Stream) -> None:
        found = await feed.warmup(at(DAYS[5], 16), 2)
        assert [e.ts_event for e in found] == [at(DAYS[5], 15, 30), at(DAYS[5], 16)]
        bar = found[0].bars[0]
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (21.0, 25.0, 20.5, 24.0, 40.0)
        assert found[1].bars[0].volume == 20.0  # the session's last half hour
        assert {f[16] for f in stream.peer.requests("20")} == {"15 mins"}

    streaming(scenario, on20=quarters, spec=BarSpec.HOUR, grace_s=0.0)


def test_bars_of_a_length_that_nobody_serves_are_refused() -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(ConfigError, match=r"data\.bar_spec: expected one of 1m, 5m, 15m, 1h, 1d, found 5s"):
            IbkrFeed(link, inbox, (AAPL,), SESSIONS, spec=BarSpec.SECOND_5)

    connected(run)
