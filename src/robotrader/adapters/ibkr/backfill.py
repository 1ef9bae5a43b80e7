"""Past bars on a large scale: what is missing only, one request after the other, each kept before the next."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from msgspec import Struct, field

from robotrader.adapters.ibkr.history import History
from robotrader.data.aggregate import Slot
from robotrader.model import (
    NANOS_PER_SECOND,
    Bar,
    BarSpec,
    BrokerUnavailable,
    ConnectionLost,
    DataGap,
    Instrument,
    InstrumentId,
    PacingLimit,
    RoboTraderError,
    SessionTable,
)

SESSIONS_A_REQUEST = {BarSpec.MINUTE: 5, BarSpec.MINUTE_5: 20, BarSpec.MINUTE_15: 20, BarSpec.DAY: 250}
"""So that an answer has one or two thousand bars: IBKR asks for no more than a few thousand at a time."""

ANSWER_S = 2.0
"""What a request is taken to need, until it is known."""

_DAY_NS = 86_400 * NANOS_PER_SECOND
_MAX_DAYS = 365
_WAITS_S = (5.0, 30.0, 60.0, 120.0, 240.0)
"""After answers that did not come, and refusals for pacing; those the gate has waited for before, two minutes each."""


class Ask(Struct, frozen=True, kw_only=True):
    """One request: an instrument's bars over some sessions, `first` and `last` their ISO dates."""

    instrument: Instrument
    first: str
    last: str
    sessions: int
    span: Slot

    @property
    def duration(self) -> str:
        """Return calendar days that hold the sessions: enough, whichever kind of days IBKR counts."""
        days = math.ceil((self.span.end - self.span.start) / _DAY_NS)
        return f"{days} D" if days <= _MAX_DAYS else f"{math.ceil(days / _MAX_DAYS)} Y"

    @property
    def end(self) -> str:
        """Return the close of the last session as IBKR reads it."""
        return datetime.fromtimestamp(self.span.end // NANOS_PER_SECOND, UTC).strftime("%Y%m%d-%H:%M:%S")


class Report(Struct, kw_only=True):
    """How far a backfill has come; sessions count for each instrument.

    `eta_s`: how long it was expected to take. `sessions_known` need not be asked for, of `sessions_empty` there is
    nothing. `failed` are the instruments that were given up, with the reason.
    """

    requests: int
    eta_s: float
    sessions_known: int
    answered: int = 0
    sessions_empty: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    failed: dict[InstrumentId, str] = {}


def plan(
    instruments: Sequence[Instrument],
    sessions: SessionTable,
    spec: BarSpec,
    known: Mapping[InstrumentId, Collection[str]],
) -> list[Ask]:
    """Return the requests for all sessions of the table but those that are `known`, by instrument, oldest first."""
    most = SESSIONS_A_REQUEST[spec]
    asks = []
    for instrument in instruments:
        there = set(known.get(instrument.id, ()))
        wanted = [k for k, date in enumerate(sessions.dates) if date not in there]
        for _, run in groupby(enumerate(wanted), lambda pair: pair[1] - pair[0]):  # sessions in a row
            row = [k for _, k in run]
            asks += [_ask(instrument, sessions, row[n : n + most]) for n in range(0, len(row), most)]
    return asks


def _ask(instrument: Instrument, sessions: SessionTable, row: list[int]) -> Ask:
    first, last = row[0], row[-1]
    return Ask(
        instrument=instrument, first=sessions.dates[first], last=sessions.dates[last], sessions=len(row),
        span=Slot(sessions.opens[first], sessions.closes[last]),
    )  # fmt: skip


def expected_s(asks: Sequence[Ask], history: History) -> float:
    """Return how long the requests will take: pacing, and a guess of how long an answer needs."""
    return history.gate.expected_s((history.request(a.instrument, a.duration, a.end) for a in asks), ANSWER_S)


async def run(
    asks: Sequence[Ask],
    history: History,
    report: Report,
    *,
    store: Callable[[Ask, Sequence[Bar]], Mapping[str, int]],
    told: Callable[[Report], None],
) -> None:
    """Put one request after the other; `store` keeps each answer, none too, before the next one is put.

    `store` returns counts of rows. An instrument whose request is refused is given up, the others go on.

    ConnectionLost, or PacingLimit after all patience: run again, what was stored need not be asked for any more.
    """
    for ask in asks:
        if ask.instrument.id in report.failed:
            continue
        try:
            bars = await _patiently(ask, history)
        except (ConnectionLost, PacingLimit):
            raise
        except RoboTraderError as error:
            report.failed[ask.instrument.id] = error.message
            continue
        report.rows.update(store(ask, bars))
        report.answered += 1
        report.sessions_empty += 0 if bars else ask.sessions
        told(report)


async def _patiently(ask: Ask, history: History) -> Sequence[Bar]:
    """Return an answer's bars, none if IBKR says that there are none; wait where it wants to be waited for."""
    for wait_s in (*_WAITS_S, None):
        try:
            return await history.raw(ask.instrument, ask.span, duration=ask.duration, end=ask.end)
        except DataGap as error:
            if "no data" not in error.message.lower():  # 162 has other causes, and those are no knowledge
                raise
            break
        except BrokerUnavailable as error:
            if isinstance(error, ConnectionLost) or wait_s is None:
                raise
            await asyncio.sleep(wait_s)
    return ()
