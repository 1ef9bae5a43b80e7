"""What the core decided. The runner journals every command and carries out `Submit` and `Cancel`."""

from decimal import Decimal

from msgspec import Struct

from robotrader.model.corporate import Posting
from robotrader.model.lifecycle import Criterion, Gate
from robotrader.model.market import InstrumentId
from robotrader.model.orders import Fill, Order, OrderId, StrategyId
from robotrader.model.risk import Approved, Denied, RiskLimit, TradingState
from robotrader.model.strategy import Signal, Stage, Target


class Command(Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """Base of all commands; `ts_event` is the time of the event that caused it, ns UTC."""

    ts_event: int
    v: int = 1


class Decision(Struct, frozen=True, kw_only=True):
    """The trace of one decision: what the strategy said, what it was sized to, what was held.

    `position` and `working` are this strategy's signed units at the decision; `inputs` names the
    numbers it saw (text, so that they read the same for ever).
    """

    signal: Signal
    target: Target
    position: int
    working: int
    inputs: dict[str, str] = {}


class Submit(Command, frozen=True, kw_only=True):
    """Send this order; its risk verdict and worst-case reservation (units) go with it.

    A protective order follows from a position, not from a decision of its own: then there is none.
    """

    order: Order
    verdict: Approved
    decision: Decision | None
    reserved: int


class PreviewMargin(Command, frozen=True, kw_only=True):
    """Ask the broker what this order would need: it is not sent, and may be denied for the answer."""

    order: Order


class Replace(Command, frozen=True, kw_only=True):
    """Give a working order these terms: quantity and prices only."""

    order: Order
    verdict: Approved
    reason: str


class Deny(Command, frozen=True, kw_only=True):
    """Our gate refused this order, or one that was to protect what it opens."""

    order: Order
    verdict: Denied
    decision: Decision | None


class Hold(Command, frozen=True, kw_only=True):
    """A decision that needs no order: the position and the working orders already meet it."""

    decision: Decision
    reason: str


class Cancel(Command, frozen=True, kw_only=True):
    """Ask the broker to cancel this order."""

    order_id: OrderId
    reason: str


class SetTradingState(Command, frozen=True, kw_only=True):
    """The trading state of a scope changed; no strategy and no instrument means global."""

    state: TradingState
    reason: str
    actor: str
    strategy: StrategyId | None = None
    instrument: InstrumentId | None = None


class SetLimits(Command, frozen=True, kw_only=True):
    """These limits are in force from now on; `changed` names what differs from those before, or was kept."""

    limits: RiskLimit
    changed: tuple[str, ...]
    reason: str
    actor: str
    approver: str | None = None


class BookAdjusted(Command, frozen=True, kw_only=True):
    """An operator closed a ticket: `fills` brought the books to what the broker holds."""

    break_id: str
    fills: tuple[Fill, ...]
    reason: str
    actor: str


class Crossed(Command, frozen=True, kw_only=True):
    """Opposite orders of strategies met inside: `fills` are both sides of each transfer, and the broker saw none."""

    instrument: InstrumentId
    fills: tuple[Fill, ...]


class StageJudged(Command, frozen=True, kw_only=True):
    """A gate, a guard or an operator decided on a strategy's stage: another one, another share, or it stays.

    `share` is the part of the strategy's capital that its orders may use from now on.
    """

    strategy: StrategyId
    gate: Gate
    before: Stage
    stage: Stage
    share: float
    criteria: tuple[Criterion, ...]
    reason: str
    actor: str


class VirtualTraded(Command, frozen=True, kw_only=True):
    """What a strategy's virtual book did since it was told of last; nothing of it was sent to anybody.

    `denied` are the reasons of the orders that the gate refused; money in account currency.
    """

    strategy: StrategyId
    fills: tuple[Fill, ...]
    commission: Decimal
    denied: tuple[str, ...]
    equity: Decimal


class CorporateActionBooked(Command, frozen=True, kw_only=True):
    """What a corporate action changed in the books; `action` is its key."""

    action: str
    postings: tuple[Posting, ...]


class BookMark(Struct, frozen=True, kw_only=True):
    """One strategy's book at a mark; money in account currency, `equity` = cash + value."""

    strategy: StrategyId
    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    commission: Decimal


class PortfolioMarked(Command, frozen=True, kw_only=True):
    """All books at the last prices, once a cross-section of bars; the sums are the account."""

    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    commission: Decimal
    gross: Decimal
    net: Decimal
    books: tuple[BookMark, ...] = ()


AnyCommand = (
    Submit
    | PreviewMargin
    | Replace
    | Deny
    | Hold
    | Cancel
    | SetTradingState
    | SetLimits
    | BookAdjusted
    | Crossed
    | StageJudged
    | VirtualTraded
    | CorporateActionBooked
    | PortfolioMarked
)
