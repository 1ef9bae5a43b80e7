"""What may be sent: trading states, tickets, and what operators ask for."""

from collections.abc import Callable, Sequence

from robotrader.engine.breaks import Breaks
from robotrader.engine.orders import WorkingOrders
from robotrader.model import (
    Action,
    AnyCommand,
    BreakOpened,
    Cancel,
    Event,
    InstrumentId,
    LinkChanged,
    OrderState,
    RequestReceived,
    SetTradingState,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.risk.halt import TradingStates

_REQUESTED = {
    Action.HALT: TradingState.HALTED,
    Action.REDUCE: TradingState.REDUCING,
    Action.RESUME: TradingState.ACTIVE,
}

StateEvent = RequestReceived | BreakOpened | TradingHalted | LinkChanged


class Control:
    """Change trading states; `protects` tells whether an open order only reduces a position."""

    def __init__(self, orders: WorkingOrders, breaks: Breaks, protects: Callable[[WorkingOrder], bool]) -> None:
        self.states = TradingStates()
        self.breaks = breaks
        self._orders = orders
        self._protects = protects

    def on_event(self, event: StateEvent) -> Sequence[AnyCommand]:
        """Take over what may be sent from now on: as an operator, the trader itself or the link has it."""
        match event:
            case RequestReceived():
                return self._on_request(event)
            case BreakOpened(break_id=ticket, instrument=iid, broker=theirs, ledger=ours):
                self.breaks.add(event)
                return self.halt(event, f"position break {ticket}: {iid}: broker holds {theirs}, ledger {ours}")
            case TradingHalted():
                return self.halt(event, event.reason)
            case LinkChanged():
                self.states.link = (event.trading, f"the link is {event.state} ({event.reason})")
                return ()

    def _on_request(self, event: RequestReceived) -> Sequence[AnyCommand]:
        """Carry out what an operator asks for; nobody can resume while a ticket is open."""
        if event.action is Action.RESOLVE:
            adjusted = self.breaks.resolve(event)
            return (adjusted,) if adjusted else ()
        state = _REQUESTED.get(event.action)
        if state is None or (state is TradingState.ACTIVE and self.breaks):
            return ()
        return self._set(event, state, event.reason, actor=event.actor)

    def refusal(self, working: WorkingOrder) -> str | None:
        """Return why an order may not be sent as things stand now, None when it may."""
        state, reason = self.states.effective(working.order.strategy, working.order.instrument)
        if state is TradingState.ACTIVE or (state is TradingState.REDUCING and self._protects(working)):
            return None
        return f"trading is {state}: {reason}"

    def halt(self, event: Event, reason: str, instrument: InstrumentId | None = None) -> Sequence[AnyCommand]:
        """Halt all trading, or that in one instrument, by the trader's own judgement."""
        return self._set(event, TradingState.HALTED, reason, actor="trader", instrument=instrument)

    def _set(
        self, event: Event, state: TradingState, reason: str, *, actor: str, instrument: InstrumentId | None = None
    ) -> Sequence[AnyCommand]:
        """Change a scope's state; leaving ACTIVE also cancels the orders that would add risk."""
        scope = (event.strategy, event.instrument) if isinstance(event, RequestReceived) else (None, instrument)
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
