"""What is no number cannot be made: not in code, and not out of a journal."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import (
    BadTick,
    ConfigError,
    DataError,
    RiskLimit,
    RoboTraderError,
    Signal,
    StrategyError,
    Target,
    decode_command,
    encode,
)
from tests import builders as make

D = Decimal
SIGNAL = Signal(strategy=make.TREND, instrument=make.SPY.id, ts_event=0, strength=1.0)
FILL = make.filled(make.order()).fill
TARGET = Target(strategy=make.TREND, instrument=make.SPY.id, ts_event=0, quantity=-5)
NO_NUMBERS: list[tuple[Any, dict[str, Any], type[RoboTraderError]]] = [
    (make.order(), {"quantity": -1}, BadTick),
    (make.order(), {"quantity": float("nan")}, BadTick),
    (make.order(), {"quantity": float("inf")}, BadTick),
    (make.order(), {"quantity": 1.5}, BadTick),
    (make.order(), {"limit_price": D("NaN")}, BadTick),
    (make.order(), {"stop_price": D("Infinity")}, BadTick),
    (FILL, {"quantity": -1}, BadTick),
    (FILL, {"price": D("sNaN")}, BadTick),
    (FILL, {"price": D("-Infinity")}, BadTick),
    (SIGNAL, {"strength": float("nan")}, StrategyError),
    (SIGNAL, {"strength": 1.0000001}, StrategyError),
    (SIGNAL, {"strength": -2.0}, StrategyError),
    (SIGNAL, {"confidence": float("inf")}, StrategyError),
    (TARGET, {"quantity": float("nan")}, BadTick),
    (RiskLimit(profile="x"), {"max_order_notional": D("NaN")}, ConfigError),
    (RiskLimit(profile="x"), {"max_gross_ratio": D("Infinity")}, ConfigError),
    (RiskLimit(profile="x"), {"max_order_adv_ratio": float("nan")}, ConfigError),
    (RiskLimit(profile="x"), {"messages_per_s": -1}, ConfigError),
]


@pytest.mark.parametrize(
    ("value", "change", "error"), NO_NUMBERS, ids=[f"{type(v).__name__}-{c}" for v, c, _ in NO_NUMBERS]
)
def test_what_is_no_number_is_refused_by_name(value: Any, change: dict[str, Any], error: type[RoboTraderError]) -> None:
    with pytest.raises(error, match="expected"):
        structs.replace(value, **change)
    with pytest.raises(error, match="expected"):
        type(value)(**{**structs.asdict(value), **change})


def test_a_journal_row_with_a_price_that_is_none_is_refused() -> None:
    deny = make.deny(structs.replace(make.order(), limit_price=D("1.25")))
    with pytest.raises(DataError, match="finite"):
        decode_command(encode(deny).replace(b'"1.25"', b'"NaN"'))


def test_numbers_at_the_edge_are_taken() -> None:
    assert structs.replace(SIGNAL, strength=-1.0).strength == -1
    assert structs.replace(TARGET, quantity=0).quantity == 0
    assert RiskLimit(profile="x", messages_per_s=0, luld_bands=False).messages_per_s == 0
