"""What happened. A closed, tagged union: the journal's codec comes for free.

Every event has `ts_event` (the source's time) and `ts_init` (when the runner took it in, on the
runner's clock), both ns UTC, and a version `v`. `source_id` is the idempotency key within the
event's kind: equal key and payload is dropped, equal key with another payload is a conflict;
None means "always new".
"""

from decimal import Decimal

from msgspec import Struct

from robotrader.model.control import Action, LinkState
from robotrader.model.corporate import CorporateAction
from robotrader.model.lifecycle import LifecycleRules
from robotrader.model.market import Bar, HaltCause, Instrument, InstrumentId, MarketDataType, Quote
from robotrader.model.orders import Commission, Fill, OrderId, Side, StrategyId
from robotrader.model.portfolio import Account
from robotrader.model.risk import HostCondition, RiskLimit, TradingState
from robotrader.model.sessions import SessionTable
from robotrader.model.strategy import Manifest, StrategyConfig


class Event(Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """Base of all events."""

    ts_event: int
    ts_init: int
    v: int = 1

    @property
    def source_id(self) -> str | None:
        """Return the idempotency key within this kind, None where every event is new."""
        return None


class RunStarted(Event, frozen=True, kw_only=True):
    """A trader process took the journal: everything its decisions depend on; `sessions` are the coming ones.

    `borrow_rate` is what shorts are taken to pay a year, as nobody tells; None = not set. `sources` are the SHA-256 of
    the strategies' files, `manifests` of those in processes of their own, whose `SignalsComputed` are recorded.
    Without a `lifecycle`, only operators change stages.
    """

    run_id: str
    epoch: int
    mode: str
    account: str
    strategies: tuple[StrategyConfig, ...]
    instruments: tuple[Instrument, ...]
    limits: RiskLimit
    code_version: str
    sources: dict[StrategyId, str] = {}
    sessions: SessionTable | None = None
    borrow_rate: float | None = None
    lifecycle: LifecycleRules | None = None
    manifests: dict[StrategyId, Manifest] = {}

    @property
    def source_id(self) -> str | None:
        """Return the run's id."""
        return self.run_id


class Recovered(Event, frozen=True, kw_only=True):
    """Recovery ended: journal and broker were compared; `at_end` of a run, which sends nothing any more."""

    replayed: int
    at_end: bool = False
    adopted: tuple[OrderId, ...] = ()
    voided: tuple[OrderId, ...] = ()
    resent: tuple[OrderId, ...] = ()
    breaks: tuple[str, ...] = ()


class RunEnded(Event, frozen=True, kw_only=True):
    """A trader process ended in order."""

    run_id: str
    reason: str


class SignalsComputed(Event, frozen=True, kw_only=True):
    """What a strategy in a process of its own says of the bars that come next.

    One strength per instrument of its universe, None = no view. `compared`: how many signals it computed anew since it
    last said so, and how many came out otherwise. `fault` says why it is quarantined: it has no view from then on.
    """

    strategy: StrategyId
    strengths: tuple[float | None, ...]
    compared: tuple[int, int] = (0, 0)
    fault: str = ""

    @property
    def source_id(self) -> str | None:
        """Return strategy and time: it is asked once."""
        return f"{self.strategy}@{self.ts_event}"


class BarsClosed(Event, frozen=True, kw_only=True):
    """All bars that closed at `ts_event`; `warmup` bars feed windows but decide nothing.

    `quotes` are the last ones known when live bars arrived, whatever came in between.
    """

    bars: tuple[Bar, ...]
    warmup: bool = False
    quotes: tuple[Quote, ...] = ()

    @property
    def source_id(self) -> str | None:
        """Return the closing time and bar length: one cross-section each."""
        return f"{self.bars[0].spec if self.bars else ''}@{self.ts_event}"


class LinkChanged(Event, frozen=True, kw_only=True):
    """The connection to the broker changed its state.

    `open`: orders and cancels can be sent. `sync` counts the comparisons that were asked for: each SYNCING asks for
    a new one. `skew_s` is how far the host's clock is ahead of the broker's, as far as it is certain; None = not
    measured yet.
    """

    state: LinkState
    open: bool
    reason: str
    sync: int = 0
    skew_s: float | None = None

    @property
    def trading(self) -> TradingState:
        """Return what the link lets through: all when READY, reductions while it is open, else nothing."""
        if self.state is LinkState.READY:
            return TradingState.ACTIVE
        return TradingState.REDUCING if self.open else TradingState.HALTED


class ConditionChanged(Event, frozen=True, kw_only=True):
    """The machine became worse or better at something; trading is no freer than `state` for as long as that lasts."""

    condition: HostCondition
    state: TradingState
    detail: str


class OrderEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one of our orders."""

    order_id: OrderId


class OrderSending(OrderEvent, frozen=True, kw_only=True):
    """T2: the next thing is the socket write."""

    epoch: int
    broker_order_id: int

    @property
    def source_id(self) -> str | None:
        """Return the order's id: an order is sent once."""
        return self.order_id


class OrderAccepted(OrderEvent, frozen=True, kw_only=True):
    """The broker works the order."""

    perm_id: int

    @property
    def source_id(self) -> str | None:
        """Return order and permId: repeated acknowledgements are normal."""
        return f"{self.order_id}/{self.perm_id}"


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """A comparison with the broker shows that it still works an order that was in doubt."""


class OrderSuspended(OrderEvent, frozen=True, kw_only=True):
    """The broker holds the order (locate, inactive); it may come back.

    `locating`: it looks for shares to borrow.
    """

    reason: str
    locating: bool = False


class OrderReplacing(OrderEvent, frozen=True, kw_only=True):
    """T2 of a change: the next thing is the socket write."""

    epoch: int


class OrderReplaced(OrderEvent, frozen=True, kw_only=True):
    """The broker works the order on these terms: as it was asked, or because its parent or its group filled."""

    quantity: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class OrderReplaceRejected(OrderEvent, frozen=True, kw_only=True):
    """A change did not happen: the terms before it stand."""

    reason: str


class OrderPendingCancel(OrderEvent, frozen=True, kw_only=True):
    """A cancel is under way."""


class OrderCanceled(OrderEvent, frozen=True, kw_only=True):
    """The broker canceled the order; fills so far stand."""

    reason: str = ""

    @property
    def source_id(self) -> str | None:
        """Return the order's id."""
        return self.order_id


class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The broker refused the order."""

    code: int
    reason: str

    @property
    def source_id(self) -> str | None:
        """Return the order's id."""
        return self.order_id


class OrderExpired(OrderEvent, frozen=True, kw_only=True):
    """The order's time in force ended."""

    @property
    def source_id(self) -> str | None:
        """Return the order's id."""
        return self.order_id


class OrderUnresolved(OrderEvent, frozen=True, kw_only=True):
    """The outcome of a send is unknown; the instrument is blocked until it is known."""

    reason: str


class OrderVoided(OrderEvent, frozen=True, kw_only=True):
    """The order never reached the broker: `proven`, or given up after two complete snapshots.

    `until`: one that is given up may yet appear, and is counted as if it could fill until then (ns UTC).
    """

    proven: bool
    reason: str
    until: int | None = None

    @property
    def source_id(self) -> str | None:
        """Return the order's id."""
        return self.order_id


class OrderFilled(Event, frozen=True, kw_only=True):
    """One execution of ours."""

    fill: Fill

    @property
    def source_id(self) -> str | None:
        """Return execution stem and revision."""
        return f"{self.fill.exec_id}.{self.fill.revision:02d}"


class ExternalFill(Event, frozen=True, kw_only=True):
    """An execution in this account that no order of ours asked for: by a person, another program, or the broker."""

    fill: Fill
    liquidation: bool = False

    @property
    def source_id(self) -> str | None:
        """Return execution stem and revision."""
        return f"{self.fill.exec_id}.{self.fill.revision:02d}"


class ExternalOrder(Event, frozen=True, kw_only=True):
    """An order in this account that is not ours: `remaining` units can still fill, 0 at its end."""

    perm_id: int
    instrument: InstrumentId
    side: Side
    remaining: int

    @property
    def source_id(self) -> str | None:
        """Return order and what is left of it."""
        return f"{self.perm_id}/{self.remaining}"


class CommissionReported(Event, frozen=True, kw_only=True):
    """What an execution cost; it may come much later than the execution, or never."""

    commission: Commission

    @property
    def source_id(self) -> str | None:
        """Return execution stem and revision."""
        return f"{self.commission.exec_id}.{self.commission.revision:02d}"


class BorrowFeeCharged(Event, frozen=True, kw_only=True):
    """What it cost a strategy to have sold an instrument short since the last session; `amount` > 0."""

    strategy: StrategyId
    instrument: InstrumentId
    amount: Decimal


class PositionReported(Event, frozen=True, kw_only=True):
    """The broker's own position, at reconciliation."""

    account: str
    instrument: InstrumentId
    quantity: int
    average_cost: Decimal | None = None


class AccountReported(Event, frozen=True, kw_only=True):
    """The broker's own account values."""

    account: Account


class BorrowReported(Event, frozen=True, kw_only=True):
    """What the broker can lend of an instrument to sell it short; None = not told.

    `level` is IBKR's: above 2.5 at least 1,000 shares, above 1.5 some that must be located first, else none.
    """

    instrument: InstrumentId
    level: float | None = None
    shares: int | None = None


class HaltReported(Event, frozen=True, kw_only=True):
    """An exchange halted trading in an instrument, or resumed it.

    `limit_state`: its quote is beyond a price limit, so that a pause may follow; None = not told.
    """

    instrument: InstrumentId
    halted: bool
    cause: HaltCause | None = None
    limit_state: bool | None = None


class MarketDataReported(Event, frozen=True, kw_only=True):
    """The broker says how fresh what it sends of an instrument is."""

    instrument: InstrumentId
    data_type: MarketDataType


class MarginPreviewed(Event, frozen=True, kw_only=True):
    """What the broker says would stand in the account if an order of ours filled; None = not told.

    Money in account currency: initial and maintenance margin, equity with loan value, and the order's commission. An
    `error` says why there is no answer, or what the broker objects to.
    """

    order_id: OrderId
    initial_after: Decimal | None = None
    maintenance_after: Decimal | None = None
    equity_after: Decimal | None = None
    commission: Decimal | None = None
    error: str = ""


class RequestReceived(Event, frozen=True, kw_only=True):
    """An operator's request, copied from the requests table or the flag file; RESOLVE names its ticket's instrument.

    LIMIT has its `change` as `name=value`, and says who approved it, if it needs approval. ARM puts the lifecycle's
    envelope in force. PROMOTE may bring new evidence as its `change` (`Dossier` as JSON), DEMOTE the stage to go to.
    """

    request_id: str
    action: Action
    reason: str
    actor: str
    strategy: StrategyId | None = None
    instrument: InstrumentId | None = None
    change: str | None = None
    approver: str | None = None

    @property
    def source_id(self) -> str | None:
        """Return the request's id."""
        return self.request_id


class BreakOpened(Event, frozen=True, kw_only=True):
    """Broker and books hold different quantities (signed units): nothing new is sent until somebody resolves it.

    `booked`: the difference stands in the external book already.
    """

    break_id: str
    instrument: InstrumentId
    broker: int
    ledger: int
    booked: bool = False

    @property
    def source_id(self) -> str | None:
        """Return the ticket's id."""
        return self.break_id

    @property
    def bought_in(self) -> bool:
        """Tell whether somebody bought what we are short of: so brokers act when lent shares are recalled."""
        return self.ledger < min(self.broker, 0)


class CorporateActionDue(Event, frozen=True, kw_only=True):
    """A corporate action takes effect on an instrument; after a symbol change the position is in `successor`."""

    action: CorporateAction
    instrument: InstrumentId
    successor: Instrument | None = None

    @property
    def source_id(self) -> str | None:
        """Return the action's key: it is booked once, whatever becomes known of it later."""
        return self.action.key


class TradingHalted(Event, frozen=True, kw_only=True):
    """The machine itself stopped trading: an invariant broke or state cannot be trusted."""

    reason: str


AnyEvent = (
    RunStarted
    | Recovered
    | RunEnded
    | SignalsComputed
    | BarsClosed
    | LinkChanged
    | ConditionChanged
    | OrderSending
    | OrderAccepted
    | OrderConfirmed
    | OrderSuspended
    | OrderReplacing
    | OrderReplaced
    | OrderReplaceRejected
    | OrderPendingCancel
    | OrderCanceled
    | OrderRejected
    | OrderExpired
    | OrderUnresolved
    | OrderVoided
    | OrderFilled
    | ExternalFill
    | ExternalOrder
    | CommissionReported
    | BorrowFeeCharged
    | PositionReported
    | AccountReported
    | BorrowReported
    | HaltReported
    | MarketDataReported
    | MarginPreviewed
    | RequestReceived
    | BreakOpened
    | CorporateActionDue
    | TradingHalted
)
