"""The quality gate for live data: the rules of `data.quality` on one bar or quote, in plain Python."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np

from robotrader.data.adjust import known
from robotrader.data.aggregate import Grid
from robotrader.data.quality import (
    CONTEXT_CHECKS,
    JUMP_FACTOR,
    KEY_CHECKS,
    QUOTE_CHECKS,
    ROW_CHECKS,
    STALE_RUN,
    Check,
    Facts,
    Finding,
    Severity,
    describe,
    reference_price,
)
from robotrader.data.sessions import Place, anywhere, extended, missing, off_grid, place_one, session_bars
from robotrader.model import Bar, BarSpec, CorporateAction, InstrumentId, Quote, SessionTable

_EVER = 2**63 - 1


class LiveGate:
    """Judge bars as they close, each beside the last accepted one of its instrument.

    Parameters
    ----------
    sessions : SessionTable or None
        The market's sessions; None: trading around the clock.
    actions : iterable of CorporateAction
        What is known to happen: a jump that one explains is no warning.
    """

    def __init__(self, sessions: SessionTable | None, actions: Iterable[CorporateAction] = ()) -> None:
        self._sessions = sessions
        self._last: dict[InstrumentId, tuple[Bar, int]] = {}
        self._learnt: Iterable[CorporateAction] | None = None
        self.learn(actions)

    def learn(self, actions: Iterable[CorporateAction]) -> None:
        """Take over what is known to happen; the same object again costs nothing."""
        if actions is self._learnt:
            return
        self._learnt, self._actions = actions, dict[str, list[CorporateAction]]()
        for action in known(actions, _EVER):
            self._actions.setdefault(action.symbol, []).append(action)

    def judge(self, bar: Bar, *, delayed: bool = False) -> tuple[Finding, ...]:
        """Return what is wrong with the bar; it is accepted where nothing sets it aside, see `accepted`."""
        previous, repeats = self._last.get(bar.instrument, (None, 0))
        actions = self._actions.get(bar.instrument.rpartition(".")[0], ())
        found = judge(
            bar, previous=previous, sessions=self._sessions, repeats=repeats, actions=actions, delayed=delayed
        )
        if accepted(found):
            same = previous is not None and _values(previous) == _values(bar)
            self._last[bar.instrument] = bar, repeats + 1 if same else 0
        return found


def accepted(found: Iterable[Finding]) -> bool:
    """Tell whether findings leave the bar in."""
    return all(finding.severity in (Severity.WARN, Severity.FLAG) for finding in found)


def judge(
    bar: Bar,
    *,
    previous: Bar | None,
    sessions: SessionTable | None,
    repeats: int = 0,
    actions: Sequence[CorporateAction] = (),
    delayed: bool = False,
) -> tuple[Finding, ...]:
    """Judge one bar as `inspect` judges a row: the one finding that sets it aside, else everything to know of it.

    Parameters
    ----------
    previous : Bar or None
        The instrument's last accepted bar.
    sessions : SessionTable or None
        The market's sessions; None: trading around the clock.
    repeats : int
        How many accepted bars before `previous` had its values, in a row.
    actions : sequence of CorporateAction
        Those of this instrument, oldest first, one version each.
    """
    facts, place = _facts(bar, previous, sessions)
    for check in (*ROW_CHECKS, *KEY_CHECKS):
        if check.broken(facts):
            return (_finding(check, bar, facts),)
    facts = facts._replace(extended=extended(place), delayed=delayed)
    if previous is not None:
        before = _place(previous, sessions)
        facts = facts._replace(
            reference=reference_price(previous.close, _between(actions, before, place, sessions)),
            repeats=repeats + 1 if _values(bar) == _values(previous) else 0,
            missing=_missing(before, place, bar.spec, sessions),
        )
    return tuple(_finding(check, bar, facts) for check in CONTEXT_CHECKS if check.broken(facts))


def judge_quote(quote: Quote) -> tuple[Finding, ...]:
    """Judge one quote: the one finding that makes it unusable, if any."""
    for check in QUOTE_CHECKS:
        if check.broken(quote):
            found = f"bid={quote.bid:g} x {quote.bid_size:g} ask={quote.ask:g} x {quote.ask_size:g}"
            return (Finding(check.rule, check.severity, f"{quote.instrument}: {check.expected}; found {found}"),)
    return ()


def _finding(check: Check, bar: Bar, facts: Facts) -> Finding:
    name = f"{bar.instrument} bar that ended {np.datetime64(bar.ts_event, 'ns').astype('datetime64[s]')}Z"
    return Finding(check.rule, check.severity, describe(check, name, facts))


def _values(bar: Bar) -> tuple[float, float, float, float, float]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def _facts(bar: Bar, previous: Bar | None, sessions: SessionTable | None) -> tuple[Facts, Place]:
    place, twin = _place(bar, sessions), 0
    if previous is not None and previous.ts_event == bar.ts_event:
        twin = 1 if _values(bar) == _values(previous) else 2
    facts = Facts(
        *_values(bar), session=place.session, off_grid=off_grid(place, bar.spec.nanos), twin=twin,
        late=previous is not None and bar.ts_event <= previous.ts_event,
        reference=bar.open, limit=JUMP_FACTOR[bar.spec], patience=STALE_RUN[bar.spec] - 1,
    )  # fmt: skip
    return facts, place


def _place(bar: Bar, sessions: SessionTable | None) -> Place:
    start = bar.ts_event - bar.spec.nanos
    if sessions is None:
        return anywhere(start, bar.spec)
    own = Grid(sessions, bar.spec).start_of(bar.ts_event)  # a session's last bar may be a short one
    return place_one(start if own is None else own, bar.ts_event, bar.spec, sessions)


def _between(
    actions: Sequence[CorporateAction], before: Place, place: Place, sessions: SessionTable | None
) -> list[CorporateAction]:
    """Return what went ex after the session of one bar and by that of the next."""
    dates = () if sessions is None else sessions.dates
    return [a for a in actions if before.session < bisect_left(dates, a.ex_date) <= place.session]


def _missing(before: Place, place: Place, spec: BarSpec, sessions: SessionTable | None) -> int:
    if sessions is None or place.start - before.start == spec.nanos:
        return 0
    inside = range(before.session + 1, place.session)
    between = sum(session_bars(sessions.opens[i], sessions.closes[i], spec.nanos) for i in inside)
    return int(missing(before, place, spec.nanos, between))
