"""From a signal's strength to a target in whole units.

target = sign(strength) x floor(|strength| x size); the floor never exceeds the cap that `size` states.
"""

from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

from msgspec import Struct

from robotrader.model import ConfigError


class SizingInputs(Struct, frozen=True, kw_only=True):
    """What a sizer may use: the book's `equity` (currency), the last close, and ATR(14) in price units."""

    equity: Decimal
    price: Decimal
    multiplier: Decimal
    atr: Decimal | None


class Sizer(Struct, frozen=True):
    """A rule and its number.

    `fixed:N` N units; `notional:X` X of currency; `percent:R` and `all_in` that ratio of the book's
    equity; `atr:R` so that one ATR(14) move costs that ratio of equity.
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
        budget = max(inputs.equity, Decimal(0)) * self.value
        if self.rule == "atr":
            return budget / (inputs.atr * inputs.multiplier) if inputs.atr else Decimal(0)
        return budget / unit

    @property
    def text(self) -> str:
        """Return the rule as it is written."""
        return self.rule if self.rule == "all_in" else f"{self.rule}:{self.value}"

    @property
    def needs_atr(self) -> bool:
        """Tell whether `SizingInputs.atr` is used."""
        return self.rule == "atr"


def parse_sizer(text: str) -> Sizer:
    """Read `fixed:100`, `notional:50000`, `percent:0.1`, `all_in` or `atr:0.01`.

    Raises
    ------
    ConfigError
        Another rule, or a number that is not positive (ratios: not in (0, 1]).
    """
    rule, _, number = text.partition(":")
    if text == "all_in":
        return Sizer("all_in", Decimal(1))
    if rule not in {"fixed", "notional", "percent", "atr"}:
        raise ConfigError(f"sizer must be fixed:N, notional:X, percent:R, all_in or atr:R; found {text!r}")
    try:
        value = Decimal(number)
    except ArithmeticError:
        value = Decimal("NaN")
    ceiling = Decimal(1) if rule in {"percent", "atr"} else Decimal("Infinity")
    if not value.is_finite() or not 0 < value <= ceiling:
        raise ConfigError(f"sizer {rule} needs a number in (0, {ceiling}]; found {number!r}")
    return Sizer(rule, value)


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
