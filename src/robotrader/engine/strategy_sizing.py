"""How one strategy's targets are sized; for a construction, the shares of all its names at one time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from robotrader.data.panel import Floats
from robotrader.engine.market import MarketFacts
from robotrader.model import Bar, InstrumentId, StrategyConfig
from robotrader.portfolio.allocation import parse_throttle
from robotrader.portfolio.construction import Share, construct
from robotrader.portfolio.sizing import CLOSES, check_sizing, parse_sizer

Change = tuple[InstrumentId, float, float | None]
"""An instrument, the strength to size it to, and the strength before."""
_NO_VIEW = Share(0.0, reason="no view")


class Mandate(NamedTuple):
    """How much of its size a strategy may hold; `reduces`: its positions may only become smaller."""

    share: Decimal = Decimal(1)
    reduces: bool = False

    def bounded(self, quantity: int, present: int) -> int:
        """Return the target (signed units) that the mandate leaves of one, where `present` units are held."""
        if not self.reduces:
            return quantity
        return max(min(quantity, max(present, 0)), min(present, 0))


WHOLE = Mandate()


class StrategySizing:
    """Sizer, buffer and throttle of a strategy; who takes part in its construction, and with what share."""

    def __init__(self, config: StrategyConfig) -> None:
        check_sizing(config)
        self.sizer = parse_sizer(config.sizer)
        self.buffer = config.turnover_buffer
        self.throttle = parse_throttle(config.drawdown_throttle) if config.drawdown_throttle else None
        self.mandate = WHOLE
        self._cluster_correlation = config.cluster_correlation
        self._views: Mapping[InstrumentId, float] = {}
        self._shares: dict[InstrumentId, Share] | None = None

    def widen(self, found: list[Change], views: Mapping[InstrumentId, float], bars: Sequence[Bar]) -> list[Change]:
        """Return the changes and every other name that has a view and a bar now.

        A name without a bar keeps its units and, while its view stands, its share.
        """
        self._views, self._shares = views, None
        changed, there = {change[0] for change in found}, {bar.instrument for bar in bars}
        others = [iid for iid in views if iid in there and iid not in changed]
        return [*found, *((iid, views[iid], views[iid]) for iid in others)]

    def share(self, iid: InstrumentId, market: MarketFacts) -> Share:
        """Return a name's share of the strategy's exposure, as all names stand since `widen`."""
        if iid not in self._views:
            return _NO_VIEW
        if self._shares is None:
            returns = aligned_returns([market.bars(name) for name in self._views])
            directions = [1 if strength > 0 else -1 for strength in self._views.values()]
            shares = construct(
                returns, directions, method=self.sizer.rule, cluster_correlation=self._cluster_correlation
            )
            self._shares = dict(zip(self._views, shares, strict=True))
        return self._shares[iid]


def aligned_returns(histories: Sequence[Sequence[Bar]]) -> Floats:
    """Return the returns of several names at common times, shape (n_bars, n_names), from the last 63 closes of each.

    Times are all at which a bar closed since every name has had its first; at those without a bar of its own a name's
    price is its last close. NaN: a name has had fewer than 63 bars.
    """
    full = [k for k, bars in enumerate(histories) if len(bars) >= CLOSES]
    since = max((histories[k][0].ts_event for k in full), default=0)
    times = np.array(sorted({bar.ts_event for k in full for bar in histories[k] if bar.ts_event >= since}))
    closes = np.full((len(times), len(histories)), np.nan)
    for k in full:
        at = np.searchsorted([bar.ts_event for bar in histories[k]], times, side="right") - 1
        closes[:, k] = np.array([bar.close for bar in histories[k]])[at]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(closes[1:] / closes[:-1] - 1)
