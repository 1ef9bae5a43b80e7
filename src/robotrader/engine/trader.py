"""The pure core: one event in, commands out. No clock, no I/O, no randomness; time is an event.

Read `Trader.handle` and `Trader._decide` first: decide, size, plan, check, submit.
"""

from collections.abc import Sequence, Set
from decimal import Decimal
from typing import assert_never

from robotrader.engine.breaks import Breaks
from robotrader.engine.control import Control, StateEvent
from robotrader.engine.corporate import CorporateActions, unexplained_splits
from robotrader.engine.exits import TimeExits
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.protection import Protection
from robotrader.engine.submission import Submission
from robotrader.engine.valuation import Valuation
from robotrader.execution.lifecycle import TERMINAL, Alarm, transition
from robotrader.execution.planner import plan
from robotrader.execution.protection import policy_of
from robotrader.model import (
    EXTERNAL,
    AccountReported,
    AnyCommand,
    AnyEvent,
    BarsClosed,
    BookAdjusted,
    BorrowFeeCharged,
    BreakOpened,
    Cancel,
    CommissionReported,
    CorporateActionDue,
    CorporateActionKind,
    Decision,
    Deny,
    Event,
    ExternalFill,
    ExternalOrder,
    Fill,
    Hold,
    Instrument,
    InstrumentId,
    InvariantViolation,
    LinkChanged,
    Manifest,
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
    Resize,
    RiskLimit,
    RunEnded,
    RunStarted,
    SetTradingState,
    Signal,
    StrategyConfig,
    StrategyId,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.portfolio.ledger import Book, Ledger
from robotrader.portfolio.sizing import parse_sizer
from robotrader.risk.halt import NO_LINK, TradingStates
from robotrader.strategy.contract import SignalSource, SourceFactory

NOTHING: tuple[AnyCommand, ...] = ()
BookEvent = OrderFilled | ExternalFill | ExternalOrder | CommissionReported | BorrowFeeCharged | CorporateActionDue


_HALTING = {Alarm.ZOMBIE, Alarm.OVERFILL, Alarm.SECOND_PERM_ID}


class _Runtime:
    """One configured strategy with its last strengths."""

    __slots__ = ("again", "config", "ended", "exits", "manifest", "resize", "sizer", "source", "strengths")

    def __init__(self, config: StrategyConfig, manifest: Manifest, source: SignalSource) -> None:
        self.config = config
        self.manifest = manifest
        self.source = source
        self.sizer = parse_sizer(config.sizer)
        self.resize = (config.resize or manifest.resize) is Resize.EVERY_BAR
        self.strengths: list[float | None] = [None] * len(config.universe)
        self.again: set[int] = set()
        self.exits = TimeExits(config.time_exit)
        self.ended: set[int] = set()

    def changed(self, event: BarsClosed, book: Book) -> list[tuple[InstrumentId, float, float | None]]:
        """Return (instrument, strength, strength before) where a target must be sized anew; NaN is no view.

        An exit that came to nothing is sized anew as well: no halt, refusal or crash may strand a position. One that
        was held for too long is to be closed, and stays so until the strength changes.
        """
        strengths = self.source.on_bars(event)
        if event.warmup:
            return []
        found: list[tuple[InstrumentId, float, float | None]] = []
        before, overdue = self.strengths, self.exits.overdue(event.ts_event, book.held())
        for k, strength in enumerate(strengths):
            known = strength == strength  # noqa: PLR0124 - not NaN
            if not ((known and (strength != before[k] or self.resize)) or overdue or k in self.again):
                continue
            wanted = self._wanted(k, strength if known else None, overdue=self.config.universe[k] in overdue)
            if wanted is not None:
                found.append((self.config.universe[k], wanted, before[k]))
                before[k] = strength if known else before[k]
                self.again.discard(k)
        return found

    def _wanted(self, k: int, strength: float | None, *, overdue: bool) -> float | None:
        """Return the strength to size an instrument to, None for none; what ended by age is 0 until there is news."""
        if strength is not None and strength != self.strengths[k]:
            self.ended.discard(k)
            return strength
        if overdue:
            self.ended.add(k)
        if k in self.ended:
            return 0.0 if overdue or k in self.again else None
        return strength if k in self.again or self.resize else None

    def reasons(self, instrument: InstrumentId) -> dict[str, str]:
        """Return what beside its signals says how a target came about."""
        ended = self.config.universe.index(instrument) in self.ended
        return {"time_exit": str(self.config.time_exit)} if ended else {}

    def on_action(self, event: CorporateActionDue, stopped: Set[StrategyId]) -> None:
        """Go on in new units; a target whose order was in old ones is sized anew at the next bar."""
        if event.instrument not in self.config.universe:
            return
        if event.action.kind is CorporateActionKind.SPLIT:
            self.source.on_split(event.instrument, float(event.action.ratio), event.action.ex_at)
        if self.config.id in stopped:
            self.again.add(self.config.universe.index(event.instrument))


class Trader:
    """All state that decisions depend on: a function of the events so far."""

    def __init__(self, source: SourceFactory) -> None:
        self._source = source
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._runtimes: list[_Runtime] = []
        self._limits = RiskLimit(profile="none")
        self._market = MarketFacts()
        self.orders = WorkingOrders()
        self.ledger = Ledger(self._instruments)
        self._values = Valuation(self.ledger, self._market, self.orders)
        self.breaks = Breaks(self.ledger, self._market.close)
        self._actions = CorporateActions(self._instruments, ledger=self.ledger, market=self._market,
                                         orders=self.orders, breaks=self.breaks)  # fmt: skip
        self.control = Control(self.orders, self.breaks, lambda w: self._values.protects(w, self._limits))
        self._protection = Protection(self.orders, self.ledger, self._market)
        self._submission = Submission(self.orders, self._values, self.control, lambda: self._limits)

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
            case (
                OrderFilled() | ExternalFill() | ExternalOrder()
                | CommissionReported() | BorrowFeeCharged() | CorporateActionDue()
            ):  # fmt: skip
                return self._on_execution(event)
            case OrderEvent():
                return self._on_order(event)
            case RequestReceived() | BreakOpened() | TradingHalted() | LinkChanged():
                return self._controlled(event)
            case RunStarted():
                self._configure(event)
                return NOTHING
            case Recovered():
                return NOTHING if event.at_end else self._protect_all(event)
            case RunEnded() | PositionReported() | AccountReported():
                return NOTHING
            case _:
                assert_never(event)

    def _on_bars(self, event: BarsClosed) -> Sequence[AnyCommand]:
        out: list[AnyCommand] | None = None
        for iid, reason in unexplained_splits(event, self._market, self._limits.split_guard_ratio):
            out = [*(out or ()), *self.control.halt(event, reason, iid)]
        self._market.update(event.bars)
        self._market.hear(event.quotes)
        self._values.renew()
        self.orders.release(event.ts_event)
        for runtime in self._runtimes:
            for change in runtime.changed(event, self.ledger.book(runtime.config.id)):
                out = out or []
                out += self._decide(runtime, change, event)
            if not event.warmup and self._protection.covers(runtime.config.id):
                out = [*(out or ()), *self._protect(runtime, event)]
        return out or NOTHING

    def _decide(
        self, runtime: _Runtime, change: tuple[InstrumentId, float, float | None], event: BarsClosed
    ) -> Sequence[AnyCommand]:
        """Size, plan and check one signal."""
        iid, strength, before = change
        strategy = runtime.config.id
        price = self._market.close(iid)
        if price is None:
            raise InvariantViolation(f"{strategy} has a view on {iid}, which never had a bar", instrument=iid)
        signal = Signal(strategy=strategy, instrument=iid, ts_event=event.ts_event, strength=strength)
        target = self._values.target(signal, runtime.sizer, price)
        position, working = self.ledger.book(strategy).quantity(iid), self.orders.net(strategy, iid)
        decision = Decision(
            signal=signal, target=target, position=position, working=working,
            inputs={"close": str(price), "strength_before": "none" if before is None else str(before),
                    **runtime.reasons(iid)},
        )  # fmt: skip
        order = plan(target, position=position, working=working, version=runtime.manifest.version)
        if order is None:
            return [Hold(ts_event=event.ts_event, decision=decision, reason="position and open orders meet the target")]
        family = self._protection.family(order, held=position + working)
        if family is None:
            return [Hold(ts_event=event.ts_event, decision=decision, reason="no price for its protection is known yet")]
        submitted = self._submission.submit(family, decision, event)
        if not isinstance(submitted, Deny):
            return submitted
        self._try_again(order)
        return [submitted]

    def _controlled(self, event: StateEvent) -> Sequence[AnyCommand]:
        """Change what may be sent; then every position has its protection, and what is not held any more has none."""
        out = self.control.on_event(event)
        freed = any(isinstance(c, SetTradingState) and c.state is not TradingState.HALTED for c in out)
        adjusted = any(isinstance(c, BookAdjusted) for c in out)
        return [*out, *self._protect_all(event)] if freed or adjusted else out

    def _protect_all(self, event: Event) -> Sequence[AnyCommand]:
        return [command for runtime in self._runtimes for command in self._protect(runtime, event)]

    def _protect(self, runtime: _Runtime, event: Event) -> Sequence[AnyCommand]:
        """Look whether every position of a strategy is protected."""
        out: list[AnyCommand] = []
        for iid in runtime.config.universe:
            changes = self._protection.follow(runtime.config.id, iid, ts=event.ts_event, renew=True)
            out += self._submission.change(changes, event)
        return out

    def _on_execution(self, event: BookEvent) -> Sequence[AnyCommand]:
        if isinstance(event, CorporateActionDue):
            return self._actions.take_effect(event, self._runtimes)
        if isinstance(event, OrderFilled):
            replaced = self.ledger.execution(event.fill.exec_id)
            return self._on_order(event, replaced) if self.ledger.apply(event.fill) else NOTHING
        if isinstance(event, CommissionReported):
            self.ledger.charge(event.commission)
        elif isinstance(event, BorrowFeeCharged):
            self.ledger.book(event.strategy).earn(event.instrument, -event.amount)
        elif isinstance(event, ExternalOrder):
            self.orders.foreign(event)
        else:
            self.ledger.open_book(EXTERNAL, Decimal(0))
            self.ledger.apply(event.fill)
        return NOTHING

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
        if result.alarm not in _HALTING:
            return out or NOTHING
        reason = f"{result.alarm}: order {order_id}"
        out += self.control.halt(event, reason)
        if result.alarm is Alarm.ZOMBIE:
            out.append(Cancel(ts_event=event.ts_event, order_id=order_id, reason=reason))
        return out

    def _try_again(self, order: Order) -> None:
        """Plan an exit anew at the next bar if this one came to nothing; entries are never repeated."""
        held = self.ledger.book(order.strategy).quantity(order.instrument)
        if held * order.side.sign < 0:
            for runtime in self._runtimes:
                if runtime.config.id == order.strategy and order.instrument in runtime.config.universe:
                    runtime.again.add(runtime.config.universe.index(order.instrument))

    @property
    def instruments(self) -> Set[InstrumentId]:
        """Return what is configured."""
        return self._instruments.keys()

    @property
    def states(self) -> TradingStates:
        """Return the trading states of all scopes."""
        return self.control.states

    @property
    def retrying(self) -> bool:
        """Tell whether an exit waits for the next bar, or may become due at any."""
        return any(r.again or (r.exits.limit_ns and any(self.ledger.book(r.config.id).held())) for r in self._runtimes)

    def _configure(self, event: RunStarted) -> None:
        """Take over a run's configuration; books, orders and states go on, the link is a new one."""
        self.control.states.link = NO_LINK
        self._instruments.update({i.id: i for i in event.instruments})
        self._market.define(event.instruments)
        self._limits = event.limits
        self._submission.rates.remember(event.limits.duplicate_window_s)
        before, self._runtimes = self._runtimes, []
        for config in event.strategies:
            self.ledger.open_book(config.id, config.capital)
            kept = [r for r in before if r.config == config]  # the same strategy goes on with its window
            if not kept:
                manifest, source = self._source(config, tuple(self._instruments[i] for i in config.universe))
                kept = [_Runtime(config, manifest, source)]
            self._runtimes += kept
        policies = (policy_of(r.config, r.manifest.version) for r in self._runtimes)
        self._protection.configure(policy for policy in policies if policy is not None)

    def mark(self, ts: int) -> PortfolioMarked:
        """Return all books at the last prices; a projection, not a decision."""
        return self._values.mark(ts)


def _settled(before: WorkingOrder, after: WorkingOrder, event: Event) -> bool:
    """Tell whether what protects a position can be changed from now on: the broker took it, or a change of it."""
    answered = isinstance(event, OrderReplaced) and before.replacing is not None and after.replacing is None
    return before.order.purpose.protective and (answered or isinstance(event, OrderAccepted))
