"""The three limit profiles. None switches a limit off; the profile's name is in every result."""

import difflib
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import structs

from robotrader.model import ConfigError, Currency, RiskLimit

_D = Decimal

# Starting defaults: `ibkr.md` 4.3 of the project's knowledge files; every value can be set in [risk].
PAPER = RiskLimit(
    profile="paper",
    max_order_quantity=5_000,
    max_order_adv_ratio=0.01,
    max_order_notional=_D(50_000),
    max_order_equity_ratio=_D("0.05"),
    price_collar_ratio=_D("0.03"),
    fat_finger_ratio=_D("0.20"),
    reference_max_age_bars=1.5,
    duplicate_window_s=2.0,
    messages_per_s=40,
    messages_per_s_instrument=5,
    bursts_per_s_strategy=2,
    max_position_equity_ratio=_D("0.10"),
    max_repeated_fills=10,
    repeated_window_s=60.0,
    max_open_orders=100,
    max_open_orders_instrument=5,
    max_gross_ratio=_D("1.5"),
    max_net_ratio=_D(1),
    self_trade_guard=True,
    soft_daily_loss_ratio=_D("0.02"),
    max_daily_loss_ratio=_D("0.03"),
    max_drawdown_ratio=_D("0.10"),
    max_strategy_drawdown_ratio=_D("0.20"),
    max_rejects_per_min=10,
    max_rate_breaches_per_min=5,
    split_guard_ratio=0.05,
)

# Every row of the table: what its facts do not say is a refusal. It starts with paper's numbers, so that what paper
# proved holds.
LIVE = structs.replace(
    PAPER,
    profile="live",
    min_order_notional=_D(200),
    currencies=(Currency("USD"),),
    what_if_equity_ratio=_D("0.02"),
    min_excess_liquidity_ratio=_D("0.20"),
    intraday_margin_from=date(2027, 10, 20),  # the last day on which a broker may begin: IBKR's own is not known
    max_position_adv_ratio=0.02,
    luld_bands=True,
    entry_cutoff_s=600.0,
    min_borrow_level=2.5,
    min_borrow_cover=2.0,
    max_borrow_age_s=900.0,
    max_borrow_fee_ratio=0.10,
    max_locate_s=600.0,
    short_price_test=True,
    max_leverage=_D("1.5"),
    max_budget_ratio=_D(1),
    max_strategies_gross_ratio=_D("1.5"),
    max_group_ratio=_D("0.25"),
    order_efficiency_warning=10.0,
    max_order_efficiency=15.0,
    order_efficiency_floor=100,
    quote_max_age_s=5.0,
    live_data_required=True,
    max_clock_skew_s=2.0,
    standing_required=True,
    authority_required=True,
)

# Capital and rate limits off, sanity checks on: a backtest must not be cut to an account's size.
RESEARCH = RiskLimit(
    profile="research",
    price_collar_ratio=_D("0.05"),
    fat_finger_ratio=_D("0.20"),
    reference_max_age_bars=1.5,
    duplicate_window_s=0.0,
)

_PROFILES = {limits.profile: limits for limits in (RESEARCH, PAPER, LIVE)}


def profile(name: str) -> RiskLimit:
    """Return the profile of that name: research, paper or live.

    Raises
    ------
    ConfigError
        There is no such profile.
    """
    if name not in _PROFILES:
        raise ConfigError(f"limit profile must be one of {', '.join(_PROFILES)}; found {name!r}")
    return _PROFILES[name]


_SMALLER_IS_LOOSER = frozenset({
    "min_order_notional", "duplicate_window_s", "repeated_window_s", "min_excess_liquidity_ratio", "entry_cutoff_s",
    "min_borrow_level", "min_borrow_cover", "approvers", "split_guard_ratio", "luld_bands", "short_price_test",
    "self_trade_guard", "live_data_required", "standing_required", "authority_required", "intraday_margin_from",
})  # fmt: skip
"""Of all others more is looser; what is off is looser than anything."""


def loosened(before: RiskLimit, after: RiskLimit) -> tuple[str, ...]:
    """Return the names of the limits that let through what they did not before."""
    names = [name for name in before.__struct_fields__ if name not in {"profile", "order_efficiency_warning"}]
    return tuple(n for n in names if _is_looser(n, _set(before, n), _set(after, n)))


def _set(limits: RiskLimit, name: str) -> Any:
    """Return a limit; a floor that is off is at the bottom, where it is tightest."""
    value = getattr(limits, name)
    return value or 0 if name == "order_efficiency_floor" else value


def _is_looser(name: str, before: Any, after: Any) -> bool:
    if before is None or before == after:
        return False
    if after is None:
        return True
    if isinstance(before, tuple):
        return not set(after) <= set(before)
    if isinstance(before, dict):
        return not all(set(members) <= set(after.get(group, ())) for group, members in before.items())
    return bool(after < before if name in _SMALLER_IS_LOOSER else after > before)


def parse_limit(text: str) -> tuple[str, Any]:
    """Return name and value of `name=value`; `none` switches a limit off, commas separate a list.

    Raises
    ------
    ConfigError
        There is no such limit, or the value does not fit.
    """
    name, sign, value = (part.strip() for part in text.partition("="))
    types = {f.name: f.type for f in structs.fields(RiskLimit) if f.name != "profile"}
    if not sign or name not in types:
        near = difflib.get_close_matches(name, types, n=1)
        hint = f"did you mean {near[0]}?" if near else "`robotrader risk limits` lists them"
        raise ConfigError(f"expected NAME=VALUE of a limit, found {text!r}; {hint}")
    if value.lower() == "none":
        return name, None
    given: Any = [part.strip() for part in value.split(",")] if name in {"allow_list", "currencies"} else value
    try:
        return name, getattr(msgspec.convert({"profile": "", name: given}, RiskLimit, strict=False), name)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"limit {name}: {error}; found {value!r}") from error
