"""Exits by age: a position that has been held for too long is closed, whatever its strategy says of it."""

from collections.abc import Iterable, Set

from robotrader.execution.protection import parse_age
from robotrader.model import InstrumentId


class TimeExits:
    """How long the positions of one strategy have been held: from the first bars at which they were there.

    `text` as in `execution.protection.parse_age`; None: for ever.
    """

    def __init__(self, text: str | None) -> None:
        self.limit_ns = None if text is None else parse_age(text)
        self._since: dict[InstrumentId, tuple[bool, int]] = {}

    def overdue(self, ts: int, held: Iterable[tuple[InstrumentId, int]]) -> Set[InstrumentId]:
        """Take in what is held (signed units) at the close of bars; return what has been for the limit or longer."""
        limit = self.limit_ns
        if limit is None:
            return frozenset()
        before, self._since = self._since, {}
        for iid, quantity in held:
            same, long = before.get(iid), quantity > 0
            self._since[iid] = same if same is not None and same[0] is long else (long, ts)
        return {iid for iid, (_, since) in self._since.items() if ts - since >= limit}
