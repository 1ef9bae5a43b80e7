"""The pure core: one event in, commands out. No clock, no I/O, no randomness; time is an event.

Read `Trader.handle` and `Trader._decide` first: decide, size, plan, check, submit.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec
from msgspec import structs

from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.execution.lifecycle import Alarm, transition
from robotrader.execution.planner import plan
from robotrader.model import (
    AccountReported,
    Action,
    AnyCommand,
    AnyEvent,
    Approved,
    BarsClosed,
    Cancel,
    CommissionReported,
    Decision,
    Deny,
    Hold,
    Instrument,
    InstrumentId,
    InvariantViolation,
    Manifest,
    Order,
    OrderAccepted,
    OrderCanceled,
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
    PortfolioSnapshot,
    PositionReported,
    Recovered,
    RequestReceived,
    Resize,
    RiskLimit,
    RunEnded,
    RunStarted,
    SetTradingState,
    Side,
    Signal,
    StrategyConfig,
    Submit,
    Target,
    TradingHalted,
    TradingState,
    WorkingOrder,
    money,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.sizing import SizingInputs, parse_sizer, target_quantity
from robotrader.risk.checks import Facts, is_reducing
from robotrader.risk.gate import evaluate
from robotrader.risk.halt import TradingStates
from robotrader.risk.rates import RateWindow
from robotrader.strategy.contract import SignalSource, SourceFactory

NOTHING: tuple[AnyCommand, ...] = ()

_REQUESTED = {
    Action.HALT: TradingState.HALTED,
    Action.REDUCE: TradingState.REDUCING,
    Action.RESUME: TradingState.ACTIVE,
}


class _Runtime:
    """One configured strategy with its last strengths."""

    __slots__ = ("config", "manifest", "resize", "sizer", "source", "strengths")

    def __init__(self, config: StrategyConfig, manifest: Manifest, source: SignalSource) -> None:
        self.config = config
        self.manifest = manifest
        self.source = source
        self.sizer = parse_sizer(config.sizer)
        self.resize = (config.resize or manifest.resize) is Resize.EVERY_BAR
        self.strengths: list[float | None] = [None] * len(config.universe)

    def changed(self, event: BarsClosed) -> list[tuple[InstrumentId, float, float | None]]:
        """Return (instrument, strength, strength before) where a target must be sized anew; NaN is no view."""
        found = None
        before = self.strengths
        for k, strength in enumerate(self.source.on_bars(event)):
            if strength == strength and (strength != before[k] or self.resize):  # NaN differs from itself
                if event.warmup:
                    continue
                found = found or []
                found.append((self.config.universe[k], strength, before[k]))
                before[k] = strength
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
        self.states = TradingStates()

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
            case OrderFilled():
                return self._on_fill(event)
            case CommissionReported():
                self.ledger.charge(event.commission)
                return NOTHING
            case (
                OrderSending() | OrderAccepted() | OrderSuspended() | OrderPendingCancel() | OrderCanceled()
                | OrderRejected() | OrderExpired() | OrderUnresolved() | OrderVoided()
            ):  # fmt: skip
                return self._on_order(event)
            case RequestReceived():
                return self._on_request(event)
            case TradingHalted():
                return self._set_state(event, TradingState.HALTED, event.reason, actor="trader")
            case RunStarted():
                self._configure(event)
                return NOTHING
            case Recovered() | RunEnded() | PositionReported() | AccountReported():
                return NOTHING
            case _:
                assert_never(event)

    def _on_bars(self, event: BarsClosed) -> Sequence[AnyCommand]:
        self._market.update(event.bars)
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
        return Deny(ts_event=event.ts_event, order=order, verdict=verdict, decision=decision)

    def _size(self, runtime: _Runtime, signal: Signal, price: Decimal) -> Target:
        sizer, iid = runtime.sizer, signal.instrument
        instrument = self._instruments[iid]
        if sizer.rule == "fixed":
            size, sizing = sizer.value, {"sizer": runtime.config.sizer}
        else:
            equity = self.ledger.mark(self.ledger.book(signal.strategy), self._price).equity
            atr = self._market.atr(iid) if sizer.needs_atr else None
            size = sizer.size(SizingInputs(equity=equity, price=price, multiplier=instrument.multiplier, atr=atr))
            sizing = {"sizer": runtime.config.sizer, "equity": str(equity), "price": str(price), "atr": str(atr)}
        quantity = target_quantity(signal.strength, size, instrument.lot)
        return Target(strategy=signal.strategy, instrument=iid, ts_event=signal.ts_event, quantity=quantity,
                      sizing=sizing)  # fmt: skip

    def _facts(self, order: Order, now: int) -> Facts:
        """Gather what the checks may know of this order."""
        iid, last = order.instrument, self._market.last(order.instrument)
        blocked = self.orders.unresolved(iid)
        state, reason = self.states.effective(order.strategy, iid)
        if blocked is not None:
            state, reason = TradingState.HALTED, f"outcome of order {blocked.order.id} is unknown"
        snapshot = self._snapshot(order, now)
        return Facts(
            snapshot=snapshot,
            rates=self._rates.counts(order, now),
            known_intent=order.id in self.orders,
            same_terms_age_ns=self._rates.same_terms_age(order, now),
            state=state,
            state_reason=reason if last is None or reason else "",
        )

    def _snapshot(self, order: Order, now: int) -> PortfolioSnapshot:
        iid, last = order.instrument, self._market.last(order.instrument)
        close = self._market.close(iid)
        return PortfolioSnapshot(
            ts=now,
            instrument=self._instruments[iid],
            equity=self._equity() if self._limits.max_position_equity_ratio is not None else Decimal(0),
            position=self.ledger.quantity(iid),
            open_buy=self.orders.open_quantity(iid, Side.BUY),
            open_sell=self.orders.open_quantity(iid, Side.SELL),
            last_close=close,
            reference_price=close,
            reference_age_ns=None if last is None else now - last.ts_event,
            reference_spec_ns=None if last is None else last.spec.nanos,
            average_daily_volume=self._market.average_daily_volume(iid)
            if self._limits.max_order_adv_ratio is not None
            else None,
        )

    def _price(self, iid: InstrumentId) -> Decimal:
        price = self._market.close(iid)
        if price is None:
            raise InvariantViolation(f"{iid} is held but never had a bar", instrument=iid)
        return price

    def _equity(self) -> Decimal:
        return sum((self.ledger.mark(book, self._price).equity for book in self.ledger.books), Decimal(0))

    def _on_fill(self, event: OrderFilled) -> Sequence[AnyCommand]:
        if not self.ledger.apply(event.fill):
            return NOTHING
        return self._on_order(event)

    def _on_order(self, event: AnyEvent) -> Sequence[AnyCommand]:
        order_id = event.fill.order_id if isinstance(event, OrderFilled) else event.order_id  # type: ignore[union-attr]
        working = self.orders.get(order_id)
        if working is None:
            raise InvariantViolation(f"{type(event).__name__} for order {order_id}, which was never decided")
        result = transition(working, event)
        self.orders.put(result.working)
        if result.alarm not in {Alarm.ZOMBIE, Alarm.OVERFILL}:
            return NOTHING
        reason = f"{result.alarm}: order {order_id}"
        out = list(self._set_state(event, TradingState.HALTED, reason, actor="trader"))
        if result.alarm is Alarm.ZOMBIE:
            out.append(Cancel(ts_event=event.ts_event, order_id=order_id, reason=reason))
        return out

    def _on_request(self, event: RequestReceived) -> Sequence[AnyCommand]:
        state = _REQUESTED[event.action]
        return self._set_state(event, state, event.reason, actor=event.actor)

    def _set_state(
        self, event: AnyEvent, state: TradingState, reason: str, *, actor: str
    ) -> Sequence[AnyCommand]:  # fmt: skip
        """Change a scope's state; leaving ACTIVE also cancels the orders that would add risk."""
        strategy = event.strategy if isinstance(event, RequestReceived) else None
        instrument = event.instrument if isinstance(event, RequestReceived) else None
        if not self.states.set((strategy, instrument), state, reason):
            return NOTHING
        out: list[AnyCommand] = [
            SetTradingState(ts_event=event.ts_event, state=state, reason=reason, actor=actor,
                            strategy=strategy, instrument=instrument)
        ]  # fmt: skip
        if state is not TradingState.ACTIVE:
            out += [
                Cancel(ts_event=event.ts_event, order_id=w.order.id, reason=f"{state}: {reason}")
                for w in self.orders.open_orders()
                if strategy in {None, w.order.strategy} and instrument in {None, w.order.instrument}
                and w.state is not OrderState.PENDING_CANCEL and not self._protects(w)
            ]  # fmt: skip
        return out

    def _protects(self, working: WorkingOrder) -> bool:
        """Tell whether an open order only reduces the position (itself not counted as open)."""
        order = structs.replace(working.order, quantity=working.leaves)
        snapshot = self._snapshot(order, working.order.ts_event)
        side = "open_buy" if order.side is Side.BUY else "open_sell"
        return is_reducing(order, structs.replace(snapshot, **{side: getattr(snapshot, side) - working.leaves}))

    def _configure(self, event: RunStarted) -> None:
        """Take over a run's configuration; books, orders and states go on."""
        self._instruments.update({i.id: i for i in event.instruments})
        self._market.define(event.instruments)
        self._limits = event.limits
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
        books = tuple(self.ledger.mark(book, self._price) for book in self.ledger.books)
        exposure = self.ledger.exposure(self._price)

        def total(field: str) -> Decimal:
            return money(sum((getattr(b, field) for b in books), Decimal(0)))

        return PortfolioMarked(
            ts_event=ts, cash=total("cash"), equity=total("equity"), realized_pnl=total("realized_pnl"),
            unrealized_pnl=total("unrealized_pnl"), commission=total("commission"),
            gross=exposure.gross, net=exposure.net, books=books,
        )  # fmt: skip

    def digest(self) -> str:
        """Return a hash of orders, positions, cash and trading state: equal states have equal hashes."""
        state = {
            "orders": list(self.orders),
            "books": [(b.strategy, b.cash, b.commission, b.positions()) for b in self.ledger.books],
            "global": self.states.of((None, None)),
        }
        return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()
