"""Limits, verdicts and trading states."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from robotrader.model.market import InstrumentId


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


class RiskCheck(StrEnum):
    """Stable names of the checks; also their reason codes when they fail."""

    MAX_ORDER_QUANTITY = "max_order_quantity"
    MAX_ORDER_NOTIONAL = "max_order_notional"
    PRICE_COLLAR = "price_collar"
    FAT_FINGER = "fat_finger"
    PRICE_GRID = "price_grid"
    DUPLICATE_INTENT = "duplicate_intent"
    ALLOW_LIST = "allow_list"
    MESSAGE_RATE = "message_rate"
    POSITION_LIMIT = "position_limit"
    TRADING_STATE = "trading_state"


class RiskLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One profile of limits; None switches a limit off.

    Quantities in units, notionals in account currency, ratios plain (0.05 = 5 %), rates per second.
    `allow_list` None allows every configured instrument. `split_guard_ratio`: a jump between bars that comes so near a
    usual split ratio halts its instrument.
    """

    profile: str
    max_order_quantity: int | None = None
    max_order_adv_ratio: float | None = None
    max_order_notional: Decimal | None = None
    max_order_equity_ratio: Decimal | None = None
    price_collar_ratio: Decimal | None = None
    fat_finger_ratio: Decimal | None = None
    reference_max_age_bars: float | None = None
    duplicate_window_s: float | None = None
    allow_list: tuple[InstrumentId, ...] | None = None
    messages_per_s: int | None = None
    messages_per_s_instrument: int | None = None
    bursts_per_s_strategy: int | None = None
    max_position_equity_ratio: Decimal | None = None
    split_guard_ratio: float | None = None


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
