"""What trading must become less for: losses, drawdown, bursts of refusals, repeated executions. Pure counting."""

from collections import defaultdict
from collections.abc import Hashable
from decimal import Decimal
from typing import ClassVar, NamedTuple

from msgspec import Struct

from robotrader.model import (
    NANOS_PER_SECOND,
    Fill,
    InstrumentId,
    OrderEvent,
    OrderFilled,
    OrderId,
    OrderPendingCancel,
    OrderReplacing,
    OrderSending,
    RiskLimit,
    TradingState,
)

_DAY_NS = 86_400 * NANOS_PER_SECOND
_ZERO = Decimal(0)


class Trip(Struct, frozen=True):
    """A state that trading must not be freer than, and why."""

    state: TradingState
    reason: str


class LossWatch:
    """What a book, or all of them, has made since the day began and since its best moment.

    It counts profit, not equity, so that a deposit is no gain and a withdrawal no loss. A day is a UTC date: a US
    session lies within one.
    """

    __slots__ = ("_capital", "_day", "_last", "_peak", "_start")

    def __init__(self) -> None:
        self._day = -1
        self._capital = self._start = self._last = self._peak = _ZERO

    def mark(self, ts: int, equity: Decimal, capital: Decimal) -> None:
        """Take in what the books are worth at `ts`, ns UTC, and what was put into them."""
        day = ts // _DAY_NS
        if day != self._day:
            self._day, self._start = day, self._last
        self._capital, self._last = capital, equity - capital
        self._peak = max(self._peak, self._last)

    @property
    def marked(self) -> bool:
        """Tell whether it was ever marked."""
        return self._day >= 0

    def rebase(self) -> None:
        """Count from now on: a person has seen the loss, and lets trading go on."""
        self._start = self._peak = self._last

    @property
    def equity(self) -> Decimal:
        """Return the equity last marked."""
        return self._capital + self._last

    @property
    def day_start(self) -> Decimal:
        """Return the equity that the day began with, in today's capital."""
        return self._capital + self._start

    @property
    def peak(self) -> Decimal:
        """Return the highest equity, in today's capital."""
        return self._capital + self._peak

    def trip(self, limits: RiskLimit) -> Trip | None:
        """Return what the day's loss and the drawdown ask for, None where they are within their limits."""
        lost, fallen = _fall(self.day_start, self.equity), _fall(self.peak, self.equity)
        for what, ratio, limit, state in (
            ("drawdown", fallen, limits.max_drawdown_ratio, TradingState.HALTED),
            ("daily loss", lost, limits.max_daily_loss_ratio, TradingState.HALTED),
            ("daily loss", lost, limits.soft_daily_loss_ratio, TradingState.REDUCING),
        ):
            if limit is not None and ratio > limit:
                return Trip(state, f"{what} of {ratio:.2%} is beyond {limit:.2%}")
        return None


def _fall(high: Decimal, now: Decimal) -> Decimal:
    """Return how far equity has fallen, as a ratio; all of it where nothing was there to begin with."""
    return (high - now) / high if high > 0 else _ZERO if now >= high else Decimal(1)


class Burst:
    """How many different things of a kind happened within the last seconds."""

    def __init__(self, window_s: float = 60.0) -> None:
        self.window_ns = int(window_s * NANOS_PER_SECOND)
        self._seen: defaultdict[Hashable, dict[Hashable, int]] = defaultdict(dict)

    def note(self, kind: Hashable, thing: Hashable, ts: int) -> int:
        """Count a thing, each once, and return how many there are."""
        self._seen[kind].setdefault(thing, ts)
        return self.count(kind, ts)

    def count(self, kind: Hashable, now: int) -> int:
        """Return how many there are by now, ns UTC."""
        seen = self._seen.get(kind, {})
        for thing in [thing for thing, ts in seen.items() if ts <= now - self.window_ns]:
            del seen[thing]
        return len(seen)

    def forget(self, kind: Hashable) -> None:
        """Begin anew with a kind."""
        self._seen.pop(kind, None)


class DayTrades:
    """Count the orders that took back, on the same day (UTC), what was opened in an instrument; see FINRA Rule 4210."""

    _DAYS = 8
    """Five sessions lie within them, with a weekend and a holiday."""

    def __init__(self) -> None:
        self._opened: set[tuple[int, InstrumentId]] = set()
        self._done: dict[OrderId, int] = {}

    def note(self, fill: Fill, held: int) -> None:
        """Take in a fill after which the account holds this many units."""
        day, before = fill.ts_event // _DAY_NS, held - fill.side.sign * fill.quantity
        turned = before * held < 0
        if (turned or abs(held) < abs(before)) and (day, fill.instrument) in self._opened:
            self._done.setdefault(fill.order_id, day)
        if turned or abs(held) > abs(before):
            self._opened = {opened for opened in self._opened if opened[0] >= day} | {(day, fill.instrument)}

    def count(self, ts: int) -> int:
        """Return how many there were in the five sessions up to `ts`, ns UTC."""
        since = ts // _DAY_NS - self._DAYS
        self._done = {order: day for order, day in self._done.items() if day > since}
        return len(self._done)


class Traffic(NamedTuple):
    """Messages of one day to the broker, and executions; a day is a UTC date."""

    submitted: int = 0
    revised: int = 0
    canceled: int = 0
    executed: int = 0


class TrafficCount:
    """Count the messages of the day."""

    _FIELDS: ClassVar = {OrderSending: "submitted", OrderReplacing: "revised", OrderPendingCancel: "canceled",
                         OrderFilled: "executed"}  # fmt: skip

    def __init__(self) -> None:
        self._day = -1
        self._count = Traffic()

    def note(self, event: OrderEvent | OrderFilled) -> None:
        """Count an event if it is a message that left, or an execution."""
        name = self._FIELDS.get(type(event))
        if name is not None:
            now = self.of(event.ts_init)
            self._count = now._replace(**{name: getattr(now, name) + 1})

    def of(self, ts: int) -> Traffic:
        """Return the counts of the day of `ts`, ns UTC."""
        if ts // _DAY_NS != self._day:
            self._day, self._count = ts // _DAY_NS, Traffic()
        return self._count
