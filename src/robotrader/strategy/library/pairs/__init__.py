"""Trade two cointegrated instruments against each other when their spread is wide, until it has closed."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, ConfigError, Manifest, Parameter, StrategyError, StrategyId
from robotrader.strategy.library.pairs.cointegration import CRITICAL, spread
from robotrader.strategy.library.windows import CARRY, carried


class Pairs:
    """Cointegrated pairs: the universe's instruments two by two, the first of each against the second.

    Source: Engle and Granger (1987) for the test; Gatev, Goetzmann and Rouwenhorst (2006), Pairs Trading, for the rule.
    A size in money (`percent`, `notional`) keeps the hedge; one in units does not.
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "formation": Parameter(default=252, low=10, high=2_000, doc="bars of the regression and the test"),
        "enter": Parameter(default=2.0, low=0.5, high=10.0, doc="deviations at which a spread is wide"),
        "leave": Parameter(default=0.5, low=0.0, high=5.0, doc="deviations within which it has closed"),
    }

    def __init__(self, *, formation: int, enter: float, leave: float) -> None:
        if leave >= enter:
            raise ConfigError(f"pairs: leave must be below enter, found leave={leave} enter={enter}")
        self._formation, self._enter, self._leave = formation, enter, leave

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("pairs"),
            version="1",
            hypothesis=(
                "A spread of two log prices that was stationary over the last year stays so over the next weeks. "
                "What it earns by closing is more than four trades and a short position cost."
            ),
            reference="Engle and Granger (1987); Gatev, Goetzmann and Rouwenhorst (2006), Pairs Trading",
            bar_spec=BarSpec.DAY,
            warmup_bars=self._formation + 2 + CARRY,
            parameters=self.PARAMETERS,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return the two sides where a cointegrated spread becomes wide, 0 where it has closed, NaN elsewhere.

        The larger side is 1, the other the hedge ratio to 0.01. A last instrument without another has no view.
        """
        if len(panel.instruments) < 2:
            raise StrategyError("pairs needs two instruments or more, found 1", strategy="pairs")
        out = np.full(panel.close.shape, np.nan)
        logs = np.log(carried(panel.close))
        for k in range(0, len(panel.instruments) - 1, 2):
            ratio, score, test = spread(logs[:, k], logs[:, k + 1], self._formation)
            last = np.append(np.nan, score[:-1])[: len(score)]
            there, side, hedge = ~np.isnan(panel.close[:, k : k + 2]).any(axis=1), np.sign(score), ratio.round(2)
            wide, was = np.abs(score) > self._enter, (np.abs(last) > self._enter) & (np.sign(last) == side)
            out[there & ((np.abs(score) <= self._leave) | (side * np.sign(last) < 0)), k : k + 2] = 0.0
            rows = there & wide & ~was & ~np.isnan(last) & (test < CRITICAL) & (hedge > 0)
            sides = np.stack((-side, side * hedge), axis=1) / np.maximum(hedge, 1)[:, None]
            out[rows, k : k + 2] = sides[rows]
        return out
