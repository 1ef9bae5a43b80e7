"""From configured strategies, costs and limits to the kernel's numbers; what they cannot say is refused here."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import ceil
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from robotrader.data.adjust import near_split
from robotrader.data.panel import Floats, Panel
from robotrader.data.panel import Times as Ints
from robotrader.execution.protection import parse_age, parse_distance, policy_of
from robotrader.model import (
    MONEY,
    NANOS_PER_SECOND,
    BarSpec,
    ConfigError,
    CorporateAction,
    Resize,
    RiskLimit,
    StrategyConfig,
)
from robotrader.portfolio.sizing import parse_sizer
from robotrader.research import kernel_layout as layout
from robotrader.simulation import costs
from robotrader.simulation.impact import STEPS, Impact
from robotrader.simulation.matching import FillAt

_BOUND = 1 << 61
_SMALL = 1_000_000_000
_NEVER = 1 << 40  # no strength
_SIZERS = {"fixed": layout.FIXED, "notional": layout.NOTIONAL, "percent": layout.EQUITY, "all_in": layout.EQUITY,
           "atr": layout.ATR}  # fmt: skip
_COSTS: dict[type, int] = {
    costs.BasisPoints: layout.BPS,
    costs.IbkrFixed: layout.IBKR_FIXED,
    costs.IbkrTiered: layout.IBKR_TIERED,
}
_MILLIONTH = Decimal("0.000001")
_NANOS_PER_DAY = BarSpec.DAY.nanos


class Unsupported(ConfigError):
    """The fast path does not play this; the event engine does."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the fast path cannot play this: {reason}; take --engine event or auto")


class Friction(Struct, frozen=True, kw_only=True):
    """What stands between a decision and its fill: costs, moment, half the spread in bps, share of the volume.

    Also the coefficient of impact, and what shorts pay a year.
    """

    costs: costs.CostModel
    fill: FillAt = FillAt.NEXT_OPEN
    half_spread_bps: Decimal = Decimal(1)
    participation: float | None = None
    impact: Decimal = Decimal(0)
    borrow_rate: Decimal = Decimal(0)


_LIMITS = frozenset({
    "profile", "max_order_quantity", "max_order_adv_ratio", "max_order_notional", "max_order_equity_ratio",
    "price_collar_ratio", "fat_finger_ratio", "reference_max_age_bars", "duplicate_window_s", "allow_list",
    "messages_per_s", "messages_per_s_instrument", "bursts_per_s_strategy", "max_position_equity_ratio",
    "split_guard_ratio", "approvers",
})  # fmt: skip
"""The static ones, which the kernel knows."""


def check_supported(
    configs: Sequence[StrategyConfig], panel: Panel, limits: RiskLimit, *, actions: Sequence[CorporateAction]
) -> None:
    """Raise `Unsupported` for what the kernel does not know."""
    ids, symbols = [c.id for c in configs], {i.symbol for i in panel.instruments}
    gap_s = float(np.diff(panel.ts).min(initial=_NANOS_PER_DAY)) / NANOS_PER_SECOND
    rated = (limits.messages_per_s, limits.messages_per_s_instrument, limits.bursts_per_s_strategy)
    strange = [name for name in limits.__struct_fields__ if name not in _LIMITS and getattr(limits, name) is not None]
    reasons = {
        f"there are limits that the event engine alone judges: {', '.join(strange)}": bool(strange),
        "two strategies have one id": len(set(ids)) < len(ids),
        "sizes follow the returns or all names together": any(
            parse_sizer(c.sizer).rule not in _SIZERS for c in configs
        ),
        "targets are throttled or buffered": any(c.drawdown_throttle or c.turnover_buffer for c in configs),
        "an instrument is in a universe twice": any(len(set(c.universe)) < len(c.universe) for c in configs),
        "two strategies trade one instrument, and may meet inside": (
            len({i for c in configs for i in c.universe}) < sum(len(set(c.universe)) for c in configs)
        ),
        "a strategy has stops, targets or time exits, and bars overlap": (
            protected(configs) and bool(np.any(panel.opened[1:] < panel.ts[:-1]))
        ),
        "corporate actions are booked": any({a.symbol, a.successor or a.symbol} <= symbols for a in actions),
        "the bars are nearer to each other than the duplicate window": gap_s < (limits.duplicate_window_s or 0),
        "the bars are nearer to each other than a second": gap_s < 1 and any(r is not None for r in rated),
        "a price jumps like a split, which may halt its instrument": _may_halt(panel, limits.split_guard_ratio),
    }
    for reason, found in reasons.items():
        if found:
            raise Unsupported(reason)


