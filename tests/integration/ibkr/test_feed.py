"""Bars requested at the close: complete cross-sections, in order, whatever the gateway answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.feed import IbkrFeed
from robotrader.model import (
    BarsClosed,
    BrokerUnavailable,
    ConnectionLost,
    CorporateAction,
    PacingLimit,
    SessionTable,
    Venue,
    stock,
)
from tests import builders as make
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import Handler, ScriptedGateway
from tests.integration.ibkr.session import connected
from tests.integration.ibkr.supervised import Desk, supervised

NEW_YORK = ZoneInfo("America/New_York")
DAYS = [date(2026, 4, d) for d in (6, 7, 8, 9, 10, 13)]
AAPL, SPY = stock("AAPL", Venue.NASDAQ), stock("SPY", Venue.ARCA)


def at(day: date, hour: int, minute: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).timestamp()) * 10**9


SESSIONS = SessionTable(
    dates=tuple(d.isoformat() for d in DAYS),
    opens=tuple(at(d, 9, 30) for d in DAYS),
    closes=tuple(at(d, 16) for d in DAYS),
)
GOOD = "10.0|11.5|9.25|10.75|1200"


def rows(request_id: str, *bars: tuple[date, str]) -> list[str]:
    texts = [f"{day:%Y%m%d}|{values}|10.5|7" for day, values in bars]
    return ["|".join(["17", request_id, "start", "end", str(len(bars)), *texts])]


def last_two(symbol_prices: dict[str, str] | None = None) -> Handler:
    """Answer every request with the bars of 10 and 13 April."""

    def answer(fields: list[str]) -> Sequence[str]:
        values = (symbol_prices or {}).get(fields[3], GOOD)
        return rows(fields[1], (DAYS[4], GOOD), (DAYS[5], values))

    return answer


def feeding(
    scenario: Callable[[IbkrFeed, Arrivals, ScriptedGateway], Awaitable[None]], *, on20: Handler, **options: Any
) -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        instruments = options.pop("instruments", (AAPL, SPY))
        default = {"deliver_after": at(DAYS[5], 9), "timeout_s": 5.0}
        await scenario(IbkrFeed(link, inbox, instruments, SESSIONS, **{**default, **options}), inbox, peer)

    connected(run, on20=on20)


def test_a_closed_session_is_requested_once_and_delivered_as_one() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 15, 59))
        assert not feed.pending()
        feed.on_time(at(DAYS[5], 16))
        feed.on_time(at(DAYS[5], 16, 1))
        assert feed.pending()
        [event] = await inbox.until(BarsClosed)
        assert (event.ts_event, event.ts_init, event.warmup) == (at(DAYS[5], 16), 0, False)
        assert [b.instrument for b in event.bars] == [AAPL.id, SPY.id]
        bar = event.bars[0]
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (10.0, 11.5, 9.25, 10.75, 1200.0)
        assert bar.ts_event == at(DAYS[5], 16)
        assert not feed.pending()
        feed.on_time(at(DAYS[5], 17))
        assert [(f[3], f[9], f[10], f[11]) for f in peer.requests("20")] == [
            ("AAPL", "SMART", "NASDAQ", "USD"), ("SPY", "SMART", "ARCA", "USD"),
        ]  # fmt: skip
        assert [f[15:] for f in peer.requests("20")] == [["", "1 day", "2 D", "1", "TRADES", "1", "0", ""]] * 2

    feeding(scenario, on20=last_two())


def test_missed_sessions_come_in_order_one_event_each() -> None:
    def answer(fields: list[str]) -> Sequence[str]:
        days = DAYS if fields[3] == "AAPL" else DAYS[:5]
        return rows(fields[1], *((d, GOOD) for d in days))

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        events = await inbox.until(BarsClosed, 3)
        assert [e.ts_event for e in events] == [at(d, 16) for d in DAYS[3:]]
        assert [len(e.bars) for e in events] == [2, 2, 1]
        assert peer.requests("20")[0][17] == "4 D"

    feeding(scenario, on20=answer, deliver_after=at(DAYS[2], 16))


def test_what_closes_while_a_round_is_under_way_follows_it() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[4], 16))
        feed.on_time(at(DAYS[5], 16))
        events = await inbox.until(BarsClosed, 2)
        assert [e.ts_event for e in events] == [at(DAYS[4], 16), at(DAYS[5], 16)]

    feeding(scenario, on20=last_two(), deliver_after=at(DAYS[3], 16))


def test_the_bar_of_a_session_under_way_is_not_looked_at() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 10))
        [event] = await inbox.until(BarsClosed)
        assert (event.ts_event, len(event.bars)) == (at(DAYS[4], 16), 2)

    unfinished = last_two({"AAPL": "nan|11|9|10|5", "SPY": "nan|11|9|10|5"})
    feeding(scenario, on20=unfinished, deliver_after=at(DAYS[3], 16))


def test_without_a_start_only_what_closes_from_now_on_is_delivered() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[4], 17))
        assert not feed.pending()
        feed.on_time(at(DAYS[5], 16))
        assert [e.ts_event for e in await inbox.until(BarsClosed)] == [at(DAYS[5], 16)]

    feeding(scenario, on20=last_two(), deliver_after=None)


def test_grace_lets_a_bar_become_final() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        assert not feed.pending()
        assert await feed.missing(at(DAYS[5], 9), at(DAYS[5], 16)) == []
        feed.on_time(at(DAYS[5], 16, 1))
        assert feed.pending()
        await inbox.until(BarsClosed)

    feeding(scenario, on20=last_two(), grace_s=60.0)


@pytest.mark.parametrize(
    "bad",
    ["nan|11.5|9.25|10.75|1200", "10|9|9.25|10.75|1200", "10|11.5|10.5|10.75|1200", "10|inf|9|10|1", "0|0|0|0|0",
     "10|11.5|9.25|10.75|-1", "-1|11.5|-2|10.75|5"],
)  # fmt: skip
def test_a_malformed_bar_is_dropped_counted_and_logged(bad: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        [event] = await inbox.until(BarsClosed)
        assert [b.instrument for b in event.bars] == [SPY.id]

    feeding(scenario, on20=last_two({"AAPL": bad}))
    assert "AAPL.NASDAQ bar that ended 2026-04-13T20:00:00Z: " in caplog.text


def test_no_data_is_no_bar_and_nothing_to_complain_of(caplog: pytest.LogCaptureFixture) -> None:
    def answer(fields: list[str]) -> Sequence[str]:
        if fields[3] == "SPY":
            return [f"4|2|{fields[1]}|162|HMDS query returned no data: SPY|"]
        return last_two()(fields)

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        [event] = await inbox.until(BarsClosed)
        assert [b.instrument for b in event.bars] == [AAPL.id]

    feeding(scenario, on20=answer)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_session_without_any_bar_still_ends_the_wait() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        [event] = await inbox.until(BarsClosed)
        assert event.bars == ()
        assert not feed.pending()

    feeding(scenario, on20=lambda f: [f"4|2|{f[1]}|162|HMDS query returned no data|"])


@pytest.mark.parametrize(
    "error", ["162|Historical data request pacing violation", "200|No security definition", "366|x"]
)
def test_a_refused_request_leaves_its_instrument_out_aloud(error: str, caplog: pytest.LogCaptureFixture) -> None:
    def answer(fields: list[str]) -> Sequence[str]:
        return [f"4|2|{fields[1]}|{error}|"] if fields[3] == "SPY" else last_two()(fields)

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        [event] = await inbox.until(BarsClosed)
        assert [b.instrument for b in event.bars] == [AAPL.id]

    feeding(scenario, on20=answer)
    assert "SPY.ARCA is stale" in caplog.text


def test_a_silent_request_leaves_its_instrument_out_aloud_and_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    asked: dict[str, str] = {}

    def answer(fields: list[str]) -> Sequence[str]:
        asked[fields[3]] = fields[1]
        return () if fields[3] == "AAPL" else last_two()(fields)

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        [event] = await inbox.until(BarsClosed)
        assert [b.instrument for b in event.bars] == [SPY.id]
        assert await peer.until("25") == [["25", "1", asked["AAPL"]]]
        peer.say(*rows(asked["AAPL"], (DAYS[5], GOOD)), "4|2|-1|1300|end|")  # too late: nobody's
        peer.hang_up()
        await inbox.ended()
        assert len(inbox.of(BarsClosed)) == 1

    feeding(scenario, on20=answer, timeout_s=0.5)
    assert "AAPL.NASDAQ is stale" in caplog.text


def test_a_lost_link_delivers_nothing_and_is_asked_again_later() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        await peer.until("20", 2)
        peer.hang_up()
        await inbox.ended()
        assert not feed.pending()
        assert inbox.of(BarsClosed) == []
        feed.on_time(at(DAYS[5], 17))  # no link, no request, no error
        assert not feed.pending()

    feeding(scenario, on20=lambda _: ())


def test_warmup_returns_the_last_cross_sections_and_they_do_not_come_again() -> None:
    def answer(fields: list[str]) -> Sequence[str]:
        bars = DAYS if fields[3] == "AAPL" else DAYS[3:]
        return rows(fields[1], *((d, GOOD) for d in bars))

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        found = await feed.warmup(at(DAYS[4], 16), 3)
        assert [(e.ts_event, len(e.bars)) for e in found] == [
            (at(DAYS[2], 16), 1), (at(DAYS[3], 16), 2), (at(DAYS[4], 16), 2),
        ]  # fmt: skip
        feed.on_time(at(DAYS[4], 17))
        assert not feed.pending()
        assert await feed.warmup(at(DAYS[4], 16), 0) == []
        assert await feed.warmup(at(DAYS[0], 9), 10) == []

    feeding(scenario, on20=answer, deliver_after=None)


def test_missing_returns_everything_after_a_time_up_to_another() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        found = await feed.missing(at(DAYS[3], 16), at(DAYS[5], 18))
        assert [(e.ts_event, len(e.bars)) for e in found] == [(at(DAYS[4], 16), 2), (at(DAYS[5], 16), 2)]
        assert peer.requests("20")[0][17] == "3 D"
        assert await feed.missing(at(DAYS[3], 16), at(DAYS[5], 18)) == found  # as when the first comparison fails
        assert await feed.missing(at(DAYS[5], 16), at(DAYS[5], 18)) == []

    feeding(scenario, on20=last_two())


def test_what_a_journal_already_has_does_not_come_again() -> None:
    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        assert await feed.missing(at(DAYS[5], 16), 0) == []  # the clock does not know the time yet
        feed.on_time(at(DAYS[5], 17))
        assert not feed.pending()

    feeding(scenario, on20=last_two(), deliver_after=None)


def test_incomplete_history_is_never_passed_off_as_history() -> None:
    async def silence(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(BrokerUnavailable):
            await feed.warmup(at(DAYS[5], 16), 5)

    async def pacing(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        with pytest.raises(PacingLimit):
            await feed.missing(at(DAYS[0], 16), at(DAYS[5], 16))

    feeding(silence, on20=lambda _: (), timeout_s=0.1)
    feeding(pacing, on20=lambda f: [f"4|2|{f[1]}|162|Historical data request pacing violation|"])


def test_outside_lock_step_history_is_paced_and_a_refusal_for_pacing_waits() -> None:
    many = tuple(stock(f"S{n}") for n in range(61))
    asked: list[float] = []

    async def scenario(desk: Desk) -> None:
        def answer(fields: list[str]) -> Sequence[str]:
            asked.append(desk.loop.time())
            if len(asked) == 1:
                return [f"4|2|{fields[1]}|162|Historical data request pacing violation|"]
            return last_two()(fields)

        desk.server.handlers["20"] = answer
        feed = IbkrFeed(desk.connection, desk, many, SESSIONS)
        [event] = await feed.warmup(at(DAYS[5], 16), 1)
        assert [b.instrument for b in event.bars] == [i.id for i in many]
        assert len(asked) == 62
        assert 15 <= asked[-3] - asked[0] < 18
        assert asked[-1] - asked[0] >= 600

    supervised(scenario)


def test_a_round_that_fails_asks_nothing_more() -> None:
    many = tuple(stock(f"S{n}") for n in range(70))

    async def scenario(desk: Desk) -> None:
        feed = IbkrFeed(desk.connection, desk, many, SESSIONS)
        warmup = asyncio.ensure_future(feed.warmup(at(DAYS[5], 16), 1))
        await asyncio.sleep(5)
        desk.peer.hang_up()
        with pytest.raises(ConnectionLost):
            await warmup
        await asyncio.sleep(700)
        assert desk.peer.requests("20") == []  # what waited at the gate went with its round

    supervised(scenario)


def test_no_more_than_fifty_requests_are_under_way() -> None:
    many = tuple(stock(f"S{n}") for n in range(75))
    waiting: list[str] = []

    def hold(fields: list[str]) -> Sequence[str]:
        waiting.append(fields[1])
        return ()

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        feed.on_time(at(DAYS[5], 16))
        await peer.until("20", 50)
        assert len(peer.requests("20")) == 50
        for n in range(75):
            await peer.until("20", min(50 + n, 75))
            peer.say(*rows(waiting[n], (DAYS[5], GOOD)))
        [event] = await inbox.until(BarsClosed)
        assert [b.instrument for b in event.bars] == [i.id for i in many]

    feeding(scenario, on20=hold, instruments=many)


@pytest.mark.parametrize("known", [False, True])
def test_a_jump_is_told_unless_an_action_that_became_known_meanwhile_explains_it(
    known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    actions: list[CorporateAction] = []

    async def scenario(feed: IbkrFeed, inbox: Arrivals, peer: ScriptedGateway) -> None:
        split = structs.replace(make.split(2, symbol="AAPL"), ex_date=DAYS[5].isoformat(), ex_at=at(DAYS[5], 0))
        actions.extend([split] if known else [])
        feed.on_time(at(DAYS[5], 16))
        await inbox.until(BarsClosed, 2)

    def halved(fields: list[str]) -> Sequence[str]:
        values = "5.0|5.5|4.25|5.25|2400" if fields[3] == "AAPL" else GOOD
        return rows(fields[1], (DAYS[4], GOOD), (DAYS[5], values))

    feeding(scenario, on20=halved, deliver_after=at(DAYS[4], 9), actions=lambda: tuple(actions))
    assert caplog.text.count("jump") == (0 if known else 1)
