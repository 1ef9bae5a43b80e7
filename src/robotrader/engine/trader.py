"""The pure core: one event in, commands out. No clock, no I/O, no randomness; time is an event.

Read `Trader.handle` and `Trader._decide` first: decide, size, plan, check, submit.
"""

from collections.abc import Sequence, Set
from decimal import Decimal
from typing import assert_never

from robotrader.engine.breaks import Breaks
from robotrader.engine.control import Control
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.valuation import Valuation
from robotrader.execution.lifecycle import TERMINAL, Alarm, transition
from robotrader.execution.planner import plan
from robotrader.model import (
    EXTERNAL,
    AccountReported,
    AnyCommand,
    AnyEvent,
    Approved,
    BarsClosed,
    BreakOpened,
    Cancel,
    CommissionReported,
    Decision,
    Deny,
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
    OrderCanceled,
    OrderConfirmed,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderPendingCancel,
    OrderRejected,
    OrderSending,
    OrderState,
    OrderSuspended,
    OrderUnresolved,
    OrderVoided,
    PortfolioMarked,
    PositionReported,
    Recovered,
    RequestReceived,
    Resize,
    RiskLimit,
    RunEnded,
    RunStarted,
    Signal,
    StrategyConfig,
    Submit,
    Target,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.sizing import SizingInputs, parse_sizer, target_quantity
from robotrader.risk.checks import Facts
from robotrader.risk.gate import evaluate
from robotrader.risk.halt import NO_LINK, TradingStates
from robotrader.risk.rates import RateWindow
from robotrader.strategy.contract import SignalSource, SourceFactory

NOTHING: tuple[AnyCommand, ...] = ()


_HALTING = {Alarm.ZOMBIE, Alarm.OVERFILL, Alarm.SECOND_PERM_ID}


class _Runtime:
    """One configured strategy with its last strengths."""

    __slots__ = ("again", "config", "manifest", "resize", "sizer", "source", "strengths")

    def __init__(self, config: StrategyConfig, manifest: Manifest, source: SignalSource) -> None:
        self.config = config
        self.manifest = manifest
        self.source = source
        self.sizer = parse_sizer(config.sizer)
        self.resize = (config.resize or manifest.resize) is Resize.EVERY_BAR
        self.strengths: list[float | None] = [None] * len(config.universe)
        self.again: set[int] = set()

    def changed(self, event: BarsClosed) -> list[tuple[InstrumentId, float, float | None]]:
        """Return (instrument, strength, strength before) where a target must be sized anew; NaN is no view.

        An exit that came to nothing is sized anew as well: no halt, refusal or crash may strand a position.
        """
        found = None
        before = self.strengths
        for k, strength in enumerate(self.source.on_bars(event)):
            if strength == strength and (strength != before[k] or self.resize or k in self.again):  # noqa: PLR0124 - NaN
                if event.warmup:
                    continue
                found = found or []
                found.append((self.config.universe[k], strength, before[k]))
                before[k] = strength
                self.again.discard(k)
        return found or []


class Trader:
    """All state that decisions depend on: a function of the events so far."""

    def __init__(self, source: SourceFactory) -> None:
        self._source = source
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._runtimes: list[_Runtime] = []
        self._limits = RiskLimit(profile="none")
        self._market = MarketFacts()
        self._rates = RateWindow()
        self.orders = WorkingOrders()
        self.ledger = Ledger(self._instruments)
        self._values = Valuation(self.ledger, self._market, self.orders)
        self.breaks = Breaks(self.ledger, self._market.close)
        self.control = Control(self.orders, self.breaks, lambda w: self._values.protects(w, self._limits))

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
            case OrderFilled() | ExternalFill() | ExternalOrder() | CommissionReported():
                return self._on_execution(event)
            case (
                OrderSending() | OrderAccepted() | OrderConfirmed() | OrderSuspended() | OrderPendingCancel()
                | OrderCanceled() | OrderRejected() | OrderExpired() | OrderUnresolved() | OrderVoided()
            ):  # fmt: skip
                return self._on_order(event)
            case RequestReceived() | BreakOpened() | TradingHalted() | LinkChanged():
                return self.control.on_event(event)
            case RunStarted():
                self._configure(event)
                return NOTHING
            case Recovered() | RunEnded() | PositionReported() | AccountReported():
                return NOTHING
            case _:
                assert_never(event)

    def _on_bars(self, event: BarsClosed) -> Sequence[AnyCommand]:
        self._market.update(event.bars)
        self.orders.release(event.ts_event)
        out: list[AnyCommand] | None = None
        for runtime in self._runtimes:
            for change in runtime.changed(event):
                out = out or []
                out.append(self._decide(runtime, change, event))
        return out or NOTHING

    def _decide(
        self, runtime: _Runtime, change: tuple[InstrumentId, float, float | None], event: BarsClosed
    ) -> AnyCommand:
        """Size, plan and check one signal."""
        iid, strength, before = change
        strategy = runtime.config.id
        price = self._market.close(iid)
        if price is None:
            raise InvariantViolation(f"{strategy} has a view on {iid}, which never had a bar", instrument=iid)
        signal = Signal(strategy=strategy, instrument=iid, ts_event=event.ts_event, strength=strength)
        target = self._size(runtime, signal, price)
        position, working = self.ledger.book(strategy).quantity(iid), self.orders.net(strategy, iid)
        decision = Decision(
            signal=signal, target=target, position=position, working=working,
            inputs={"close": str(price), "strength_before": "none" if before is None else str(before)},
        )  # fmt: skip
        order = plan(target, position=position, working=working, version=runtime.manifest.version)
        if order is None:
            return Hold(ts_event=event.ts_event, decision=decision, reason="position and open orders meet the target")
        verdict = evaluate(order, self._facts(order, event.ts_init), self._limits)
        if isinstance(verdict, Approved):
            self.orders.put(WorkingOrder(order=order, state=OrderState.AUTHORIZED))
            self._rates.record(order, event.ts_init)
            return Submit(ts_event=event.ts_event, order=order, verdict=verdict, decision=decision,
                          reserved=order.quantity)  # fmt: skip
        if order.id not in self.orders:
            self.orders.put(WorkingOrder(order=order, state=OrderState.DENIED, reason=", ".join(verdict.reasons)))
        self._try_again(order)
        return Deny(ts_event=event.ts_event, order=order, verdict=verdict, decision=decision)

    def _size(self, runtime: _Runtime, signal: Signal, price: Decimal) -> Target:
        sizer, iid = runtime.sizer, signal.instrument
        instrument = self._instruments[iid]
        if sizer.rule == "fixed":
            size, sizing = sizer.value, {"sizer": runtime.config.sizer}
        else:
            equity = self._values.book_equity(signal.strategy)
            atr = self._market.atr(iid) if sizer.needs_atr else None
            size = sizer.size(SizingInputs(equity=equity, price=price, multiplier=instrument.multiplier, atr=atr))
            sizing = {"sizer": runtime.config.sizer, "equity": str(equity), "price": str(price), "atr": str(atr)}
        quantity = target_quantity(signal.strength, size, instrument.lot)
        return Target(strategy=signal.strategy, instrument=iid, ts_event=signal.ts_event, quantity=quantity,
                      sizing=sizing)  # fmt: skip

    def _facts(self, order: Order, now: int) -> Facts:
        """Gather what the checks may know of this order."""
        iid = order.instrument
        blocked = self.orders.unresolved(iid)
        state, reason = self.control.states.effective(order.strategy, iid)
        if blocked is not None:
            state, reason = TradingState.HALTED, f"outcome of order {blocked.order.id} is unknown"
        snapshot = self._values.snapshot(order, now, self._limits)
        return Facts(
            snapshot=snapshot,
            rates=self._rates.counts(order, now),
            known_intent=order.id in self.orders,
            same_terms_age_ns=self._rates.same_terms_age(order, now),
            state=state,
            state_reason=reason,
        )

    def _on_execution(
        self, event: OrderFilled | ExternalFill | ExternalOrder | CommissionReported
    ) -> Sequence[AnyCommand]:
        if isinstance(event, OrderFilled):
            replaced = self.ledger.execution(event.fill.exec_id)
            return self._on_order(event, replaced) if self.ledger.apply(event.fill) else NOTHING
        if isinstance(event, CommissionReported):
            self.ledger.charge(event.commission)
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
        if result.working.state in TERMINAL and result.working.leaves:
            self._try_again(result.working.order)
        if result.alarm not in _HALTING:
            return NOTHING
        reason = f"{result.alarm}: order {order_id}"
        out = list(self.control.halt(event, reason))
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
        """Tell whether an exit waits for the next bar."""
        return any(runtime.again for runtime in self._runtimes)

    def _configure(self, event: RunStarted) -> None:
        """Take over a run's configuration; books, orders and states go on, the link is a new one."""
        self.control.states.link = NO_LINK
        self._instruments.update({i.id: i for i in event.instruments})
        self._market.define(event.instruments)
        self._limits = event.limits
        self._rates.remember(event.limits.duplicate_window_s)
        before, self._runtimes = self._runtimes, []
        for config in event.strategies:
            self.ledger.open_book(config.id, config.capital)
            kept = [r for r in before if r.config == config]  # the same strategy goes on with its window
            if not kept:
                manifest, source = self._source(config, tuple(self._instruments[i] for i in config.universe))
                kept = [_Runtime(config, manifest, source)]
            self._runtimes += kept

    def mark(self, ts: int) -> PortfolioMarked:
        """Return all books at the last prices; a projection, not a decision."""
        return self._values.mark(ts)
