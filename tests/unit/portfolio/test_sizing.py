"""From strength to units."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import ConfigError, StrategyConfig, StrategyId
from robotrader.portfolio.sizing import (
    Returns,
    SizingInputs,
    annual_returns,
    average_true_range,
    looks_back,
    parse_sizer,
    target_quantity,
)
from tests import builders as make

D = Decimal


def inputs(*, equity: str = "100000", price: str = "40", multiplier: str = "1", atr: str | None = None) -> SizingInputs:
    return SizingInputs(equity=D(equity), price=D(price), multiplier=D(multiplier), atr=None if atr is None else D(atr))


def seen(mean: str, volatility: str, *, direction: int = 1, **more: str) -> SizingInputs:
    return structs.replace(inputs(**more), returns=Returns(D(mean), D(volatility)), direction=direction)


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
        ("volatility:0.1", seen("0", "0.2"), D(1_250)),  # half of the equity
        ("volatility:0.1", seen("-0.5", "0.4"), D(625)),
        ("volatility:0.1", seen("0", "0.4", direction=-1), D(625)),
        ("volatility:0.1", seen("0", "0.2", multiplier="5"), D(250)),
        ("volatility:0.1", seen("0", "0.05"), D(2_500)),  # twice the equity would be needed
        ("volatility:0.1", seen("0", "0"), D(0)),
        ("volatility:0.1", seen("0", "0.2", equity="-1"), D(0)),
        ("volatility:0.1", inputs(atr="2"), D(0)),
        ("kelly:0.5", seen("0.02", "0.2"), D(625)),  # half of 0.02 / 0.04
        ("kelly:1", seen("0.02", "0.2"), D(1_250)),
        ("kelly:0.5", seen("0.02", "0.2", direction=-1), D(0)),
        ("kelly:0.5", seen("-0.02", "0.2"), D(0)),
        ("kelly:0.5", seen("-0.02", "0.2", direction=-1), D(625)),
        ("kelly:0.5", seen("0.2", "0.2"), D(2_500)),
        ("kelly:0.5", seen("0.02", "0"), D(0)),
        ("kelly:0.5", inputs(), D(0)),
        ("risk_parity:1", inputs(), D(0)),
        ("risk_parity:1", structs.replace(inputs(), weight=D("0.25")), D(625)),
        ("equal:0.5", structs.replace(inputs(multiplier="5"), weight=D("0.25")), D("62.5")),
        ("min_variance:2", structs.replace(inputs(equity="-1"), weight=D(1)), D(0)),
    ],
)
def test_each_rule_sizes_as_stated(text: str, facts: SizingInputs, size: Decimal) -> None:
    assert parse_sizer(text).size(facts) == size


@pytest.mark.parametrize(
    ("rules", "bars"),
    [
        ({"sizer": "fixed:1"}, 1), ({"sizer": "all_in", "stop_loss": "percent:0.05"}, 1), ({"sizer": "atr:0.01"}, 15),
        ({"sizer": "volatility:0.1"}, 63), ({"sizer": "kelly:0.5", "stop_loss": "atr:2"}, 63),
        ({"stop_loss": "trailing_atr:2"}, 15), ({"take_profit": "atr:3"}, 15),
        ({"sizer": "equal:1"}, 1), ({"sizer": "equal:1", "cluster_correlation": 0.7}, 63),
        ({"sizer": "risk_parity:1"}, 63), ({"sizer": "min_variance:1"}, 63), ({"sizer": "inverse_volatility:1"}, 63),
    ],
)  # fmt: skip
def test_sizes_and_exits_look_back_at_as_many_bars_as_their_rules_take(rules: dict[str, Any], bars: int) -> None:
    plain = StrategyConfig(id=StrategyId("s"), source="s", universe=(make.SPY.id,), capital=D(1_000))
    assert looks_back([plain, structs.replace(plain, **rules)]) == bars
    assert looks_back([]) == 1


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
    ["", "fixed", "fixed:", "fixed:x", "fixed:0", "fixed:-1", "fixed:NaN", "fixed:Infinity", "kelly", "all_in:1",
     "notional:-5", "percent:0", "percent:1.01", "atr:2", "FIXED:1", "kelly:1.01", "kelly:0", "kelly:-0.5",
     "volatility:1.01", "volatility:nan", "volatility", "equal", "equal:0", "risk_parity:2.01", "min_variance:"],
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


def test_returns_are_simple_ones_and_a_year_is_so_many_bars() -> None:
    # returns 0.1, -0.1, 0.1: mean 1/30, variance of the sample (2 x 1/225 + 4/225) / 2 = 1/75
    found = annual_returns([100.0, 110.0, 99.0, 108.9], 300)
    assert found is not None
    assert float(found.mean) == pytest.approx(10)
    assert float(found.volatility) == pytest.approx(2)


@pytest.mark.parametrize("closes", [[], [10.0, 11.0], [10.0, 0.0, 11.0], [10.0, float("nan"), 11.0], [10.0, -1.0, 2.0],
                                    [10.0, float("inf"), 11.0]])  # fmt: skip
def test_too_few_closes_or_closes_that_are_no_prices_have_no_returns(closes: list[float]) -> None:
    assert annual_returns(closes, 252) is None
