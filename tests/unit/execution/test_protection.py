"""Stop-losses and take-profits: what a policy says, where its orders stand, and what they are."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.execution.protection import Distance, Policy, Prices, parse_age, parse_distance, policy_of
from robotrader.model import ConfigError, Instrument, OrderType, Purpose, Side, TimeInForce
from tests import builders as make
from tests.unit.engine.stage import config

D = Decimal
STOP, TARGET = Purpose.STOP_LOSS, Purpose.TAKE_PROFIT


def at(close: str = "100.00", atr: str | None = None, instrument: Instrument = make.SPY) -> Prices:
    return Prices(instrument=instrument, close=D(close), atr=None if atr is None else D(atr))


def policy(**distances: str) -> Policy:
    found = policy_of(structs.replace(config(), **distances), version="1")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "distance"),
    [
        ("percent:0.05", Distance("percent", D("0.05"))),
        ("percent:0.999", Distance("percent", D("0.999"))),
        ("atr:2", Distance("atr", D(2))),
        ("atr:99.5", Distance("atr", D("99.5"))),
    ],
)
def test_a_distance_is_a_ratio_of_the_price_or_a_multiple_of_the_atr(text: str, distance: Distance) -> None:
    assert parse_distance(text) == distance


@pytest.mark.parametrize(
    "text",
    ["", "percent", "percent:", "percent:x", "percent:0", "percent:-0.1", "percent:1", "percent:5", "percent:nan",
     "atr:0", "atr:100", "atr:inf", "points:3", "0.05"],
)  # fmt: skip
def test_what_is_no_distance_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be percent:R .* or atr:K .* found"):
        parse_distance(text)


def test_a_strategy_that_names_no_distance_has_no_policy() -> None:
    assert policy_of(config(), version="1") is None
    assert policy(take_profit="atr:3").distances == {TARGET: Distance("atr", D(3))}


@pytest.mark.parametrize(
    ("purpose", "side", "price"),
    [
        (STOP, Side.SELL, "95.00"),
        (STOP, Side.BUY, "105.00"),
        (TARGET, Side.SELL, "110.00"),
        (TARGET, Side.BUY, "90.00"),
    ],
)
def test_a_stop_stands_behind_the_price_and_a_target_before_it(purpose: Purpose, side: Side, price: str) -> None:
    both = policy(stop_loss="percent:0.05", take_profit="percent:0.1")
    assert both.price(purpose, side, at()) == D(price)


def test_the_atr_counts_in_price_units_and_nothing_is_known_without_it() -> None:
    by_range = policy(stop_loss="atr:2")
    assert by_range.price(STOP, Side.SELL, at(atr="1.5")) == D("97.00")
    assert by_range.price(STOP, Side.SELL, at()) is None
    assert by_range.orders(Side.SELL, 100, at(), ts=make.T0) is None


def test_of_two_prices_one_that_is_not_known_is_enough_to_make_no_order() -> None:
    both = policy(stop_loss="percent:0.05", take_profit="atr:3")
    assert both.orders(Side.SELL, 100, at(), ts=make.T0) is None
    assert len(both.orders(Side.SELL, 100, at(atr="1"), ts=make.T0) or ()) == 2


def test_a_trailing_stop_moves_with_the_price_only() -> None:
    trailing = policy(stop_loss="trailing_percent:0.05")
    (stop,) = trailing.orders(Side.SELL, 100, at("100.00"), ts=make.T0) or ()
    assert [trailing.followed(stop, at(close)) for close in ("110.00", "100.00", "90.00")] == [
        D("104.50"),
        D(95),
        D(95),
    ]
    (above,) = trailing.orders(Side.BUY, 100, at("100.00"), ts=make.T0) or ()
    assert [trailing.followed(above, at(close)) for close in ("90.00", "110.00")] == [D("94.50"), D("105.00")]
    assert policy(stop_loss="percent:0.05").followed(stop, at("110.00")) == D(95), "this one stands"


def test_a_trailing_stop_stays_where_its_new_price_is_not_known() -> None:
    trailing = policy(stop_loss="trailing_atr:2")
    (stop,) = trailing.orders(Side.SELL, 100, at("100.00", atr="1"), ts=make.T0) or ()
    assert trailing.followed(stop, at("110.00")) == D(98)
    assert trailing.followed(stop, at("110.00", atr="1")) == D(108)


def test_a_target_that_follows_the_price_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot follow the price"):
        policy(take_profit="trailing_percent:0.05")


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5_400), ("12h", 43_200), ("10d", 864_000)])
def test_an_age_is_a_whole_number_of_a_unit(text: str, seconds: int) -> None:
    assert parse_age(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "1.5d", "10", "10 d", "3w", "100000d", "9" * 5_000 + "d"])
def test_what_is_no_age_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="time_exit must be"):
        parse_age(text)


def test_prices_are_on_the_grid() -> None:
    coarse = structs.replace(make.SPY, tick=D("0.25"))
    assert policy(stop_loss="percent:0.033").price(STOP, Side.SELL, at(instrument=coarse)) == D("96.75")


def test_a_price_that_is_none_or_the_close_itself_is_not_known() -> None:
    assert policy(stop_loss="percent:0.00001").price(STOP, Side.SELL, at("10.00")) is None, "it would fill at once"
    assert policy(stop_loss="atr:50").price(STOP, Side.SELL, at("10.00", atr="1")) is None, "below nothing"


def test_the_orders_are_good_till_canceled_of_one_group_and_wait_for_the_entry() -> None:
    entry = make.order()
    made = policy(stop_loss="percent:0.05", take_profit="percent:0.1").orders(
        Side.SELL, 100, at(), ts=make.T0, entry=entry
    )
    assert made is not None
    stop, target = made
    assert (stop.type, stop.stop_price, stop.limit_price, stop.purpose) == (OrderType.STOP, D("95.00"), None, STOP)
    assert (target.type, target.stop_price, target.limit_price) == (OrderType.LIMIT, None, D("110.00"))
    assert {(o.tif, o.parent, o.quantity, o.side) for o in made} == {(TimeInForce.GTC, entry.id, 100, Side.SELL)}
    assert stop.oca_group == target.oca_group == f"OCA-{stop.id}"


def test_every_order_of_every_moment_and_attempt_has_an_id_and_a_group_of_its_own() -> None:
    both = policy(stop_loss="percent:0.05", take_profit="percent:0.1")
    moments: list[dict[str, Any]] = [{"ts": make.T0}, {"ts": make.T0, "attempt": 1}, {"ts": make.T0 + 1}]
    made = [o for moment in moments for o in both.orders(Side.SELL, 100, at(), **moment) or ()]
    assert len({o.id for o in made}) == 6
    assert len({o.oca_group for o in made}) == 3
    assert {o.parent for o in made} == {None}
