"""From strength to units."""

from decimal import Decimal

import pytest

from robotrader.model import ConfigError
from robotrader.portfolio.sizing import SizingInputs, average_true_range, parse_sizer, target_quantity

D = Decimal


def inputs(*, equity: str = "100000", price: str = "40", multiplier: str = "1", atr: str | None = None) -> SizingInputs:
    return SizingInputs(equity=D(equity), price=D(price), multiplier=D(multiplier), atr=None if atr is None else D(atr))


@pytest.mark.parametrize(
    ("text", "facts", "size"),
    [
        ("fixed:100", inputs(), D(100)),
        ("notional:50000", inputs(), D(1_250)),
        ("notional:50000", inputs(multiplier="5"), D(250)),
        ("percent:0.1", inputs(), D(250)),
        ("all_in", inputs(), D(2_500)),
        ("all_in", inputs(equity="-1"), D(0)),
        ("atr:0.01", inputs(atr="2"), D(500)),
        ("atr:0.01", inputs(atr="4"), D(250)),
        ("atr:0.01", inputs(atr="4", multiplier="5"), D(50)),
        ("atr:0.01", inputs(atr=None), D(0)),
        ("atr:0.01", inputs(atr="0"), D(0)),
    ],
)
def test_each_rule_sizes_as_stated(text: str, facts: SizingInputs, size: Decimal) -> None:
    assert parse_sizer(text).size(facts) == size


def test_only_the_atr_rule_asks_for_the_atr() -> None:
    assert [parse_sizer(t).needs_atr for t in ("atr:0.01", "fixed:1", "all_in")] == [True, False, False]


@pytest.mark.parametrize(
    ("strength", "size", "lot", "target"),
    [
        (1.0, "100", 1, 100),
        (-1.0, "100", 1, -100),
        (0.0, "100", 1, 0),
        (0.5, "99.9", 1, 49),
        (-0.5, "99.9", 1, -49),  # towards zero, never away from it
        (1.0, "99.999999", 1, 99),
        (1.0, "250", 100, 200),
        (-1.0, "99", 100, 0),
        (0.1, "30", 1, 3),  # 0.1 as written, not 0.1000000000000000055
        (0.3, "10", 1, 3),
    ],
)
def test_a_target_is_floored_in_whole_lots(strength: float, size: str, lot: int, target: int) -> None:
    assert target_quantity(strength, D(size), lot) == target


@pytest.mark.parametrize(
    "text",
    ["", "fixed", "fixed:", "fixed:x", "fixed:0", "fixed:-1", "fixed:NaN", "fixed:Infinity", "kelly:1", "all_in:1",
     "notional:-5", "percent:0", "percent:1.01", "atr:2", "FIXED:1"],
)  # fmt: skip
def test_a_sizer_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="sizer"):
        parse_sizer(text)


def test_a_ratio_may_be_all_of_the_equity() -> None:
    assert parse_sizer("percent:1").size(inputs()) == parse_sizer("all_in").size(inputs())


def test_the_true_range_counts_gaps() -> None:
    # 11 - 9; a gap up, high - close before: 15 - 10; a gap down, close before - low: 14 - 8
    bars = [(10.0, 8.0, 10.0), (11.0, 9.0, 10.0), (15.0, 13.0, 14.0), (9.0, 8.0, 8.5)]
    assert average_true_range(bars) == D(repr((2 + 5 + 6) / 3))


def test_the_true_range_needs_a_close_before() -> None:
    assert average_true_range([(10.0, 8.0, 9.0)]) is None
    assert average_true_range([]) is None