def _may_halt(panel: Panel, tolerance: float | None) -> bool:
    """Tell whether the split guard would stop an instrument."""
    if tolerance is None:
        return False
    for column in range(len(panel.instruments)):
        there = ~np.isnan(panel.close[:, column])
        close, opened = panel.close[there, column][:-1], panel.open[there, column][1:]
        jumps = np.nonzero(np.abs(close / opened - 1) > 0.1)[0]  # the smallest usual split is 5:4
        if any(near_split(float(close[n]), float(opened[n]), tolerance) for n in jumps):
            return True
    return False


class Rules(NamedTuple):
    """What never changes in a run: the kernel's tables, before anything happened."""

    slots: Ints
    columns: Ints
    owners: Ints
    terms: Ints
    shares: Floats
    rates: Ints
    tiers: Ints
    impact: Floats


def protected(configs: Sequence[StrategyConfig]) -> bool:
    """Tell whether a strategy has stops, targets or time exits."""
    return any(c.stop_loss or c.take_profit or c.time_exit for c in configs)


def rules_of(
    configs: Sequence[StrategyConfig], panel: Panel, friction: Friction, limits: RiskLimit, *, resize: Sequence[Resize]
) -> Rules:
    """Return the numbers of a run; `resize` is what the strategies' manifests say."""
    where = {iid: k for k, iid in enumerate(panel.ids)}
    found = [(where[iid], owner) for owner, config in enumerate(configs) for iid in config.universe]
    slots, columns = _zeros(layout.SLOT_FIELDS, len(found)), _zeros(layout.COLUMN_FIELDS, len(panel.ids))
    owners = _zeros(layout.OWNER_FIELDS, len(configs))
    slots[[layout.S_COLUMN, layout.S_OWNER]] = np.array(found, dtype=np.int64).reshape(-1, 2).T
    slots[layout.S_BEFORE] = _NEVER
    columns[[layout.C_HEAD, layout.C_TAIL]] = -1
    for k, i in enumerate(panel.instruments):
        columns[layout.C_TICK, k] = _whole(i.tick / _MILLIONTH, f"tick of {i.id}")
        columns[layout.C_UNIT, k] = _whole(i.tick * i.multiplier / MONEY, f"tick x multiplier of {i.id}")
        columns[layout.C_LOT, k] = i.lot
        columns[layout.C_ALLOWED, k] = limits.allow_list is None or i.id in limits.allow_list
    for n, (config, declared) in enumerate(zip(configs, resize, strict=True)):
        sizer = parse_sizer(config.sizer)
        owners[:4, n] = (_SIZERS[sizer.rule], *_ratio(sizer.value, f"sizer {config.sizer}"),
                         (config.resize or declared) is Resize.EVERY_BAR)  # fmt: skip
        owners[layout.W_CASH, n] = _whole(config.capital / MONEY, f"capital of {config.id}")
        owners[layout.W_EQUITY_ROW, n] = -1
        policy_of(config, "")  # refuses what cannot be read
        trails = bool(config.stop_loss) and parse_distance(config.stop_loss or "").trailing
        owners[layout.W_STOP :, n] = (*_distance(config.stop_loss), *_distance(config.take_profit), trails,
                                      parse_age(config.time_exit) if config.time_exit else 0)  # fmt: skip
    costs = _costs(friction.costs, panel, columns[layout.C_UNIT])
    terms = (
        tuple(FillAt).index(friction.fill), panel.spec is BarSpec.DAY,
        *_spread(friction), *costs, *_limits(limits, panel.spec), *_ratio(friction.borrow_rate, "borrow rate"),
    )  # fmt: skip
    shares = (_off(friction.participation), _off(limits.max_order_adv_ratio))
    rates, tiers = fee_tables()
    impact = Impact(panel, friction.impact).rows if friction.impact else np.zeros((0, len(panel.ids)))
    return Rules(slots, columns, owners, np.array(terms, dtype=np.int64), np.array(shares), rates, tiers, impact)


