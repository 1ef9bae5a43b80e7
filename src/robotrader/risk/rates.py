"""What was sent in the last seconds, on the runner's clock."""

from collections import deque

from robotrader.model import NANOS_PER_SECOND, Order
from robotrader.risk.facts import RateCounts

_KEEP_S = 10.0


class RateWindow:
    """Approved orders of the last 10 s, or of the duplicate window; bounded by the rate limits themselves."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Order]] = deque()
        self._keep_ns = int(_KEEP_S * NANOS_PER_SECOND)

    def remember(self, window_s: float | None) -> None:
        """Remember orders for at least so long."""
        self._keep_ns = int(max(window_s or 0.0, _KEEP_S) * NANOS_PER_SECOND)

    def record(self, order: Order, now: int) -> None:
        """Note an order that is about to be sent."""
        self._sent.append((now, order))
        while self._sent and self._sent[0][0] < now - self._keep_ns:
            self._sent.popleft()

    def counts(self, order: Order, now: int, *, ahead: int = 0) -> RateCounts:
        """Count the last second before this order, and `ahead` that go with it; the current batch is no burst yet."""
        recent = [(ts, o) for ts, o in self._sent if ts > now - NANOS_PER_SECOND]
        return RateCounts(
            messages=len(recent) + ahead,
            instrument_messages=sum(o.instrument == order.instrument for _, o in recent) + ahead,
            strategy_bursts=len({ts for ts, o in recent if o.strategy == order.strategy and ts != now}),
        )

    def same_terms_age(self, order: Order, now: int) -> int | None:
        """Return the age of the last order of equal instrument, side, quantity and prices, ns; None = none."""
        for ts, o in reversed(self._sent):
            if _terms(o) == _terms(order):
                return now - ts
        return None


def _terms(order: Order) -> tuple[object, ...]:
    return (order.instrument, order.side, order.quantity, order.limit_price, order.stop_price)
