"""Worst-case market values over all instruments, kept as sums: a check of one order does not walk through the book."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from decimal import Decimal

from robotrader.risk.facts import Exposures

_ZERO = Decimal(0)
_Entry = tuple[Decimal, Decimal, Decimal, tuple[str, ...]]


class ExposureBook:
    """Values by key: instruments of the account, or (strategy, instrument) with the strategy as group."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._gross = self._long = self._short = _ZERO
        self._groups: defaultdict[str, Decimal] = defaultdict(Decimal)

    def put(self, key: Hashable, units: tuple[int, int, int], value: Decimal, groups: Iterable[str] = ()) -> None:
        """Replace a key's (position, open buys, open sells); `value` is that of one unit, price times multiplier."""
        position, buys, sells = units
        self._add(self._entries.pop(key, (_ZERO, _ZERO, _ZERO, ())), -1)
        long, short = (position + buys) * value, (position - sells) * value
        entry = self._entries[key] = (max(long, -short), long, short, tuple(groups))
        self._add(entry, 1)

    def _add(self, entry: _Entry, sign: int) -> None:
        gross, long, short, groups = entry
        self._gross += sign * gross
        self._long += sign * long
        self._short += sign * short
        for name in groups:
            self._groups[name] += sign * gross

    def without(self, key: Hashable, groups: Iterable[str] = ()) -> Exposures:
        """Return the sums without a key; `groups` are those that the key belongs to."""
        gross, long, short, own = self._entries.get(key, (_ZERO, _ZERO, _ZERO, ()))
        found = tuple((name, self._groups.get(name, _ZERO) - (gross if name in own else 0)) for name in groups)
        return Exposures(self._gross - gross, self._long - long, self._short - short, found)
