"""What may be sent: trading states, tickets, and what operators ask for."""

from collections.abc import Callable, Sequence

from robotrader.engine.breaks import Breaks
from robotrader.engine.limits import LimitBook
from robotrader.engine.orders import WorkingOrders
from robotrader.model import (
    Action,
    AnyCommand,
    BreakOpened,
    Cancel,
    ConditionChanged,
    Event,
    InstrumentId,
    LinkChanged,
    LinkState,
    OrderState,
    RequestReceived,
    SetTradingState,
    StrategyId,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.risk.approvals import Approvals
from robotrader.risk.halt import Scope, TradingStates
from robotrader.risk.triggers import Trip

_REQUESTED = {
    Action.LOCK: TradingState.LOCKED,
    Action.HALT: TradingState.HALTED,
    Action.REDUCE: TradingState.REDUCING,
    Action.RESUME: TradingState.ACTIVE,
}

StateEvent = RequestReceived | BreakOpened | TradingHalted | LinkChanged | ConditionChanged


TRADER = "trader"
_UNLOCKERS = 2


class Control:
    """Change trading states; `protects` tells whether an open order only reduces a position.

    As many different people as the limits say must ask within a quarter of an hour for trading to become freer; a lock
    takes two at least.
    """

    def __init__(
        self, orders: WorkingOrders, breaks: Breaks, limits: LimitBook, protects: Callable[[WorkingOrder], bool]
    ) -> None:
        self.states = TradingStates()
        self._limits = limits
        self._approvals = Approvals()
        self.breaks = breaks
        self._orders = orders
        self._protects = protects

    def on_event(self, event: StateEvent) -> Sequence[AnyCommand]:
        """Take over what may be sent from now on: as an operator, the trader itself, the link or the machine has it."""
        match event:
            case RequestReceived():
                return self._on_request(event)
            case BreakOpened(break_id=ticket, instrument=iid, broker=theirs, ledger=ours):
                self.breaks.add(event)
                why = " (bought in: were the shares recalled?)" if event.bought_in else ""
                return self.halt(event, f"position break {ticket}: {iid}: broker holds {theirs}, ledger {ours}{why}")
            case TradingHalted():
                return self.halt(event, event.reason)
            case LinkChanged():
                self.states.link = (event.trading, f"the link is {event.state} ({event.reason})")
                # closed though it works: times mean nothing
                wrong = event.state is LinkState.DEGRADED and not event.open and event.skew_s is not None
                return self.halt(event, event.reason) if wrong else ()
            case ConditionChanged(state=state, detail=detail):
                self.states.conditions[event.condition] = (state, detail)
                return self.halt(event, detail) if state is TradingState.HALTED else ()

    def _on_request(self, event: RequestReceived) -> Sequence[AnyCommand]:
        """Carry out what an operator asks for; nobody can resume while a ticket is open."""
        if event.action is Action.RESOLVE:
            adjusted = self.breaks.resolve(event)
            return (adjusted,) if adjusted else ()
        if event.action is Action.LIMIT:
            return self._limits.change(event)
        state, scope = _REQUESTED.get(event.action), (event.strategy, event.instrument)
        if state is None or not self._may(event, state, scope):
            return ()
        self._approvals.forget(*((scope, other) for other in TradingState))
        return self._set(event, scope, state, reason=event.reason, actor=event.actor)

    def _may(self, event: RequestReceived, state: TradingState, scope: Scope) -> bool:
        """Tell whether enough people ask for a freer state, no ticket stands against it, and nothing is locked."""
        before = self.states.of(scope)[0]
        if state.severity >= before.severity:
            return True
        if self.breaks and state is TradingState.ACTIVE:
            return False
        needed = max(self._limits.limits.approvers or 1, _UNLOCKERS if before is TradingState.LOCKED else 1)
        return self._approvals.ask((scope, state), event.actor, event.ts_event, needed=needed)

    def refusal(self, working: WorkingOrder) -> str | None:
        """Return why an order may not be sent as things stand now, None when it may."""
        state, reason = self.states.effective(working.order.strategy, working.order.instrument)
        if state is TradingState.ACTIVE or (state is TradingState.REDUCING and self._protects(working)):
            return None
        return f"trading is {state}: {reason}"

    def halt(self, event: Event, reason: str, instrument: InstrumentId | None = None) -> Sequence[AnyCommand]:
        """Halt all trading, or that in one instrument, by the trader's own judgement."""
        return self._set(event, (None, instrument), TradingState.HALTED, reason=reason, actor=TRADER)

    def tighten(self, event: Event, trip: Trip, strategy: StrategyId | None = None) -> Sequence[AnyCommand]:
        """Make trading less free, in all or for one strategy, where it is not as little free already."""
        return self._set(event, (strategy, None), trip.state, reason=trip.reason, actor=TRADER)

    def _set(self, event: Event, scope: Scope, state: TradingState, *, reason: str, actor: str) -> Sequence[AnyCommand]:
        """Change a scope's state; only people make it freer. Leaving ACTIVE cancels the orders that would add risk."""
        if actor == TRADER and state.severity <= self.states.of(scope)[0].severity:
            return ()
        if not self.states.set(scope, state, reason):
            return ()
        strategy, instrument = scope
        out: list[AnyCommand] = [
            SetTradingState(ts_event=event.ts_event, state=state, reason=reason, actor=actor,
                            strategy=strategy, instrument=instrument)
        ]  # fmt: skip
        if state is not TradingState.ACTIVE:
            out += [
                Cancel(ts_event=event.ts_event, order_id=w.order.id, reason=f"{state}: {reason}")
                for w in self._orders.open_orders()
                if strategy in {None, w.order.strategy} and instrument in {None, w.order.instrument}
                and w.state is not OrderState.PENDING_CANCEL and (_cannot_leave(w, state) or not self._protects(w))
            ]  # fmt: skip
        return out


def _cannot_leave(working: WorkingOrder, state: TradingState) -> bool:
    """Tell whether an order was not sent yet, and cannot be any more."""
    return working.state is OrderState.AUTHORIZED and state.severity >= TradingState.HALTED.severity
