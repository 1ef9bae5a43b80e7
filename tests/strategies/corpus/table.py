"""The corpus as data: each broken strategy with the rules that have to catch it, and the clean ones."""

from typing import NamedTuple

from robotrader.strategy.checks import RULES
from tests.strategies.corpus import broken as b
from tests.strategies.corpus import clean as c


class Expected(NamedTuple):
    """A broken strategy, the rule that is about its fault, and the rules that see it, too.

    `bars`: `sample`, or `bouncing`, the same with closes that bounce between bid and ask.
    """

    strategy: type[b.Broken]
    rule: str
    too: tuple[str, ...] = ()
    bars: str = "sample"

    @property
    def caught_by(self) -> set[str]:
        return {self.rule, *self.too}


BROKEN = (
    Expected(b.NegativeShift, "truncation", ("future_noise", "lag")),
    Expected(b.CentredAverage, "truncation", ("future_noise",)),
    Expected(b.WeekLabelledLeft, "truncation", ("future_noise",)),
    Expected(b.DecidesOnTheCloseItFillsAt, "truncation", ("future_noise", "lag")),
    Expected(b.NextExtremes, "truncation", ("future_noise",)),
    Expected(b.ZigZag, "truncation", ("future_noise",)),
    Expected(b.BackFilled, "truncation", ("future_noise",)),
    Expected(b.Interpolated, "truncation", ("future_noise",)),
    Expected(b.DodgesCrashes, "future_noise"),
    Expected(b.KnowsTheEnd, "truncation"),
    Expected(b.GlobalZScore, "truncation", ("future_noise", "warm_up")),
    Expected(b.GlobalMinMax, "truncation", ("future_noise", "warm_up")),
    Expected(b.RankOverTime, "truncation", ("future_noise", "warm_up")),
    Expected(b.FitsAllData, "truncation", ("future_noise", "warm_up")),
    Expected(b.FourierSmoothed, "truncation", ("future_noise", "warm_up")),
    Expected(b.ShortWarmUp, "warm_up"),
    Expected(b.SinceTheStart, "warm_up"),
    Expected(b.CountsFromTheFirstRow, "warm_up"),
    Expected(b.Unseeded, "determinism"),
    Expected(b.AsksTheClock, "determinism"),
    Expected(b.HashOrder, "determinism"),
    Expected(b.RemembersTheLastCall, "determinism"),
    Expected(b.FillsThePanel, "contract"),
    Expected(b.LeavesTheRange, "contract"),
    Expected(b.NeedsManyBars, "contract"),
    Expected(b.ReadsBehindTheView, "contract"),
    Expected(b.TooSlow, "time_budget"),
    Expected(b.LearnedByHeart, "lag"),
    Expected(b.SellsTheBounce, "lag", bars="bouncing"),
)
CLEAN: tuple[type[c.Clean], ...] = (
    c.BuyAndHold, c.AboveItsAverage, c.HonestEma, c.HonestRsi, c.HonestMacd, c.RollingZScore, c.BollingerBands,
    c.DonchianBreakout, c.RankAcross, c.VolatilityTarget, c.PreviousWeekPivot, c.ResampledToFinishedWeeks,
    c.DayOfTheWeek, c.TurnOfTheMonth, c.RegressionSlope, c.GapFade, c.VolumeSurge, c.SpreadOfTwo,
)  # fmt: skip
ORDER = tuple(RULES)
