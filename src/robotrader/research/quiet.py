"""Which bars a backtest need not hand to the trader: those at which nobody looks and no resting order could fill.

It errs on the side of handing over: a property test holds the result equal to handing over every bar.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from robotrader.data.panel import Floats, Panel
from robotrader.engine.trader import Trader
from robotrader.model import Order, OrderState, OrderType, Purpose, Side, StrategyConfig, TimeInForce, WorkingOrder
from robotrader.portfolio.sizing import looks_back

_BLOCK, _GROWTH = 256, 4
_ROUNDING = 1e-9
_TRAILING = "trailing_percent:"

Bound = tuple[Floats, int, float]
"""Values of shape (n_bars,), and a bound: +1, at or above it; -1, at or below it."""


class QuietBars:
    """The rows of a panel that matter, as the orders of its trader stand."""

    def __init__(self, panel: Panel, trader: Trader, strategies: Sequence[StrategyConfig]) -> None:
        self._panel, self._trader = panel, trader
        self._columns = {iid: k for k, iid in enumerate(panel.ids)}
        self._known = [np.flatnonzero(~np.isnan(column)) for column in panel.close.T]
        self._looks_back = looks_back(strategies)
        self._exits = {c.id: (c.stop_loss is not None) + (c.take_profit is not None) for c in strategies}
        self._trails = {c.id: float(c.stop_loss.removeprefix(_TRAILING))
                        for c in strategies if c.stop_loss and c.stop_loss.startswith(_TRAILING)}  # fmt: skip
        self._moves_daily = any(c.stop_loss and c.stop_loss.startswith("trailing_atr") for c in strategies)

    def looked_at(self, wakes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the wakes with the bars of every instrument that count there, shape (n_bars,)."""
        out = wakes.copy()
        out[self._counting(np.flatnonzero(wakes))] = True
        return out

    def _counting(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the last bars of every instrument at these rows, each as often as it comes."""
        parts = []
        for known in self._known:
            last = np.searchsorted(known, rows, side="right") - 1
            parts += [known[np.maximum(last - back, 0)] for back in range(self._looks_back if len(known) else 0)]
        return np.concatenate(parts) if parts else rows

    def next_rows(self, done: int, wake: int) -> list[int]:
        """Return the rows to hand over next, after `done` and before `wake`, while orders are open; none: go to `wake`.

        Where all that is open rests until a price touches it, these are the first row with such a price and what is
        looked back at from before it.
        """
        if not self._rests():
            return [done + 1]
        at = self._touched(done + 1, wake)
        before = set(self._counting(np.array([at - 1])).tolist()) if at > 0 else set()
        return sorted(row for row in before | ({at} if at < wake else set()) if row > done)

    def _rests(self) -> bool:
        """Tell whether every open order waits for a price, and stands where its policy wants it, as does none else."""
        books, guards = self._trader.ledger.book, Counter[tuple[str, str]]()
        if self._moves_daily or self._trader.retrying:
            return False
        for working in self._trader.orders.open_orders():
            order = working.order
            if not _waits(working) or working.leaves != abs(books(order.strategy).quantity(order.instrument)):
                return False
            guards[order.strategy, order.instrument] += 1
        return all(guards[name, iid] == count for name, count in self._exits.items() for iid, _ in books(name).held())

    def _touched(self, first: int, stop: int) -> int:
        """Return the first row at which a price may fill or move what is open, `stop` where there is none before."""
        bounds = [bound for w in self._trader.orders.open_orders() for bound in self._bounds(w.order)]
        size = _BLOCK
        while first < stop:
            end = min(first + size, stop)
            hit = np.zeros(end - first, dtype=np.bool_)
            for values, sign, bound in bounds:
                hit |= values[first:end] * sign >= bound * sign
            if hit.any():
                return first + int(hit.argmax())
            first, size = end, size * _GROWTH
        return stop

    def _bounds(self, order: Order) -> Iterator[Bound]:
        """Yield what prices fill an order, or move a stop that trails; one tick early, as the venue rounds."""
        column = self._columns[order.instrument]
        tick = float(self._panel.instruments[column].tick)
        stops, sells = order.type is OrderType.STOP, order.side is Side.SELL
        price = float((order.stop_price if stops else order.limit_price) or 0)
        falls = stops == sells
        values = self._panel.low if falls else self._panel.high
        yield values[:, column], -1 if falls else 1, price + tick if falls else price - tick
        share = self._trails.get(order.strategy, 0.0)
        if share and order.purpose is Purpose.STOP_LOSS:
            sign = 1 if sells else -1
            yield self._panel.close[:, column], sign, price / (1 - sign * share) * (1 - sign * _ROUNDING)


def _waits(working: WorkingOrder) -> bool:
    order = working.order
    resting = working.state is OrderState.ACCEPTED and working.replacing is None and not working.unresolved
    return resting and order.purpose.protective and order.tif is TimeInForce.GTC
