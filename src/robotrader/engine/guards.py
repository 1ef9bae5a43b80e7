"""The triggers: what happened, counted against the limits in force, makes trading less; only a person makes it more."""

from collections.abc import Sequence
from decimal import Decimal

from robotrader.engine.control import Control
from robotrader.engine.limits import LimitBook
from robotrader.engine.valuation import Valuation
from robotrader.execution.lifecycle import Alarm
from robotrader.model import (
    NANOS_PER_SECOND,
    AnyCommand,
    BarsClosed,
    Cancel,
    Deny,
    Event,
    InstrumentId,
    OrderEvent,
    OrderFilled,
    OrderId,
    OrderRejected,
    OrderSuspended,
    RiskCheck,
    RiskLimit,
    SetTradingState,
    Side,
    StrategyId,
    TradingState,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.risk.triggers import Burst, DayTrades, LossWatch, Traffic, TrafficCount, Trip

_HALTING = {Alarm.ZOMBIE, Alarm.OVERFILL, Alarm.SECOND_PERM_ID}
_REJECTS = "rejects"
_ZERO = Decimal(0)


class Guards:
    """Losses of the account and of each strategy, rejects, repeated executions, breaches of the order rate."""

    def __init__(self, ledger: Ledger, values: Valuation, control: Control, limits: LimitBook) -> None:
        self.account = LossWatch()
        self._books: dict[StrategyId, LossWatch] = {}
        self._fills = Burst()
        self._bursts = Burst()
        self._traffic = TrafficCount()
        self._day_trades = DayTrades()
        self._located: dict[OrderId, int] = {}  # since when the broker looks for their shares
        self._ledger = ledger
        self._values = values
        self._control = control
        self._limits = limits

    def on_bars(self, event: BarsClosed) -> list[AnyCommand]:
        """Mark the books at new prices; a loss beyond its limit acts before anything is decided on them."""
        limits = self._limits.limits
        if event.warmup or not _watches_losses(limits):
            return []
        out: list[AnyCommand] = []
        books = [self._ledger.mark(book, self._values.price) for book in self._ledger.books]
        capital = {book.strategy: book.capital for book in self._ledger.books}
        self.account.mark(event.ts_event, sum((b.equity for b in books), _ZERO), sum(capital.values(), _ZERO))
        if (trip := self.account.trip(limits)) is not None:
            out += self._control.tighten(event, trip)
        own = RiskLimit(profile=limits.profile, max_drawdown_ratio=limits.max_strategy_drawdown_ratio)
        for book in books:
            watch = self._books.setdefault(book.strategy, LossWatch())
            watch.mark(event.ts_event, book.equity, capital[book.strategy])
            if (trip := watch.trip(own)) is not None:
                out += self._control.tighten(event, Trip(TradingState.REDUCING, trip.reason), book.strategy)
        return out

    def on_time(self, event: Event) -> Sequence[AnyCommand]:
        """Cancel the short sales whose shares the broker has been looking for for too long."""
        limit = self._limits.limits.max_locate_s
        if limit is None or not self._located:
            return ()
        late = [o for o, since in self._located.items() if event.ts_init - since >= limit * NANOS_PER_SECOND]
        for order_id in late:
            del self._located[order_id]
        reason = f"no shares to borrow were found within {limit:g} s"
        return [Cancel(ts_event=event.ts_event, order_id=order_id, reason=reason) for order_id in late]

    def on_order(self, event: OrderEvent | OrderFilled, order_id: OrderId, alarm: Alarm | None) -> Sequence[AnyCommand]:
        """Count what happened to an order; halt where it cannot have happened, and on reject after reject."""
        self._traffic.note(event)
        if isinstance(event, OrderSuspended) and event.locating:
            self._located.setdefault(order_id, event.ts_init)
        else:
            self._located.pop(order_id, None)
        if isinstance(event, OrderFilled):
            fill = event.fill  # an order counts once, however many executions it takes
            self._day_trades.note(fill, self._ledger.quantity(fill.instrument))
            self._recent.note((fill.strategy, fill.instrument, fill.side), order_id, event.ts_init)
        out = self._on_rejected(event) if isinstance(event, OrderRejected) else ()
        if alarm not in _HALTING:
            return out
        reason = f"{alarm}: order {order_id}"
        out = [*out, *self._control.halt(event, reason)]
        if alarm is Alarm.ZOMBIE:
            out.append(Cancel(ts_event=event.ts_event, order_id=order_id, reason=reason))
        return out

    def _on_rejected(self, event: OrderRejected) -> Sequence[AnyCommand]:
        limit, count = (
            self._limits.limits.max_rejects_per_min,
            self._bursts.note(_REJECTS, event.order_id, event.ts_init),
        )
        if limit is None or count <= limit:
            return ()
        reason = f"the broker rejected {count} orders within a minute, the last for: {event.reason}"
        return self._control.tighten(event, Trip(TradingState.HALTED, reason))

    def recent_fills(self, strategy: StrategyId, instrument: InstrumentId, side: Side, now: int) -> int:
        """Return how many of a strategy's orders on one side of an instrument filled within the window."""
        return self._recent.count((strategy, instrument, side), now)

    @property
    def _recent(self) -> Burst:
        self._fills.window_ns = int((self._limits.limits.repeated_window_s or 60) * NANOS_PER_SECOND)
        return self._fills

    def traffic(self, now: int) -> Traffic:
        """Return what was sent and executed today."""
        return self._traffic.of(now)

    def day_trades(self, now: int) -> int:
        """Return the day trades of the last five sessions."""
        return self._day_trades.count(now)

    def on_denied(self, denied: Deny, event: Event) -> Sequence[AnyCommand]:
        """Let a strategy only reduce that executes again and again, or floods the gate."""
        strategy, limit = denied.order.strategy, self._limits.limits.max_rate_breaches_per_min
        if RiskCheck.REPEATED_EXECUTION in denied.verdict.reasons:
            trip = Trip(TradingState.REDUCING, f"{denied.order.instrument} was filled again and again")
            return self._control.tighten(event, trip, strategy)
        if RiskCheck.MESSAGE_RATE in denied.verdict.reasons and limit is not None:
            count = self._bursts.note(strategy, event.ts_init, event.ts_init)
            if count > limit:
                trip = Trip(TradingState.REDUCING, f"more orders than the rate allows, {count} times within a minute")
                return self._control.tighten(event, trip, strategy)
        return ()

    def after(self, commands: Sequence[AnyCommand]) -> None:
        """Count anew where a person let trading go on."""
        for command in commands:
            if isinstance(command, SetTradingState) and command.state is TradingState.ACTIVE:
                self._freed(command.strategy)

    def _freed(self, strategy: StrategyId | None) -> None:
        self._bursts.forget(_REJECTS if strategy is None else strategy)
        watches = [self.account] if strategy is None else [w for s, w in self._books.items() if s == strategy]
        for watch in watches:
            watch.rebase()


def _watches_losses(limits: RiskLimit) -> bool:
    return any((limits.soft_daily_loss_ratio, limits.max_daily_loss_ratio, limits.max_drawdown_ratio,
                limits.max_strategy_drawdown_ratio))  # fmt: skip
