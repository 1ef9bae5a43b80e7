"""All that the checks may know beside the order and the limits, grouped by what it is about.

None is unknown, and what a check needs and does not know is a refusal where its limit is on. Money is in account
currency, ratios are plain (0.05 = 5 %), times and ages are ns. "At worst case": all open and unresolved orders filled,
buys and sells apart, this order not counted.
"""

from decimal import Decimal

from msgspec import Struct

from robotrader.model import Order, PortfolioSnapshot, Side, Stage, TradingState

_SELL = Side.SELL  # a name of its own: looking a member of an enumeration up takes longer than the comparison


class RateCounts(Struct, frozen=True, kw_only=True):
    """Messages within the last second on the runner's clock, this order not yet counted.

    `strategy_bursts` counts decision batches of the strategy: all orders of one batch are one burst.
    """

    messages: int
    instrument_messages: int
    strategy_bursts: int


class Conduct(Struct, frozen=True, kw_only=True):
    """What we did before this order, which is not counted.

    Attributes
    ----------
    recent_fills : int
        Orders of the strategy in this instrument and on this side that began to fill within `repeated_window_s`.
    open_orders, instrument_open_orders : int
        Orders that can still fill: of the account, and in the instrument.
    submitted, revised, canceled, executed : int
        Orders, changes, cancels and executions of today, all of this account.
    opposite : tuple of Order
        Our orders on the other side of this instrument that can still fill, protective ones too; () = none.
    """

    recent_fills: int | None = None
    open_orders: int | None = None
    instrument_open_orders: int | None = None
    submitted: int | None = None
    revised: int | None = None
    canceled: int | None = None
    executed: int | None = None
    opposite: tuple[Order, ...] | None = None


class Market(Struct, frozen=True, kw_only=True):
    """What is quoted, and how far it can be trusted.

    Attributes
    ----------
    live : bool
        The quote is real-time: not delayed, not frozen.
    clock_skew_s : float
        Host's clock less the broker's, seconds, either sign.
    halted, limit_state : bool
        The instrument is halted or paused; it is in a LULD limit state.
    lower_band, upper_band : Decimal
        LULD bands of the exchange; None = computed from the snapshot's reference price and `luld_tier`.
    luld_tier : int
        1 or 2; None takes 1, the narrower.
    short_restricted : bool
        Rule 201 is in force: fallen by a tenth today or the session before.
    """

    bid: Decimal | None = None
    ask: Decimal | None = None
    quote_age_ns: int | None = None
    live: bool | None = None
    clock_skew_s: float | None = None
    halted: bool | None = None
    limit_state: bool | None = None
    lower_band: Decimal | None = None
    upper_band: Decimal | None = None
    luld_tier: int | None = None
    short_restricted: bool | None = None


class Session(Struct, frozen=True, kw_only=True):
    """When the order can execute first, and open and close (early ones too) of the regular session of that moment.

    An order decided after a close executes at the next open: `executes` is that open, not now.
    """

    executes: int | None = None
    opens: int | None = None
    closes: int | None = None


class Borrow(Struct, frozen=True, kw_only=True):
    """What can be borrowed of the instrument: IBKR's level (tick 46), shares (tick 89), fee as a ratio a year."""

    level: float | None = None
    shares: int | None = None
    fee_rate: float | None = None
    age_ns: int | None = None


class Margin(Struct, frozen=True, kw_only=True):
    """What the broker says of the account's margin.

    `excess_liquidity` as it stands; `excess_after` this order filled (equity with loan less maintenance margin of the
    what-if), None where it was not asked or did not answer in time. `day_trades` of the last five sessions.
    """

    net_liquidation: Decimal | None = None
    excess_liquidity: Decimal | None = None
    excess_after: Decimal | None = None
    day_trades: int | None = None


class Exposures(Struct, frozen=True):
    """Worst-case market values of all instruments but the order's own: `ExposureBook.without` makes them.

    `gross` sums the larger of both sides, `long` position and open buys (signed), `short` position and open sells.
    `groups` is the gross of each group that the instrument belongs to; () = it belongs to none.
    """

    gross: Decimal
    long: Decimal
    short: Decimal
    groups: tuple[tuple[str, Decimal], ...]


class Budget(Struct, frozen=True, kw_only=True):
    """The strategy's part: what is allocated to it, and what it has at worst case.

    Attributes
    ----------
    others : Decimal
        Gross of the strategy's other instruments.
    position, open_buy, open_sell : int
        The strategy's own units in this instrument.
    all_others : Decimal
        Gross of all strategies, each counted for itself, without this strategy's in this instrument.
    """

    allocated: Decimal | None = None
    others: Decimal | None = None
    position: int | None = None
    open_buy: int | None = None
    open_sell: int | None = None
    all_others: Decimal | None = None


class Losses(Struct, frozen=True, kw_only=True):
    """Equities to judge losses by, of the books at the last prices: now, at the last session's close, the highest."""

    equity: Decimal | None = None
    day_start: Decimal | None = None
    peak: Decimal | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """Row 25 beside the trading state: what must hold for anything to be sent."""

    connected: bool | None = None
    heartbeat_fresh: bool | None = None
    reconciled: bool | None = None
    outside_reset: bool | None = None
    lease_held: bool | None = None


class Authority(Struct, frozen=True, kw_only=True):
    """Row 26: who lets this strategy trade. `model_signed` is true also where it needs no model."""

    mode: str | None = None
    stage: Stage | None = None
    model_signed: bool | None = None
    role_allowed: bool | None = None


class Facts(Struct, frozen=True, kw_only=True):
    """Everything that is known for one order.

    `same_terms_age_ns`: age of the last order of equal symbol, side, quantity and price; None = none. `shrinks`: the
    order is at the broker already, with more units at the same prices. `exposures` None = unknown.
    """

    snapshot: PortfolioSnapshot
    rates: RateCounts
    known_intent: bool
    same_terms_age_ns: int | None
    shrinks: bool = False
    state: TradingState
    state_reason: str
    conduct: Conduct = Conduct()
    market: Market = Market()
    session: Session = Session()
    borrow: Borrow = Borrow()
    margin: Margin = Margin()
    exposures: Exposures | None = None
    budget: Budget = Budget()
    losses: Losses = Losses()
    standing: Standing = Standing()
    authority: Authority = Authority()


def is_reducing(order: Order, snapshot: PortfolioSnapshot) -> bool:
    """Tell whether the order only brings the position nearer to zero, all open orders filled."""
    if order.side is _SELL:
        return order.quantity <= snapshot.position - snapshot.open_sell
    return order.quantity <= -snapshot.position - snapshot.open_buy


def is_exit(order: Order, snapshot: PortfolioSnapshot) -> bool:
    """Tell whether the order reduces, or protects a position: it fills no more than that."""
    return order.purpose.protective or is_reducing(order, snapshot)
