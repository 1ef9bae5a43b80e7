"""Strategies whose decisions are known beforehand, by the date."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from robotrader.data.panel import Floats, Panel, Times
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Flip:
    """Hold everything over the nights that follow even days of the month."""

    BARS: ClassVar[BarSpec] = BarSpec.DAY
    PARAMETERS: ClassVar[dict[str, Parameter]] = {}

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("flip"), version="1", hypothesis="None: it only makes orders on known days.",
            bar_spec=self.BARS, warmup_bars=30, parameters=self.PARAMETERS,
        )  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return 1 on even days of the month, 0 on odd ones."""
        return _everywhere((_day_of_month(panel) % 2 == 0).astype(np.float64), panel)


class Short(Flip):
    """Be short, and half as much after even days of the month."""

    def signals(self, panel: Panel) -> Floats:
        """Return -0.5 on even days of the month, -1 on odd ones."""
        return _everywhere(np.where(_day_of_month(panel) % 2 == 0, -0.5, -1.0), panel)


class Hold(Flip):
    """Hold everything for ever."""

    def signals(self, panel: Panel) -> Floats:
        """Return 1."""
        return _everywhere(np.ones(len(panel.ts)), panel)


class Waves(Flip):
    """Begin, add, take off, turn round, end: a day each, again and again."""

    STRENGTHS = np.array([0.5, 1.0, 0.5, -0.5, 0.0])

    def signals(self, panel: Panel) -> Floats:
        """Return what the day of the week asks for, Monday to Friday."""
        return _everywhere(self.STRENGTHS[(_days(panel).astype(np.int64) + 3) % 7 % len(self.STRENGTHS)], panel)


class Minutes(Flip):
    """Begin, add, take off, end: five minutes each, three times an hour."""

    BARS = BarSpec.MINUTE
    STRENGTHS = np.array([0.5, 1.0, 0.5, 0.0])

    def signals(self, panel: Panel) -> Floats:
        """Return what the minute that a bar ends in asks for."""
        minutes = panel.ts // BarSpec.MINUTE.nanos % 60
        return _everywhere(self.STRENGTHS[minutes // 5 % len(self.STRENGTHS)], panel)


class Turncoat(Minutes):
    """Do as `Minutes` does until five past, and then turn round."""

    STRENGTHS = np.array([0.5, -1.0, 0.5, 0.0])


class Seesaw(Minutes):
    """Hold the one half of the instruments for five minutes, then the other half."""

    def signals(self, panel: Panel) -> Floats:
        """Return 1 for the half whose turn it is, 0 for the other."""
        turns = panel.ts // BarSpec.MINUTE.nanos // 5
        places = np.arange(len(panel.instruments))
        held: Floats = ((turns[:, None] + places) % 2 == 0).astype(np.float64)
        return held


def _days(panel: Panel) -> NDArray[np.datetime64]:
    return panel.ts.astype("datetime64[ns]").astype("datetime64[D]")


def _day_of_month(panel: Panel) -> Times:
    days = _days(panel)
    of_month: Times = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
    return of_month


def _everywhere(column: Floats, panel: Panel) -> Floats:
    return np.repeat(column[:, None], len(panel.instruments), axis=1)