def _distance(text: str | None) -> tuple[int, int, int]:
    if text is None:
        return 0, 0, 1
    distance = parse_distance(text)
    rule = layout.PERCENT if distance.rule == "percent" else layout.OF_ATR
    return rule, *_ratio(distance.value, f"distance {text}")


def _spread(friction: Friction) -> tuple[int, int]:
    if not friction.impact:
        return _ratio(friction.half_spread_bps / 10_000, "half spread")
    if friction.fill is FillAt.THIS_CLOSE:
        raise Unsupported("impact at this close")
    return _whole(friction.half_spread_bps / 10_000 * STEPS, "half spread"), STEPS


def _zeros(fields: Sequence[int], length: int) -> Ints:
    return np.zeros((len(fields), length), dtype=np.int64)


def _off(value: float | None) -> float:
    return -1 if value is None else value


def _whole(value: Decimal, what: str) -> int:
    if value != int(value) or abs(value) > _BOUND:
        raise Unsupported(f"{what} is not a moderate whole number of millionths")
    return int(value)


def _ratio(value: Decimal, what: str) -> tuple[int, int]:
    numerator, denominator = Fraction(value).as_integer_ratio()
    if max(numerator, denominator) > _SMALL:
        raise Unsupported(f"{what} has too many digits: {value}")
    return numerator, denominator


def _costs(model: costs.CostModel, panel: Panel, units: Ints) -> tuple[int, int, int]:
    """Return kind and share of the value (numerator, denominator) of a cost model."""
    kind = _COSTS.get(type(model))
    if kind is None:
        raise Unsupported(f"costs of {type(model).__name__}")
    if isinstance(model, costs.BasisPoints):
        return kind, *_ratio(model.bps / 10_000, "commission")
    if bool(np.any(units % 100)):
        raise Unsupported("IBKR's commissions on a tick below 0.0001")
    if len(panel) and panel.opened[0] < _starts(_days()[0]):
        raise Unsupported(f"there are no fee rates before {_days()[0]}")
    return kind, 0, 1


_DATED = (costs.SEC_PER_DOLLAR, costs.TAF_PER_SHARE, costs.TAF_MAX, costs.CAT_PER_SHARE)


def _days() -> list[str]:
    return sorted({rate.since for table in _DATED for rate in table})


def _starts(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * NANOS_PER_SECOND


@cache
def fee_tables() -> tuple[Ints, Ints]:
    """Return the dated rates and the tiers as the kernel reads them (see `kernel_layout.Run`)."""
    scales = (Decimal(layout.RATE_DENOMINATOR), 1 / MONEY, 1 / MONEY, 1 / MONEY)
    rates = [
        [_starts(day), *(int(costs.rate_on(table, date.fromisoformat(day)) * scale)
                         for table, scale in zip(_DATED, scales, strict=True))]
        for day in _days()
    ]  # fmt: skip
    passed_on = (
        int((costs.NYSE_PASS_THROUGH + costs.FINRA_PASS_THROUGH) * layout.RATE_DENOMINATOR),
        int((costs.CLEARING_PER_SHARE + costs.EXCHANGE_REMOVE_PER_SHARE) / MONEY),
    )
    tiers = [*((upto or _BOUND, int(rate / MONEY)) for upto, rate in costs.TIERS), passed_on]
    return np.array(rates, dtype=np.int64), np.array(tiers, dtype=np.int64)


def _limits(limits: RiskLimit, spec: BarSpec) -> Iterator[int]:
    """Yield the limits in the order of `kernel_layout.TERM_FIELDS`."""
    yield -1 if limits.max_order_quantity is None else limits.max_order_quantity
    yield -1 if limits.max_order_notional is None else int(limits.max_order_notional / MONEY)
    for name in ("max_order_equity_ratio", "max_position_equity_ratio"):
        ratio = getattr(limits, name)
        yield from (-1, 1) if ratio is None else _ratio(ratio, name)
    for rate in (limits.messages_per_s, limits.messages_per_s_instrument, limits.bursts_per_s_strategy):
        yield -1 if rate is None else rate
    yield ceil((limits.duplicate_window_s or 0) * NANOS_PER_SECOND)
    age = limits.reference_max_age_bars if limits.price_collar_ratio is not None else None
    yield -1 if age is None else int(age * spec.nanos)
    yield limits.price_collar_ratio is not None
