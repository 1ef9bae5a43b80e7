"""Which change of a limit lets more through, and how one is written."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import ConfigError, RiskLimit
from robotrader.risk.limits import loosened, parse_limit, profile

D = Decimal
OFF = RiskLimit(profile="p")


def looser(name: str, before: Any, after: Any) -> bool:
    found = loosened(structs.replace(OFF, **{name: before}), structs.replace(OFF, **{name: after}))
    assert found in {(), (name,)}
    return bool(found)


@pytest.mark.parametrize("name", ["max_order_quantity", "max_order_notional", "messages_per_s", "max_drawdown_ratio"])
def test_more_of_a_cap_is_looser_and_less_or_as_much_is_not(name: str) -> None:
    assert [looser(name, 10, after) for after in (11, 10, 9)] == [True, False, False]


@pytest.mark.parametrize("name", [
    "min_order_notional", "duplicate_window_s", "repeated_window_s", "min_excess_liquidity_ratio", "entry_cutoff_s",
    "min_borrow_level", "min_borrow_cover", "approvers", "split_guard_ratio",
])  # fmt: skip
def test_less_of_a_floor_or_a_window_is_looser(name: str) -> None:
    assert [looser(name, 10, after) for after in (11, 10, 9)] == [False, False, True]


@pytest.mark.parametrize("name", ["luld_bands", "short_price_test", "standing_required", "authority_required"])
def test_a_guard_that_is_switched_off_is_looser(name: str) -> None:
    assert [looser(name, before, not before) for before in (True, False)] == [True, False]


def test_what_is_off_is_looser_than_anything_and_nothing_is_looser_than_that() -> None:
    assert looser("max_order_quantity", 10, None)
    assert looser("min_order_notional", 10, None)
    assert not looser("max_order_quantity", None, 10**9)
    assert not looser("max_order_quantity", None, None)


def test_a_list_with_a_new_name_is_looser() -> None:
    assert looser("allow_list", ("A",), ("A", "B"))
    assert looser("allow_list", ("A", "B"), ("B", "C"))
    assert not looser("allow_list", ("A", "B"), ("B",))


def test_a_floor_of_messages_that_is_off_is_the_tightest() -> None:
    floor = "order_efficiency_floor"
    assert [looser(floor, *pair) for pair in ((None, 1), (10, 11), (11, 10), (10, None), (None, 0))] == [
        True, True, False, False, False
    ]  # fmt: skip


def test_an_earlier_day_for_the_freer_rule_is_looser() -> None:
    days = [date(2026, 6, 4), date(2027, 10, 20)]
    assert looser("intraday_margin_from", days[1], days[0])
    assert not looser("intraday_margin_from", days[0], days[1])
    assert parse_limit("intraday_margin_from=2026-06-04") == ("intraday_margin_from", days[0])


def test_a_profiles_name_and_a_warning_let_nothing_through() -> None:
    assert loosened(profile("live"), structs.replace(profile("live"), profile="mine")) == ()
    assert not looser("order_efficiency_warning", 1.0, 2.0)


def test_all_that_is_looser_is_named() -> None:
    before = structs.replace(OFF, max_order_quantity=10, messages_per_s=5, approvers=2)
    after = structs.replace(OFF, max_order_quantity=9, messages_per_s=6, approvers=1)
    assert set(loosened(before, after)) == {"messages_per_s", "approvers"}


@pytest.mark.parametrize(("text", "value"), [
    ("max_order_quantity=100", 100), (" max_order_notional = 2500.50 ", D("2500.50")), ("max_order_adv_ratio=0.5", 0.5),
    ("luld_bands=true", True), ("allow_list=SPY.ARCA, QQQ.NASDAQ", ("SPY.ARCA", "QQQ.NASDAQ")),
    ("currencies=USD", ("USD",)), ("max_drawdown_ratio=none", None), ("max_drawdown_ratio=None", None),
])  # fmt: skip
def test_a_limit_is_written_as_name_and_value(text: str, value: object) -> None:
    assert parse_limit(text) == (text.partition("=")[0].strip(), value)


@pytest.mark.parametrize(("text", "says"), [
    ("max_order_quantitty=1", "found 'max_order_quantitty=1'; did you mean max_order_quantity?"),
    ("zzzz=1", "found 'zzzz=1'; `robotrader risk limits` lists them"),
    ("max_order_quantity", "found 'max_order_quantity'; did you mean max_order_quantity?"),
    ("profile=live", "found 'profile=live'; `robotrader risk limits` lists them"),
])  # fmt: skip
def test_what_is_no_limit_is_refused_with_the_nearest_name(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_limit(text)
    assert refused.value.message == f"expected NAME=VALUE of a limit, {says}"


def test_a_value_that_does_not_fit_is_refused_with_what_was_expected() -> None:
    with pytest.raises(ConfigError, match=r"^limit max_order_quantity: Expected `int.*found 'many'$"):
        parse_limit("max_order_quantity=many")


def test_a_profile_that_nobody_wrote_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(ConfigError) as refused:
        profile("wild")
    assert refused.value.message == "limit profile must be one of research, paper, live; found 'wild'"
    assert [profile(name).profile for name in ("research", "paper", "live")] == ["research", "paper", "live"]


def test_a_group_that_loses_a_member_or_is_gone_is_looser_and_one_that_gains_is_not() -> None:
    groups = {"oil": ("A", "B"), "gold": ("C",)}
    assert looser("groups", groups, {"oil": ("A",), "gold": ("C",)})
    assert looser("groups", groups, {"oil": ("A", "B")})
    assert not looser("groups", groups, {"oil": ("A", "B", "D"), "gold": ("C",), "tin": ("E",)})
