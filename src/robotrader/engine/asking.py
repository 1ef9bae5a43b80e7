"""Strategies in processes of their own are asked before the journal: what they say is recorded with the bars."""

from collections.abc import Callable, Sequence

from robotrader.model import AnyEvent, BarsClosed, CorporateActionDue, SignalsComputed, decode_event
from robotrader.ports import Arrival, JournalRow

Ask = Callable[[BarsClosed | CorporateActionDue], Sequence[SignalsComputed]]
"""Tell all of them of an event, in order, and return what they say of it; bars that they know are nothing new."""


def nobody(_: BarsClosed | CorporateActionDue) -> Sequence[SignalsComputed]:
    """Have no such strategy."""
    return ()


def with_answers(arrivals: Sequence[Arrival | AnyEvent], ask: Ask) -> list[Arrival | AnyEvent]:
    """Return what arrived, with what the strategies say of it before it."""
    out: list[Arrival | AnyEvent] = []
    for arrival in arrivals:
        if isinstance(arrival, BarsClosed | CorporateActionDue):
            out += ask(arrival)
        out.append(arrival)
    return out


def refill(rows: Sequence[JournalRow], bars: int, ask: Ask) -> None:
    """Tell new processes of the last cross-sections of a journal, `bars` of them, and of the splits among them."""
    found: list[BarsClosed | CorporateActionDue] = []
    for row in reversed(rows):
        if bars <= 0:
            break
        event = decode_event(row.payload) if row.kind == "event" else None
        if isinstance(event, BarsClosed | CorporateActionDue):
            found.append(event)
            bars -= isinstance(event, BarsClosed)
    for event in reversed(found):
        ask(event)
