"""From orders to commands: every order and every change passes the gate, and is counted from then on."""

from collections.abc import Callable, Sequence

from msgspec import structs

from robotrader.engine.control import Control
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.protection import Changes
from robotrader.engine.valuation import Valuation
from robotrader.model import (
    AnyCommand,
    Approved,
    Cancel,
    Decision,
    Denied,
    Deny,
    Event,
    Order,
    OrderState,
    Replace,
    RiskLimit,
    Submit,
    TradingState,
    Verdict,
    WorkingOrder,
)
from robotrader.risk.checks import Facts
from robotrader.risk.gate import evaluate
from robotrader.risk.rates import RateWindow

NOTHING_HELD = "there is no position left for it to protect"
RESIZED = "brought up to the position and its price"


class Submission:
    """Check orders, and note those that may go as working."""

    def __init__(
        self, orders: WorkingOrders, values: Valuation, control: Control, limits: Callable[[], RiskLimit]
    ) -> None:
        self.rates = RateWindow()
        self._orders = orders
        self._values = values
        self._control = control
        self._limits = limits

    def submit(self, family: Sequence[Order], decision: Decision | None, event: Event) -> list[Submit] | Deny:
        """Check an order and those that protect what it opens: all of them go, or none does."""
        entry, approved = family[0], list[tuple[Order, Approved]]()
        for order in family:
            verdict = self._verdict(order, event.ts_init, entry=entry if order.parent else None, ahead=len(approved))
            if isinstance(verdict, Denied):
                about = "" if order is entry else f"its {order.purpose}: "
                if entry.id not in self._orders:
                    reason = about + ", ".join(verdict.reasons)
                    self._orders.put(WorkingOrder(order=entry, state=OrderState.DENIED, reason=reason))
                return Deny(ts_event=event.ts_event, order=entry, verdict=verdict, decision=decision)
            approved.append((order, verdict))
        return [self._authorized(order, verdict, decision if order is entry else None, event)
                for order, verdict in approved]  # fmt: skip

    def _authorized(self, order: Order, verdict: Approved, decision: Decision | None, event: Event) -> Submit:
        self._orders.put(WorkingOrder(order=order, state=OrderState.AUTHORIZED))
        self.rates.record(order, event.ts_init)
        return Submit(ts_event=event.ts_event, order=order, verdict=verdict, decision=decision, reserved=order.quantity)

    def change(self, changes: Changes, event: Event) -> list[AnyCommand]:
        """Turn what is to change of a position's protection into commands."""
        out: list[AnyCommand] = [
            Cancel(ts_event=event.ts_event, order_id=w.order.id, reason=NOTHING_HELD) for w in changes.cancel
        ]
        for order in changes.replace:
            working = self._orders.get(order.id)
            if working is None:
                continue
            left, before = _less(order, working.filled), _less(working.order, working.filled)
            verdict = self._verdict(left, event.ts_init, changes=before)
            if isinstance(verdict, Approved):
                self._orders.put(structs.replace(working, replacing=order))
                out.append(Replace(ts_event=event.ts_event, order=order, verdict=verdict, reason=RESIZED))
        for order in changes.submit:
            made = self.submit((order,), None, event)
            out += [made] if isinstance(made, Deny) else made
        return out

    def _verdict(
        self, order: Order, now: int, *, entry: Order | None = None, ahead: int = 0, changes: Order | None = None
    ) -> Verdict:
        """Check an order after `ahead` others that go with it; one that `changes` another was decided before."""
        iid = order.instrument
        blocked = self._orders.unresolved(iid)
        state, reason = self._control.states.effective(order.strategy, iid)
        if blocked is not None:
            state, reason = TradingState.HALTED, f"outcome of order {blocked.order.id} is unknown"
        facts = Facts(
            snapshot=self._values.snapshot(order, now, self._limits(), entry=entry),
            rates=self.rates.counts(order, now, ahead=ahead),
            known_intent=changes is None and order.id in self._orders,
            same_terms_age_ns=self.rates.same_terms_age(order, now) if changes is None else None,
            shrinks=changes is not None
            and changes.quantity > order.quantity
            and changes == structs.replace(order, quantity=changes.quantity),
            state=state,
            state_reason=reason,
        )
        return evaluate(order, facts, self._limits())


def _less(order: Order, filled: int) -> Order:
    """Return an order without what is filled of it: that adds no risk."""
    return structs.replace(order, quantity=order.quantity - filled)
