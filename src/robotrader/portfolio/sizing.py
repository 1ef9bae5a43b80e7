"""From a signal's strength to a target in whole units.

target = sign(strength) x floor(|strength| x size); the floor never exceeds the cap that `size` states.
"""

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from math import fsum, sqrt

from msgspec import Struct

from robotrader.model import ConfigError, StrategyConfig
from robotrader.portfolio.allocation import parse_throttle

ATR_BARS = 14
CLOSES = 63
CONSTRUCTIONS = ("equal", "inverse_volatility", "risk_parity", "min_variance")
"""Sizers that share one exposure out among all names of a strategy: the methods of `portfolio.construction`."""
_BY_RETURNS = {"volatility", "kelly"}
_LARGEST = dict.fromkeys(("percent", "atr", *_BY_RETURNS), 1) | dict.fromkeys(CONSTRUCTIONS, 2)
_LOOK_BACK = {"atr": ATR_BARS + 1, **dict.fromkeys((*_BY_RETURNS, *CONSTRUCTIONS[1:]), CLOSES)}
"""How many of the last bars a rule needs, where it needs more than one."""


class Returns(Struct, frozen=True):
    """Mean and standard deviation a year of an instrument's close-to-close returns: 0.16 is 16 %."""

    mean: Decimal
    volatility: Decimal


class SizingInputs(Struct, frozen=True, kw_only=True):
    """What a sizer may use: the book's `equity` (currency), the last close, and ATR(14) in price units.

    `returns` are those of the last 63 closes, `direction` is 1 for a long position, -1 for a short one. `weight` is the
    name's share in [0, 1] of what its strategy's construction gives out.
    """

    equity: Decimal
    price: Decimal
    multiplier: Decimal
    atr: Decimal | None = None
    returns: Returns | None = None
    direction: int = 1
    weight: Decimal | None = None


class Sizer(Struct, frozen=True):
    """A rule and its number.

    `fixed:N` N units; `notional:X` X of currency; `percent:R` and `all_in` that ratio of the book's
    equity; `atr:R` so that one ATR(14) move costs that ratio of equity; `volatility:R` so that the position's
    volatility is that ratio of equity a year, all of the equity at most; `kelly:F` that fraction of the Kelly
    fraction mean / variance of the returns, from nothing to all of the equity; `equal:G`, `inverse_volatility:G`,
    `risk_parity:G` and `min_variance:G` the name's share of G times the equity.

    Kelly sizes are noise above all: over 62 daily returns the standard error of a Sharpe ratio is 2, so that of
    the Kelly fraction at 16 % volatility is over 12 times the equity. Expect nothing or the cap, seldom between.
    Source: J. L. Kelly, A New Interpretation of Information Rate (1956); E. O. Thorp (2006), section 7.
    """

    rule: str
    value: Decimal

    def size(self, inputs: SizingInputs) -> Decimal:
        """Return the full size in units for strength 1, not yet rounded; 0 where an input is missing."""
        if self.rule == "fixed":
            return self.value
        unit = inputs.price * inputs.multiplier
        if self.rule == "notional":
            return self.value / unit
        if self.needs_returns:
            return max(inputs.equity, Decimal(0)) * self._share(inputs) / unit
        budget = max(inputs.equity, Decimal(0)) * self.value
        if self.rule == "atr":
            return budget / (inputs.atr * inputs.multiplier) if inputs.atr else Decimal(0)
        return budget * (inputs.weight or 0) / unit if self.constructs else budget / unit

    def _share(self, inputs: SizingInputs) -> Decimal:
        """Return the share of equity, in [0, 1], that the returns allow; prices that stand still allow none."""
        seen = inputs.returns
        if seen is None or not seen.volatility:
            return Decimal(0)
        edge = Decimal(1) if self.rule == "volatility" else inputs.direction * seen.mean / seen.volatility
        return min(max(self.value * edge / seen.volatility, Decimal(0)), Decimal(1))

    @property
    def text(self) -> str:
        """Return the rule as it is written."""
        return self.rule if self.rule == "all_in" else f"{self.rule}:{self.value}"

    @property
    def needs_returns(self) -> bool:
        """Tell whether `SizingInputs.returns` is used."""
        return self.rule in _BY_RETURNS

    @property
    def constructs(self) -> bool:
        """Tell whether `SizingInputs.weight` is used: all names of the strategy are sized together."""
        return self.rule in CONSTRUCTIONS


