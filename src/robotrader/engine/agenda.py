"""When corporate actions take effect: each once, before the first bar of its ex date is decided on."""

import logging
from collections.abc import Callable, Sequence

from msgspec import structs

from robotrader.data.adjust import due
from robotrader.model import CorporateAction, CorporateActionDue, Instrument, InstrumentId
from robotrader.portfolio.ledger import Ledger

log = logging.getLogger(__name__)

ActionSource = Callable[[], Sequence[CorporateAction]]


class Agenda:
    """Tell once, and before the open, what takes effect while a trader runs.

    Parameters
    ----------
    source : callable
        Gives every version of every action; the same object as long as nothing changed.
    since : int
        When the journal began, ns UTC: what took effect before is not in its books.
    """

    def __init__(self, source: ActionSource, ledger: Ledger, instruments: Sequence[Instrument], *, since: int) -> None:
        self._source = source
        self._ledger = ledger
        self._instruments = {i.symbol: i for i in instruments}
        self._since = since
        self._told: set[str] = set()
        self._read: Sequence[CorporateAction] | None = None
        self._next: int | None = None

    def due(self, now: int) -> list[CorporateActionDue]:
        """Return what takes effect by `now` and was not told yet, oldest first."""
        actions = self._source()
        if actions is self._read and (self._next is None or now < self._next):
            return []
        self._read = actions
        coming = [ts for a in actions if a.symbol in self._instruments and (ts := max(a.ex_at, a.known_at)) > now]
        self._next = min(coming, default=None)
        fresh = [a for a in due(actions, self._since, now) if a.symbol in self._instruments and a.key not in self._told]
        self._told |= {a.key for a in fresh}
        return [event for action in fresh if (event := self._event(action, now)) is not None]

    def _event(self, action: CorporateAction, now: int) -> CorporateActionDue | None:
        """Return the event; None when it became known only after trades in new units: then it is for a person."""
        instrument = self._instruments[action.symbol]
        if self._ledger.traded_since(instrument.id, action.ex_at):
            log.error("%s came too late, %s was traded since: compare with the broker", action.key, instrument.id)
            return None
        return CorporateActionDue(
            ts_event=now, ts_init=now, action=action, instrument=instrument.id,
            successor=self._successor(instrument, action.successor),
        )  # fmt: skip

    def _successor(self, instrument: Instrument, symbol: str | None) -> Instrument | None:
        if symbol is None:
            return None
        anew = structs.replace(instrument, id=InstrumentId(f"{symbol}.{instrument.venue}"), symbol=symbol)
        return self._instruments.get(symbol, anew)
