"""Limits as they are in force, and orders of a file judged by them: nothing here reaches a broker."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from robotrader.config import Settings
from robotrader.model import (
    NANOS_PER_SECOND,
    CheckResult,
    DataError,
    Order,
    OrderId,
    PortfolioSnapshot,
    RiskLimit,
    RoboTraderError,
    SetLimits,
    Side,
    Stage,
    StrategyId,
    TradingState,
    Venue,
    stock,
)
from robotrader.ports import JournalReader
from robotrader.risk.checks import CHECKS
from robotrader.risk.facts import (
    Authority,
    Borrow,
    Budget,
    Conduct,
    Exposures,
    Facts,
    Losses,
    Margin,
    Market,
    RateCounts,
    Session,
    Standing,
)
from robotrader.risk.gate import evaluate
from robotrader.risk.limits import profile

_LOOKED_AT = 200
_MILLION = Decimal(1_000_000)
_OPENS = 1_736_778_600 * NANOS_PER_SECOND  # 2025-01-13, 14:30 UTC
_SESSION_NS = 23_400 * NANOS_PER_SECOND
_INSTRUMENT = stock("AAPL", Venue.NASDAQ)
_ORDER = Order(id=OrderId("RT-CHECK"), strategy=StrategyId("check"), instrument=_INSTRUMENT.id, side=Side.BUY,
               quantity=100, ts_event=_OPENS)  # fmt: skip

CONTEXT = Facts(
    snapshot=PortfolioSnapshot(
        ts=_OPENS, instrument=_INSTRUMENT, equity=_MILLION, position=0, open_buy=0, open_sell=0,
        last_close=Decimal("100.00"), reference_price=Decimal("100.00"), reference_age_ns=0,
        reference_spec_ns=60 * NANOS_PER_SECOND, average_daily_volume=50e6,
    ),
    rates=RateCounts(messages=0, instrument_messages=0, strategy_bursts=0),
    known_intent=False, same_terms_age_ns=None, state=TradingState.ACTIVE, state_reason="",
    conduct=Conduct(recent_fills=0, open_orders=0, instrument_open_orders=0, submitted=0, revised=0, canceled=0,
                    executed=0, opposite=()),
    market=Market(bid=Decimal("99.99"), ask=Decimal("100.01"), quote_age_ns=0, live=True, clock_skew_s=0.0,
                  halted=False, limit_state=False, luld_tier=1, short_restricted=False),
    session=Session(executes=_OPENS, opens=_OPENS, closes=_OPENS + _SESSION_NS),
    borrow=Borrow(level=3.0, shares=1_000_000, fee_rate=0.0025, age_ns=0),
    margin=Margin(net_liquidation=_MILLION, excess_liquidity=_MILLION, excess_after=_MILLION, day_trades=0),
    exposures=Exposures(Decimal(0), Decimal(0), Decimal(0), ()),
    budget=Budget(allocated=_MILLION, others=Decimal(0), position=0, open_buy=0, open_sell=0, all_others=Decimal(0)),
    losses=Losses(equity=_MILLION, day_start=_MILLION, peak=_MILLION),
    standing=Standing(connected=True, heartbeat_fresh=True, reconciled=True, outside_reset=True, lease_held=True),
    authority=Authority(mode="live", stage=Stage.LIVE, model_signed=True, role_allowed=True),
)  # fmt: skip
"""What an order of a file meets unless it says otherwise: a million in cash, a quiet market at 100, all in order."""


class LimitRow(NamedTuple):
    """A check with its settings, where they come from, and what the last order that it judged used of its limit."""

    row: int
    check: str
    limit: Any
    used: Any
    origin: str
    settings: Mapping[str, Any]


def limits_in_use(
    settings: Settings, origins: Mapping[str, str], reader: JournalReader, name: str | None = None
) -> list[LimitRow]:
    """List all checks under the configured limits, or under the profile of that name.

    Raises
    ------
    ConfigError
        There is no such profile.
    """
    limits, changed = (settings.limits, {}) if name is not None else limits_in_force(settings, reader)
    limits = limits if name is None else profile(name)
    origins = {**origins, **changed}
    base = settings.risk.profile if name is None else name
    used = _last_used(reader)
    rows = []
    for check in CHECKS:
        fields = {field: value for field in check.limits if (value := getattr(limits, field)) is not None}
        own = {origin for field in fields if name is None and (origin := origins.get(f"risk.{field}"))}
        origin = ", ".join(sorted(own)) or (f"profile {base}" if fields else "off" if check.limits else "always on")
        numbers = used.get(check.name, {}) if check.on(limits) else {}
        plain = [value for value in fields.values() if isinstance(value, int | float | Decimal) and value is not True]
        limit = numbers.get("limit", plain[0] if plain else None)
        rows.append(LimitRow(check.row, check.name, limit, numbers.get("used"), origin, fields))
    return rows


def limits_in_force(settings: Settings, reader: JournalReader) -> tuple[RiskLimit, dict[str, str]]:
    """Return the limits of the last run as they were changed since, else those configured; and who set what."""
    run, changes = reader.run(), reader.commands(SetLimits)
    if run is None or not changes or changes[-1].ts_event < run.started.ts_event:
        return settings.limits, {}
    limits, origins = changes[-1].limits, dict[str, str]()
    for change in changes:
        approved = f", approved by {change.approver}" if change.approver else ""
        origins |= {f"risk.{field}": f"set by {change.actor}{approved}: {change.reason}" for field in change.changed}
    return limits, origins


def _last_used(reader: JournalReader) -> dict[str, Mapping[str, Any]]:
    """Return the numbers of the newest decision in which each check had some."""
    found: dict[str, Mapping[str, Any]] = {}
    for decision in reader.decisions(limit=_LOOKED_AT):
        for result in decision.detail.get("checks") or ():
            if "used" in (result.get("numbers") or {}):
                found.setdefault(result["check"], result["numbers"])
    return found


def check_orders(file: Path, limits: RiskLimit) -> list[tuple[str, tuple[CheckResult, ...]]]:
    """Judge the orders of a YAML or JSON file, each by itself; return their names with all results.

    Raises
    ------
    DataError
        The file cannot be read, or an order of it cannot be understood: the message says where.
    """
    import yaml

    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise DataError(f"{file} is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    orders = document.get("orders") if isinstance(document, dict) else document
    if not isinstance(orders, list) or not orders:
        raise DataError(f"{file}: expected a list of orders, or `orders:` with one, found {type(orders).__name__}")
    return [_judged(item, f"{file}: orders[{n}]", limits) for n, item in enumerate(orders)]


def _judged(item: Any, place: str, limits: RiskLimit) -> tuple[str, tuple[CheckResult, ...]]:
    if not isinstance(item, dict):
        raise DataError(f"{place}: expected an order, found {item!r}")
    terms = {key: value for key, value in item.items() if key not in {"name", "facts"}}
    order = _merged(_ORDER, terms, place)
    given = structs.replace(CONTEXT, snapshot=structs.replace(CONTEXT.snapshot, instrument=structs.replace(
        _INSTRUMENT, id=order.instrument, symbol=order.instrument.rpartition(".")[0])))  # fmt: skip
    facts = item.get("facts", {})
    conduct = facts.get("conduct") if isinstance(facts, dict) else None
    if isinstance(conduct, dict) and isinstance(conduct.get("opposite"), list):
        away, where = structs.replace(order, side=_OTHER[order.side]), f"{place}.facts.conduct.opposite"
        met = [msgspec.to_builtins(_merged(away, other, where)) for other in conduct["opposite"]]
        facts = facts | {"conduct": conduct | {"opposite": met}}
    verdict = evaluate(order, _merged(given, facts, f"{place}.facts"), limits)
    return str(item.get("name", place.rpartition(" ")[2])), verdict.checks


_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def _merged(default: Any, given: Any, place: str) -> Any:
    """Return a struct in which this much is different."""
    fields = dict(_over(default, given, place))
    try:
        return msgspec.convert(fields, type(default), strict=False)
    except (msgspec.ValidationError, RoboTraderError) as error:
        raise DataError(f"{place}: {error}") from error


def _over(default: Any, given: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a struct with those given put over them; what it does not have is refused."""
    known: Sequence[str] = default.__struct_fields__
    if not isinstance(given, Mapping):
        raise DataError(f"{place}: expected {', '.join(known)}; found {given!r}")
    for key in given:
        if key not in known:
            raise DataError(f"{place}.{key}: unknown; expected one of {', '.join(known)}")
    for key in known:
        value = getattr(default, key)
        if key in given and hasattr(value, "__struct_fields__") and isinstance(given[key], Mapping):
            yield key, dict(_over(value, given[key], f"{place}.{key}"))
        else:
            yield key, given[key] if key in given else msgspec.to_builtins(value)