def looks_back(strategies: Iterable[StrategyConfig]) -> int:
    """Return how many of the last bars sizes and exits of strategies depend on."""
    found = [1]
    for c in strategies:
        texts = [text for text in (c.sizer, c.stop_loss, c.take_profit) if text]
        found += [bars for text in texts for rule, bars in _LOOK_BACK.items() if f"{rule}:" in text]
        found += [CLOSES] if c.cluster_correlation is not None else []
    return max(found)


def parse_sizer(text: str) -> Sizer:
    """Read `fixed:100`, `notional:50000`, `percent:0.1`, `all_in`, `atr:0.01`, `kelly:0.5`, `risk_parity:1`...

    Raises
    ------
    ConfigError
        Another rule, or a number that is not positive (ratios: not in (0, 1]; of a construction: not in (0, 2]).
    """
    rule, _, number = text.partition(":")
    if text == "all_in":
        return Sizer("all_in", Decimal(1))
    if rule not in {"fixed", "notional", *_LARGEST}:
        raise ConfigError(
            "sizer must be fixed:N, notional:X, percent:R, all_in, atr:R, volatility:R, kelly:F or "
            f"{', '.join(f'{name}:G' for name in CONSTRUCTIONS)}; found {text!r}"
        )
    try:
        value = Decimal(number)
    except ArithmeticError:
        value = Decimal("NaN")
    ceiling = Decimal(_LARGEST.get(rule, "Infinity"))
    if not value.is_finite() or not 0 < value <= ceiling:
        raise ConfigError(f"sizer {rule} needs a number in (0, {ceiling}]; found {number!r}")
    return Sizer(rule, value)


def check_sizing(config: StrategyConfig) -> None:
    """Raise ConfigError for a sizer, buffer, cluster correlation or throttle that cannot be."""
    sizer, correlation = parse_sizer(config.sizer), config.cluster_correlation
    if config.drawdown_throttle is not None:
        parse_throttle(config.drawdown_throttle)
    if not 0 <= config.turnover_buffer < 1:
        raise ConfigError(f"turnover_buffer must lie in [0, 1); found {config.turnover_buffer}")
    if correlation is not None and not (sizer.constructs and 0 < correlation < 1):
        names = ", ".join(CONSTRUCTIONS)
        raise ConfigError(f"cluster_correlation must lie in (0, 1), with a sizer {names}; found {correlation}")


def target_quantity(strength: float, size: Decimal, lot: int = 1) -> int:
    """Return the signed target: floor(|strength| x size) in whole lots."""
    whole = int((abs(Decimal(repr(strength))) * size / lot).to_integral_value(rounding=ROUND_FLOOR)) * lot
    return whole if strength > 0 else -whole


def average_true_range(bars: list[tuple[float, float, float]]) -> Decimal | None:
    """Return the plain mean of the true ranges of (high, low, close) bars, oldest first.

    The first bar only gives the previous close. None with fewer than two bars.
    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978); plain mean, no smoothing.
    """
    if len(bars) < 2:
        return None
    ranges = [max(high - low, abs(high - before[2]), abs(low - before[2])) for before, (high, low, _) in pairwise(bars)]
    return Decimal(repr(sum(ranges) / len(ranges)))


def annual_returns(closes: list[float], bars_a_year: float) -> Returns | None:
    """Return mean and sample standard deviation of the simple returns between closes, oldest first, a year.

    Returns are taken as independent: the variance grows with the number of bars. None with fewer than three
    closes, or where one is no price (missing, or outside (1e-9, 1e12), in which all squares are finite).
    """
    if len(closes) < 3 or not all(1e-9 < close < 1e12 for close in closes):
        return None
    steps = [after / before - 1 for before, after in pairwise(closes)]
    mean = fsum(steps) / len(steps)
    variance = fsum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
    return Returns(Decimal(repr(mean * bars_a_year)), Decimal(repr(sqrt(variance * bars_a_year))))
