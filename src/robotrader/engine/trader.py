"""The pure core: one event in, commands out. No clock, no I/O, no randomness; time is an event.

Read `Trader.handle` and `Trader._decide` first: decide, size, plan, check, submit.
"""

from collections import Counter
from collections.abc import Sequence, Set
from decimal import Decimal
from typing import assert_never

from robotrader.engine.breaks import Breaks
from robotrader.engine.briefing import Briefing
from robotrader.engine.control import Control, StateEvent
from robotrader.engine.corporate import CorporateActions, unexplained_splits
from robotrader.engine.crossing import Crossing
from robotrader.engine.exposures import Exposed
from robotrader.engine.guards import Guards
from robotrader.engine.limits import LimitBook
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.planning import Planning
from robotrader.engine.protection import Protection
from robotrader.engine.runtime import StrategyRuntime
from robotrader.engine.strategy_sizing import Change
from robotrader.engine.submission import Submission
from robotrader.engine.valuation import Valuation
from robotrader.execution.lifecycle import TERMINAL, transition
from robotrader.execution.protection import policy_of
from robotrader.model import (
    EXTERNAL,
    AccountReported,
    AnyCommand,
    AnyEvent,
    BarsClosed,
    BookAdjusted,
    BorrowFeeCharged,
    BorrowReported,
    BreakOpened,
    CommissionReported,
    ConditionChanged,
    CorporateActionDue,
    Deny,
    Event,
    ExternalFill,
    ExternalOrder,
    Fill,
    HaltReported,
    Hold,
    Instrument,
    InstrumentId,
    InvariantViolation,
    LinkChanged,
    MarginPreviewed,
    MarketDataReported,
    Order,
    OrderAccepted,
    OrderEvent,
    OrderFilled,
    OrderReplaced,
    OrderVoided,
    PortfolioMarked,
    PositionReported,
    Recovered,
    RequestReceived,
    RiskLimit,
    RunEnded,
    RunStarted,
    SetTradingState,
    SignalsComputed,
    StrategyConfig,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.risk.halt import TradingStates
from robotrader.strategy.contract import SourceFactory

NOTHING: tuple[AnyCommand, ...] = ()
Changes = tuple[StrategyRuntime, list[Change]]
BookEvent = OrderFilled | ExternalFill | ExternalOrder | CommissionReported | BorrowFeeCharged | CorporateActionDue


class Trader:
    """All state that decisions depend on: a function of the events so far."""

    def __init__(self, source: SourceFactory) -> None:
        self._source = source
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._runtimes: list[StrategyRuntime] = []
        self._limits = LimitBook()
        self._market = MarketFacts()
        self.orders = WorkingOrders()
        self.ledger = Ledger(self._instruments)
        self._values = Valuation(self.ledger, self._market, self.orders)
        self.breaks = Breaks(self.ledger, self._market.close)
        self._actions = CorporateActions(self._instruments, ledger=self.ledger, market=self._market,
                                         orders=self.orders, breaks=self.breaks)  # fmt: skip
        self.control = Control(self.orders, self.breaks, self._limits, lambda w: self._values.protects(w, self.limits))
        self.guards = Guards(self.ledger, self._values, self.control, self._limits)
        self._protection = Protection(self.orders, self.ledger, self._market)
        exposed = Exposed(self.ledger, self.orders, self._market)
        self._briefing = Briefing(self.orders, self._values, self.control, self.guards, market=self._market,
                                  exposed=exposed, limits=self._limits)  # fmt: skip
        self._submission = Submission(self.orders, self._briefing, self._limits)
        self._crossing = Crossing(self.ledger, self._submission)
        self._planning = Planning(self.orders, self.ledger, self._market, self._values, crossing=self._crossing)

    def handle(self, event: AnyEvent) -> Sequence[AnyCommand]:
        """Take one event in and return what follows from it.

        Raises
        ------
        InvariantViolation
            The event cannot have happened: state cannot be trusted.
        """
        match event:
            case BarsClosed():
                return self._on_bars(event)
            case (OrderFilled() | ExternalFill() | ExternalOrder() | CommissionReported() | BorrowFeeCharged()
                  | CorporateActionDue()):  # fmt: skip
                return self._on_execution(event)
            case OrderEvent():
                return self._on_order(event)
            case RequestReceived() | BreakOpened() | TradingHalted() | LinkChanged() | ConditionChanged():
                return self._controlled(event)
            case RunStarted():
                return self._configure(event)
            case Recovered() | SignalsComputed():
                return NOTHING if isinstance(event, SignalsComputed) or event.at_end else self._protect_all(event)
            case (
                RunEnded() | PositionReported()
                | AccountReported() | BorrowReported() | HaltReported() | MarketDataReported() | MarginPreviewed()
            ):  # fmt: skip
                self._briefing.hear(event)
                return self._submission.previewed(event) or self.guards.on_time(event)
            case _:
                assert_never(event)

    def _on_bars(self, event: BarsClosed) -> Sequence[AnyCommand]:
        out: list[AnyCommand] | None = None
        for iid, reason in unexplained_splits(event, self._market, self.limits.split_guard_ratio):
            out = [*(out or ()), *self.control.halt(event, reason, iid)]
        self._market.update(event.bars)
        self._market.hear(event.quotes)
        self._values.renew(warmup=event.warmup)
        self.orders.release(event.ts_event)
        out = [*(out or ()), *self.guards.on_time(event), *self.guards.on_bars(event)] or None
        changes = [(r, r.changed(event, self.ledger.book(r.config.id))) for r in self._runtimes]
        if sum(bool(found) for _, found in changes) > 1:
            out = [*(out or ()), *self._cross(changes, event)]
        for runtime, found in changes:
            for change in found:
                out = out or []
                out += self._decide(runtime, change, event)
            if not event.warmup and self._protection.covers(runtime.config.id):
                out = [*(out or ()), *self._protect(runtime, event)]
        return out or NOTHING

    def _cross(self, changes: Sequence[Changes], event: BarsClosed) -> Sequence[AnyCommand]:
        """Let what several strategies want meet inside first; what is left is decided against the books after that."""
        wanted = Counter(change[0] for _, found in changes for change in found)
        planned = (self._planning.plan(runtime, change, event)
                   for runtime, found in changes for change in found if wanted[change[0]] > 1)  # fmt: skip
        orders = [(order, self._values.price(order.instrument)) for _, order in planned if order is not None]
        return self._crossing.meet(orders, event)

    def _decide(self, runtime: StrategyRuntime, change: Change, event: BarsClosed) -> Sequence[AnyCommand]:
        """Plan and check one signal's order."""
        decision, order = self._planning.plan(runtime, change, event)
        if order is None:
            return [Hold(ts_event=event.ts_event, decision=decision, reason="position and open orders meet the target")]
        family = self._protection.family(order, held=decision.position + decision.working)
        if family is None:
            return [Hold(ts_event=event.ts_event, decision=decision, reason="no price for its protection is known yet")]
        submitted = self._submission.submit(family, decision, event)
        if not isinstance(submitted, Deny):
            return submitted
        self._try_again(order)
        return [submitted, *self.guards.on_denied(submitted, event)]

    def _controlled(self, event: StateEvent) -> Sequence[AnyCommand]:
        """Change what may be sent; then every position has its protection, and what is not held any more has none."""
        self._briefing.hear(event)
        out = self.control.on_event(event)
        self.guards.after(out)
        freed = any(isinstance(c, SetTradingState) and c.state is not TradingState.HALTED for c in out)
        adjusted = any(isinstance(c, BookAdjusted) for c in out)
        return [*out, *self._protect_all(event)] if freed or adjusted else out

    def _protect_all(self, event: Event) -> Sequence[AnyCommand]:
        return [command for runtime in self._runtimes for command in self._protect(runtime, event)]

    def _protect(self, runtime: StrategyRuntime, event: Event) -> Sequence[AnyCommand]:
        """Look whether every position of a strategy is protected."""
        out: list[AnyCommand] = []
        for iid in runtime.config.universe:
            changes = self._protection.follow(runtime.config.id, iid, ts=event.ts_event, renew=True)
            out += self._submission.change(changes, event)
        return out

    def _on_execution(self, event: BookEvent) -> Sequence[AnyCommand]:
        if isinstance(event, CorporateActionDue):
            return self._actions.take_effect(event, self._runtimes)
        if not isinstance(event, OrderFilled):
            _book(event, self.ledger, self.orders)
            return NOTHING
        replaced = self.ledger.execution(event.fill.exec_id)
        return self._on_order(event, replaced) if self.ledger.apply(event.fill) else NOTHING

    def _on_order(self, event: OrderEvent | OrderFilled, replaced: Fill | None = None) -> Sequence[AnyCommand]:
        order_id = event.fill.order_id if isinstance(event, OrderFilled) else event.order_id
        working = self.orders.get(order_id)
        if working is None:
            raise InvariantViolation(f"{type(event).__name__} for order {order_id}, which was never decided")
        result = transition(working, event, replaced)
        self.orders.put(result.working)
        if isinstance(event, OrderVoided) and event.until is not None:
            self.orders.reserve(result.working, event.until)
        order, ended = result.working.order, result.working.state in TERMINAL
        if ended and result.working.leaves and not order.purpose.protective:
            self._try_again(order)
        out: list[AnyCommand] = []
        done = ended or isinstance(event, OrderFilled) or _settled(working, result.working, event)
        if done and self._protection.covers(order.strategy):
            filled = order if isinstance(event, OrderFilled) else None
            changes = self._protection.follow(order.strategy, order.instrument, ts=event.ts_event, after=filled,
                                              renew=self._protection.ends_by_us(order))  # fmt: skip
            out += self._submission.change(changes, event)
        return [*out, *self.guards.on_order(event, order_id, result.alarm)] or NOTHING

    def _try_again(self, order: Order) -> None:
        """Plan an exit anew at the next bar if this one came to nothing; entries are never repeated."""
        held = self.ledger.book(order.strategy).quantity(order.instrument)
        for runtime in self._runtimes:
            if held * order.side.sign < 0 and runtime.config.id == order.strategy:
                runtime.try_again(order.instrument)

    @property
    def instruments(self) -> Set[InstrumentId]:
        """Return what is configured."""
        return self._instruments.keys()

    @property
    def limits(self) -> RiskLimit:
        """Return the limits in force."""
        return self._limits.limits

    @property
    def states(self) -> TradingStates:
        """Return the trading states of all scopes."""
        return self.control.states

    @property
    def retrying(self) -> bool:
        """Tell whether an exit waits for the next bar, or may become due at any."""
        return any(r.again or (r.exits.limit_ns and any(self.ledger.book(r.config.id).held())) for r in self._runtimes)

    def _configure(self, event: RunStarted) -> Sequence[AnyCommand]:
        """Take over a run's configuration; books, orders and states go on, link and machine are new ones."""
        self.control.states.begin()
        self._instruments.update({i.id: i for i in event.instruments})
        self._market.define(event.instruments)
        kept = self._limits.begin(event)
        self._briefing.configure(event)
        self._submission.forget()
        self._crossing.configure(event.strategies)
        before = {r.config.id: r for r in self._runtimes if r.config in event.strategies}
        for config in event.strategies:
            self.ledger.open_book(config.id, config.capital)
        # the same strategy goes on with its window
        self._runtimes = [before.get(config.id) or self._begin(config) for config in event.strategies]
        policies = (policy_of(r.config, r.manifest.version) for r in self._runtimes)
        self._protection.configure(policy for policy in policies if policy is not None)
        return kept

    def _begin(self, config: StrategyConfig) -> StrategyRuntime:
        return StrategyRuntime(config, *self._source(config, tuple(self._instruments[i] for i in config.universe)))

    def mark(self, ts: int) -> PortfolioMarked:
        """Return all books at the last prices; a projection, not a decision."""
        return self._values.mark(ts)


def _book(event: BookEvent, ledger: Ledger, orders: WorkingOrders) -> None:
    """Book costs, and what others do in this account."""
    match event:
        case CommissionReported(commission=commission):
            ledger.charge(commission)
        case BorrowFeeCharged():
            ledger.book(event.strategy).earn(event.instrument, -event.amount)
        case ExternalOrder():
            orders.foreign(event)
        case ExternalFill(fill=fill):
            ledger.open_book(EXTERNAL, Decimal(0))
            ledger.apply(fill)
        case _:
            pass


def _settled(before: WorkingOrder, after: WorkingOrder, event: Event) -> bool:
    """Tell whether what protects a position can be changed from now on: the broker took it, or a change of it."""
    answered = isinstance(event, OrderReplaced) and before.replacing is not None and after.replacing is None
    return before.order.purpose.protective and (answered or isinstance(event, OrderAccepted))
