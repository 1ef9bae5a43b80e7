"""What a backfill asks for: each missing session once, in requests of a size that IBKR answers."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from robotrader.adapters.ibkr.backfill import SESSIONS_A_REQUEST, plan
from robotrader.adapters.ibkr.pacing import HistoryGate, HistoryRequest
from robotrader.data.aggregate import Slot
from robotrader.model import BarSpec, SessionTable, Venue, stock

DAY, HOUR = 86_400 * 10**9, 3_600 * 10**9
AAPL, IBM = stock("AAPL", Venue.NASDAQ), stock("IBM", Venue.NYSE)


def table(count: int) -> SessionTable:
    days = range(count)
    return SessionTable(
        dates=tuple(f"d{n:04}" for n in days), opens=tuple(n * DAY + 14 * HOUR for n in days),
        closes=tuple(n * DAY + 21 * HOUR for n in days),
    )  # fmt: skip


def test_sessions_in_a_row_make_requests_and_known_ones_are_left_out() -> None:
    asks = plan([AAPL, IBM], table(12), BarSpec.MINUTE, {AAPL.id: {"d0000", "d0007"}})
    assert [(a.instrument.symbol, a.first, a.last, a.sessions) for a in asks] == [
        ("AAPL", "d0001", "d0005", 5), ("AAPL", "d0006", "d0006", 1), ("AAPL", "d0008", "d0011", 4),
        ("IBM", "d0000", "d0004", 5), ("IBM", "d0005", "d0009", 5), ("IBM", "d0010", "d0011", 2),
    ]  # fmt: skip
    assert asks[0].span == Slot(DAY + 14 * HOUR, 5 * DAY + 21 * HOUR)
    assert (asks[0].duration, asks[0].end, asks[1].duration) == ("5 D", "19700106-21:00:00", "1 D")
    assert plan([AAPL], table(400), BarSpec.DAY, {})[0].duration == "250 D"


def test_more_than_a_year_is_asked_for_in_years() -> None:
    [ask] = plan(
        [AAPL], SessionTable(dates=("a", "b"), opens=(0, 400 * DAY), closes=(HOUR, 401 * DAY)), BarSpec.DAY, {}
    )
    assert ask.duration == "2 Y"


@given(st.sampled_from(sorted(SESSIONS_A_REQUEST)), st.integers(0, 90), st.sets(st.integers(0, 99)))
def test_every_session_is_asked_for_once_or_known(spec: BarSpec, count: int, known: set[int]) -> None:
    sessions, dates = table(count), {f"d{n:04}" for n in known}
    asks = plan([AAPL], sessions, spec, {AAPL.id: dates})
    covered = [date for a in asks for date in sessions.dates if a.first <= date <= a.last]
    assert covered == [date for date in sessions.dates if date not in dates]
    assert all(a.sessions <= SESSIONS_A_REQUEST[spec] for a in asks)


def expected(count: int, answer_s: float, *, before: int = 0) -> float:
    async def ask() -> float:
        gate = HistoryGate(paced=True)
        gate.remember((n - 300.0, HistoryRequest(f"old{n}", "TRADES")) for n in range(before))
        return gate.expected_s((HistoryRequest(f"S{n}", "TRADES") for n in range(count)), answer_s)

    return asyncio.run(ask())


def test_the_time_is_that_of_the_answers_until_the_windows_are_full() -> None:
    assert round(expected(0, 2.0)) == 0
    assert round(expected(30, 2.0), 1) == 60.0
    assert round(expected(60, 2.0), 1) == 120.0
    assert round(expected(61, 2.0), 1) == 602.2
    assert round(expected(181, 0.0), 1) == 1800.6


def test_what_an_earlier_run_asked_for_counts() -> None:
    assert round(expected(1, 2.0, before=59), 1) == 2.0
    assert round(expected(1, 2.0, before=60), 1) == 302.2
