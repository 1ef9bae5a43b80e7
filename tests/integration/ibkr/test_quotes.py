"""The last quote of each instrument, out of whatever ticks come."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.feed import IbkrFeed
from robotrader.adapters.ibkr.quotes import LiveQuotes
from robotrader.model import BarsClosed, Quote
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import ScriptedGateway
from tests.integration.ibkr.session import connected
from tests.integration.ibkr.supervised import Desk, supervised
from tests.integration.ibkr.test_feed import AAPL, DAYS, SESSIONS, SPY, at, last_two

NOW = 1_000

Scenario = Callable[[LiveQuotes, "Ticker"], Awaitable[None]]


class Ticker:
    """The gateway's side of the subscriptions."""

    def __init__(self, peer: ScriptedGateway, inbox: Arrivals) -> None:
        self._peer = peer
        self._inbox = inbox
        self._ids: dict[str, str] = {}

    async def watched(self) -> None:
        self._ids = {fields[4]: fields[2] for fields in await self._peer.until("1", 2)}

    async def say(self, symbol: str, *messages: str) -> None:
        """Send messages with the request's id in the place of `#`, and wait until they have been heard."""
        self._peer.say(*(m.replace("#", self._ids[symbol]) for m in messages))
        self._peer.say("4|2|-1|2104|Market data farm connection is OK:usfarm|")
        self._inbox.notices.clear()
        while not self._inbox.notices:
            await self._inbox.next()


def quoted(scenario: Scenario) -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        quotes, ticker = LiveQuotes(link, (AAPL, SPY), lambda: NOW), Ticker(peer, inbox)
        await ticker.watched()
        await scenario(quotes, ticker)

    connected(run)


BID, ASK = "1|6|#|1|10.00|300|1", "1|6|#|2|10.02|400|1"


def test_only_the_last_of_each_side_is_kept_and_a_quote_needs_both() -> None:
    async def scenario(quotes: LiveQuotes, ticker: Ticker) -> None:
        await ticker.say("SPY", "1|6|#|1|9.00|100|1", BID, "2|6|#|0|500")
        assert quotes.known() == ()
        await ticker.say("SPY", ASK, "1|6|#|4|10.01|100|1", "2|6|#|8|9000")
        assert quotes.known() == (
            Quote(instrument=SPY.id, ts_event=NOW, bid=10.0, ask=10.02, bid_size=500.0, ask_size=400.0),
        )

    quoted(scenario)


def test_whatever_comes_of_a_subscription_keeps_its_quote_young_and_of_no_other() -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        clock = iter(range(100))
        quotes, ticker = LiveQuotes(link, (AAPL, SPY), lambda: next(clock)), Ticker(peer, inbox)
        await ticker.watched()
        await ticker.say("SPY", BID, ASK)
        await ticker.say("AAPL", BID, ASK)
        assert {q.instrument: q.ts_event for q in quotes.known()} == {SPY.id: 1, AAPL.id: 3}
        await ticker.say("SPY", "2|6|#|8|9000")
        assert {q.instrument: q.ts_event for q in quotes.known()} == {SPY.id: 4, AAPL.id: 3}

    connected(run)


def test_a_crossed_quote_is_left_out_aloud_once_and_a_sound_one_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(quotes: LiveQuotes, ticker: Ticker) -> None:
        await ticker.say("AAPL", BID, ASK, "1|6|#|1|11.00|300|1")
        assert quotes.known() == quotes.known() == ()
        await ticker.say("AAPL", "1|6|#|1|-1.00|0|1")  # there is no bid
        assert quotes.known() == ()
        await ticker.say("AAPL", BID)
        assert [q.bid for q in quotes.known()] == [10.0]

    quoted(scenario)
    assert caplog.text.count("AAPL.NASDAQ") == 1


def test_delayed_quotes_are_no_quotes() -> None:
    async def scenario(quotes: LiveQuotes, ticker: Ticker) -> None:
        await ticker.say("AAPL", "58|1|#|1", BID, ASK)
        assert (len(quotes.known()), quotes.delayed) == (1, set())
        await ticker.say("AAPL", "58|1|#|3", "1|6|#|66|10.00|300|1", "1|6|#|67|10.02|300|1")
        assert (quotes.known(), quotes.delayed) == ((), {AAPL.id})
        await ticker.say("AAPL", "58|1|#|1", BID)
        assert (quotes.known(), quotes.delayed) == ((), set())

    quoted(scenario)


def test_a_live_bar_brings_the_quotes_of_the_moment_and_history_none() -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        quotes, ticker = LiveQuotes(link, (AAPL, SPY), lambda: NOW), Ticker(peer, inbox)
        await ticker.watched()
        await ticker.say("SPY", BID, ASK)
        feed = IbkrFeed(link, inbox, (AAPL, SPY), SESSIONS, deliver_after=at(DAYS[4], 16), quotes=quotes)
        assert [event.quotes for event in await feed.warmup(at(DAYS[4], 16), 1)] == [()]
        feed.on_time(at(DAYS[5], 16))
        [event] = await inbox.until(BarsClosed)
        assert [q.instrument for q in event.quotes] == [SPY.id]

    connected(run, on20=last_two())


def test_a_refused_subscription_is_said_once_and_tried_again_and_each_session_begins_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(desk: Desk) -> None:
        quotes = LiveQuotes(desk.connection, (AAPL, SPY), lambda: NOW)
        for asked in (2, 3):
            ids = {f[4]: f[2] for f in await desk.peer.until("1", asked)}
            desk.peer.say(BID.replace("#", ids["AAPL"]), ASK.replace("#", ids["AAPL"]))
            desk.peer.say(f"4|2|{ids['SPY']}|354|Requested market data is not subscribed.|")
            await asyncio.sleep(61)
        assert [q.instrument for q in quotes.known()] == [AAPL.id]
        assert [f[4] for f in desk.peer.requests("1")] == ["AAPL", "SPY", "SPY", "SPY"]
        desk.peer.hang_up()
        await asyncio.sleep(30)
        assert [f[4] for f in desk.peer.requests("1")] == ["AAPL", "SPY"]
        assert quotes.known() == ()

    supervised(scenario)
    assert caplog.text.count("SPY.ARCA has no quotes: ") == 1
