"""Limits, verdicts and trading states."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Any

from msgspec import Struct

from robotrader.model.errors import ConfigError
from robotrader.model.market import Currency, InstrumentId


class TradingState(StrEnum):
    """What may be sent; ordered from free to closed by `severity`."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"
    LOCKED = "LOCKED"

    @property
    def severity(self) -> int:
        """Return 0 for ACTIVE up to 3 for LOCKED; the effective state is the worst."""
        return _SEVERITY[self]


_SEVERITY = {state: n for n, state in enumerate(TradingState)}


class HostCondition(StrEnum):
    """What this machine must give for trading to go on."""

    DISK = "disk"
    DATABASE = "database"


class RiskCheck(StrEnum):
    """Stable names of the checks, in their order of evaluation; also their reason codes when they fail."""

    MAX_ORDER_QUANTITY = "max_order_quantity"
    MAX_ORDER_NOTIONAL = "max_order_notional"
    MIN_ORDER_NOTIONAL = "min_order_notional"
    PRICE_COLLAR = "price_collar"
    FAT_FINGER = "fat_finger"
    PRICE_GRID = "price_grid"
    DUPLICATE_INTENT = "duplicate_intent"
    ALLOW_LIST = "allow_list"
    MESSAGE_RATE = "message_rate"
    REPEATED_EXECUTION = "repeated_execution"
    OPEN_ORDERS = "open_orders"
    BUYING_POWER = "buying_power"
    POSITION_LIMIT = "position_limit"
    LULD = "luld"
    SESSION = "session"
    BORROW = "borrow"
    SHORT_PRICE_TEST = "short_price_test"
    EXPOSURE = "exposure"
    STRATEGY_BUDGET = "strategy_budget"
    GROUP_EXPOSURE = "group_exposure"
    SELF_TRADE = "self_trade"
    ORDER_EFFICIENCY = "order_efficiency"
    LOSS_LIMIT = "loss_limit"
    DATA_FITNESS = "data_fitness"
    TRADING_STATE = "trading_state"
    AUTHORITY = "authority"


class RiskLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One profile of limits; None switches a limit off.

    Quantities in units, notionals in account currency, ratios plain (0.05 = 5 %; of the equity where nothing else is
    named, `adv` is the average daily volume), rates per second, `_s` in seconds. `allow_list` None allows every
    configured instrument. `intraday_margin_from` is the broker's first day (UTC) of FINRA's intraday margin standards,
    before which day trades are counted. `order_efficiency_floor`: messages of a day up to which the ratio does not
    count; None = 0. `split_guard_ratio`: a jump between bars that comes so near a usual split ratio halts its
    instrument. What each means in its check: `docs/guide/risk.md`. Raises `ConfigError` where a number is negative or
    not finite.
    """

    profile: str
    max_order_quantity: int | None = None
    max_order_adv_ratio: float | None = None
    max_order_notional: Decimal | None = None
    max_order_equity_ratio: Decimal | None = None
    min_order_notional: Decimal | None = None
    price_collar_ratio: Decimal | None = None
    fat_finger_ratio: Decimal | None = None
    reference_max_age_bars: float | None = None
    duplicate_window_s: float | None = None
    allow_list: tuple[InstrumentId, ...] | None = None
    currencies: tuple[Currency, ...] | None = None
    messages_per_s: int | None = None
    messages_per_s_instrument: int | None = None
    bursts_per_s_strategy: int | None = None
    max_repeated_fills: int | None = None
    repeated_window_s: float | None = None
    max_open_orders: int | None = None
    max_open_orders_instrument: int | None = None
    what_if_equity_ratio: Decimal | None = None
    min_excess_liquidity_ratio: Decimal | None = None
    intraday_margin_from: date | None = None
    max_position_equity_ratio: Decimal | None = None
    max_position_adv_ratio: float | None = None
    luld_bands: bool | None = None
    entry_cutoff_s: float | None = None
    min_borrow_level: float | None = None
    min_borrow_cover: float | None = None
    max_borrow_age_s: float | None = None
    max_borrow_fee_ratio: float | None = None
    short_price_test: bool | None = None
    max_gross_ratio: Decimal | None = None
    max_net_ratio: Decimal | None = None
    max_leverage: Decimal | None = None
    max_budget_ratio: Decimal | None = None
    max_strategies_gross_ratio: Decimal | None = None
    max_group_ratio: Decimal | None = None
    groups: dict[str, tuple[InstrumentId, ...]] | None = None
    self_trade_guard: bool | None = None
    order_efficiency_warning: float | None = None
    max_order_efficiency: float | None = None
    order_efficiency_floor: int | None = None
    soft_daily_loss_ratio: Decimal | None = None
    max_daily_loss_ratio: Decimal | None = None
    max_drawdown_ratio: Decimal | None = None
    max_strategy_drawdown_ratio: Decimal | None = None
    max_rejects_per_min: int | None = None
    max_rate_breaches_per_min: int | None = None
    max_locate_s: float | None = None
    approvers: int | None = None
    quote_max_age_s: float | None = None
    live_data_required: bool | None = None
    max_clock_skew_s: float | None = None
    standing_required: bool | None = None
    authority_required: bool | None = None
    split_guard_ratio: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float | Decimal) and not (isfinite(value) and value >= 0):
                raise ConfigError(f"risk.{name}: expected a number >= 0, found {value}", key=f"risk.{name}")


class CheckResult(Struct, frozen=True, kw_only=True):
    """One check's outcome with the numbers it used: scalars, decimals as text once encoded."""

    check: RiskCheck
    passed: bool
    numbers: dict[str, Any] = {}
    reason: str = ""


class Approved(Struct, frozen=True, kw_only=True, tag="approved", tag_field="verdict"):
    """The order may be sent."""

    checks: tuple[CheckResult, ...]
    limits: str


class Denied(Struct, frozen=True, kw_only=True, tag="denied", tag_field="verdict"):
    """The order may not be sent; every failed check is kept, with its numbers."""

    checks: tuple[CheckResult, ...]
    limits: str

    @property
    def reasons(self) -> tuple[RiskCheck, ...]:
        """Return the names of the failed checks, in order."""
        return tuple(c.check for c in self.checks if not c.passed)


Verdict = Approved | Denied
