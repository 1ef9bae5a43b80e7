"""What the API answers. Money and prices are decimal strings, times ISO 8601 UTC, absent is null.

The page shows the same values: `panels.py` only writes them out for people.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Self

from msgspec import Struct

from robotrader.model import (
    Action,
    InstrumentId,
    LinkState,
    OrderId,
    OrderState,
    OrderType,
    Side,
    Stage,
    StrategyId,
    TradingState,
)


class View(Struct, frozen=True, kw_only=True):
    """Base of all answers."""

    @classmethod
    def of(cls, *sources: object, **computed: Any) -> Self:
        """Take each field from `computed`, else from the first of `sources` with an attribute of that name."""
        values: dict[str, Any] = {}
        for source in reversed(sources):
            values |= {name: getattr(source, name) for name in cls.__struct_fields__ if hasattr(source, name)}
        return cls(**(values | computed))


class ScopeState(View, frozen=True, kw_only=True):
    """The trading state of one scope; no strategy and no instrument means global."""

    state: TradingState
    since: datetime
    reason: str
    actor: str
    strategy: StrategyId | None = None
    instrument: InstrumentId | None = None


class Request(View, frozen=True, kw_only=True):
    """An operator's request; `taken` false: the trader has not seen it yet."""

    id: str
    at: datetime
    action: Action
    reason: str
    actor: str
    taken: bool
    strategy: StrategyId | None = None
    instrument: InstrumentId | None = None


class DataAge(View, frozen=True, kw_only=True):
    """The last bar of one instrument and its age on the runner's clock, in seconds."""

    instrument: InstrumentId
    state: Literal["fresh", "stale", "missing"]
    last_bar: datetime | None
    age_s: float | None
    spec: str | None


class Account(View, frozen=True, kw_only=True):
    """Our last mark of the account, beside what the broker last said; amounts in account currency.

    `day_pnl` is the change of equity since `day_from`, the last mark of an earlier trading day.
    """

    as_of: datetime | None = None
    equity: Decimal | None = None
    cash: Decimal | None = None
    realized_pnl: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    commission: Decimal | None = None
    gross: Decimal | None = None
    net: Decimal | None = None
    day_pnl: Decimal | None = None
    day_from: datetime | None = None
    broker_equity: Decimal | None = None
    broker_cash: Decimal | None = None
    broker_reported: datetime | None = None


class Status(View, frozen=True, kw_only=True):
    """How the trader stands, as far as its journal says.

    `trading_state` is null while no trader ever ran here. `clock` is the runner's; `link` the latest run's link to the
    broker.
    """

    seq: int
    run_id: str | None = None
    mode: str | None = None
    account: str | None = None
    simulated: bool
    data_note: str
    started: datetime | None = None
    ended: datetime | None = None
    end_reason: str | None = None
    clock: datetime | None
    trading_state: TradingState | None
    since: datetime | None = None
    reason: str = ""
    actor: str = ""
    link: LinkState | None = None
    link_reason: str = ""
    scopes: tuple[ScopeState, ...]
    requests: tuple[Request, ...]
    open_orders: int
    unresolved_orders: int
    held: int
    broker: Account
    data: tuple[DataAge, ...]


class Position(View, frozen=True, kw_only=True):
    """One strategy's holding, signed units; values in account currency."""

    strategy: StrategyId
    instrument: InstrumentId
    quantity: int
    average_price: Decimal | None
    last_price: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal
    as_of: datetime


class Order(View, frozen=True, kw_only=True):
    """One order; `state` is UNKNOWN while the outcome of a send is, `last_state` then says what was known."""

    cursor: int
    id: OrderId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: int
    filled: int
    type: OrderType
    limit_price: Decimal | None
    stop_price: Decimal | None
    average_price: Decimal | None
    state: str
    last_state: OrderState
    reason: str
    decided: datetime
    updated: datetime


class Fill(View, frozen=True, kw_only=True):
    """One execution; `commission` is null until the broker has reported it."""

    cursor: int
    order_id: OrderId
    exec_id: str
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: int
    price: Decimal
    commission: Decimal | None
    at: datetime


class EquityPoint(View, frozen=True, kw_only=True):
    """The account's equity at one mark."""

    at: datetime
    equity: Decimal


class Strategy(View, frozen=True, kw_only=True):
    """One configured strategy and its book; `pnl` is equity less capital."""

    id: StrategyId
    source: str
    stage: Stage
    capital: Decimal
    equity: Decimal | None = None
    cash: Decimal | None = None
    pnl: Decimal | None = None
    as_of: datetime | None = None


class Denial(View, frozen=True, kw_only=True):
    """One order that our gate refused, with every failed check in words."""

    order_id: OrderId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: int
    limits: str
    reasons: tuple[str, ...]
    detail: tuple[str, ...]
    at: datetime


class Decision(View, frozen=True, kw_only=True):
    """One decision: what the strategy said, what was held and wanted, and what came of it."""

    strategy: StrategyId
    instrument: InstrumentId
    outcome: str
    reason: str
    order_id: OrderId | None
    strength: float
    target: int
    position: int
    working: int
    inputs: dict[str, str]
    checks: tuple[dict[str, Any], ...]
    at: datetime
