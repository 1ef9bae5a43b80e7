"""IBKR's worked examples and the dates of the fees."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest

from robotrader.model import ConfigError, DataError, Side
from robotrader.simulation.costs import (
    CAT_PER_SHARE,
    SEC_PER_DOLLAR,
    TAF_MAX,
    TAF_PER_SHARE,
    BasisPoints,
    CostModel,
    IbkrFixed,
    IbkrTiered,
    cost_model,
    fixed_commission,
    rate_on,
    regulatory_fees,
    tiered_commission,
)

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
OLD = date(2020, 6, 1)  # SEC 27.80 per million, TAF 0.000166, no CAT


@pytest.mark.parametrize(
    ("quantity", "price", "commission"),
    [
        (100, "25", "1.00"),  # the minimum
        (1_000, "25", "5.00"),
        (1_000, "0.25", "2.50"),  # the cap of 1 % wins over the minimum and the rate
        (1, "10", "0.10"),  # ... over the minimum alone
        (200, "25", "1.00"),
        (201, "25", "1.005"),
    ],
)
def test_ibkr_fixed_charges_as_the_page_says(quantity: int, price: str, commission: str) -> None:
    assert fixed_commission(quantity, quantity * D(price)) == D(commission)


@pytest.mark.parametrize(
    ("quantity", "monthly", "commission"),
    [
        (1_000, 0, "3.50"),
        (100, 0, "0.35"),
        (10, 0, "0.35"),  # the minimum
        (300_000, 0, "1050"),
        (300_001, 0, "1050.002"),  # only the one share beyond the tier costs less
        (1_000, 300_000, "2.00"),
        (1_000, 299_500, "2.75"),  # 500 at 0.0035, 500 at 0.0020
        (20_000_000, 0, "31950"),  # 300k x 0.0035 + 2.7M x 0.0020 + 17M x 0.0015
        (1_000, 100_000_000, "0.50"),
        (2_000, 99_999_000, "1.50"),  # 1000 at 0.0010, 1000 at 0.0005
    ],
)
def test_tiers_are_marginal_by_monthly_volume(quantity: int, monthly: int, commission: str) -> None:
    assert tiered_commission(quantity, D(quantity) * 25, monthly) == D(commission)


def test_tiered_is_capped_at_one_percent_of_the_value() -> None:
    assert tiered_commission(1_000, D("250")) == D("2.50")
    assert tiered_commission(10, D("10")) == D("0.10")


@pytest.mark.parametrize(
    ("table", "day", "rate"),
    [
        (SEC_PER_DOLLAR, "2025-05-13", "0.0000278"),
        (SEC_PER_DOLLAR, "2025-05-14", "0"),
        (SEC_PER_DOLLAR, "2026-04-03", "0"),
        (SEC_PER_DOLLAR, "2026-04-04", "0.0000206"),
        (TAF_PER_SHARE, "2025-12-31", "0.000166"),
        (TAF_PER_SHARE, "2026-01-01", "0.000195"),
        (TAF_MAX, "2025-12-31", "8.30"),
        (TAF_MAX, "2026-01-01", "9.79"),
        (CAT_PER_SHARE, "2024-09-30", "0"),
        (CAT_PER_SHARE, "2024-10-01", "0.000072"),
    ],
)
def test_a_fee_changes_on_its_date(table: tuple[object, ...], day: str, rate: str) -> None:
    assert rate_on(table, date.fromisoformat(day)) == D(rate)  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [SEC_PER_DOLLAR, TAF_PER_SHARE, TAF_MAX, CAT_PER_SHARE])
def test_a_date_before_a_table_is_an_error_never_a_free_trade(table: tuple[object, ...]) -> None:
    assert rate_on(table, date(1990, 1, 1)) >= 0  # type: ignore[arg-type]
    with pytest.raises(DataError, match="1989-12-31"):
        rate_on(table, date(1989, 12, 31))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [IbkrFixed(), IbkrTiered()])
def test_an_order_before_the_tables_cannot_be_priced(model: CostModel) -> None:
    with pytest.raises(DataError):
        model.total(side=BUY, quantity=1, notional=D(100), day=date(1989, 12, 31))


@pytest.mark.parametrize("table", [SEC_PER_DOLLAR, TAF_PER_SHARE, TAF_MAX, CAT_PER_SHARE])
def test_tables_ascend(table: tuple[object, ...]) -> None:
    assert all(a.since < b.since for a, b in pairwise(table))  # type: ignore[attr-defined]


def test_sec_and_taf_are_paid_on_sales_only() -> None:
    assert regulatory_fees(side=BUY, quantity=1_000, notional=D(100_000), day=OLD) == 0
    # 100,000 x 27.80 / 1,000,000 + 1,000 x 0.000166
    assert regulatory_fees(side=SELL, quantity=1_000, notional=D(100_000), day=OLD) == D("2.78") + D("0.166")


def test_cat_is_paid_on_both_sides() -> None:
    day = date(2025, 6, 2)  # SEC is 0 then
    assert regulatory_fees(side=BUY, quantity=1_000, notional=D(100_000), day=day) == D("0.072")
    assert regulatory_fees(side=SELL, quantity=1_000, notional=D(100_000), day=day) == D("0.072") + D("0.166")


def test_taf_is_capped() -> None:
    free = D(0)
    # 8.30 / 0.000166 = 50,000 shares
    assert regulatory_fees(side=SELL, quantity=50_000, notional=free, day=OLD) == D("8.30")
    assert regulatory_fees(side=SELL, quantity=49_999, notional=free, day=OLD) == D("8.299834")
    assert regulatory_fees(side=SELL, quantity=5_000_000, notional=free, day=OLD) == D("8.30")
    assert regulatory_fees(side=SELL, quantity=5_000_000, notional=free, day=date(2026, 1, 2)) == D("9.79") + 360


def test_fixed_adds_the_fees_to_the_commission() -> None:
    assert IbkrFixed().total(side=BUY, quantity=100, notional=D(2_500), day=OLD) == D("1.000000")
    # 1.00 + 2,500 x 0.0000278 + 100 x 0.000166
    assert IbkrFixed().total(side=SELL, quantity=100, notional=D(2_500), day=OLD) == D("1.086100")


def test_tiered_adds_what_is_passed_on() -> None:
    # 3.50 + 3.50 x (0.000175 + 0.000563) + 1,000 x (0.0002 + 0.003), no fees on a purchase
    assert IbkrTiered().total(side=BUY, quantity=1_000, notional=D(25_000), day=OLD) == D("6.702583")
    sold = IbkrTiered().total(side=SELL, quantity=1_000, notional=D(25_000), day=OLD)
    assert sold - D("6.702583") == D("0.695") + D("0.166")


def test_basis_points_are_of_the_value() -> None:
    assert BasisPoints(D("2.5")).total(side=SELL, quantity=1, notional=D(10_000), day=OLD) == D("2.5")


def test_models_by_name() -> None:
    assert cost_model("ibkr_fixed") == IbkrFixed()
    assert cost_model("ibkr_tiered") == IbkrTiered()
    assert cost_model("none") == BasisPoints(D(0))
    assert cost_model("bps:0.5") == BasisPoints(D("0.5"))


@pytest.mark.parametrize("name", ["", "free", "bps", "bps:", "bps:x", "bps:-1", "bps:NaN", "bps:Infinity", "ibkr"])
def test_an_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="commission must be"):
        cost_model(name)
