"""From orders to commands: every order and every change passes the gate, and is counted from then on."""

from collections.abc import Iterable, Sequence, Set

from msgspec import structs

from robotrader.engine.briefing import Briefing
from robotrader.engine.limits import LimitBook
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.protection import Changes
from robotrader.model import (
    AnyCommand,
    Approved,
    Cancel,
    Decision,
    Denied,
    Deny,
    Event,
    InstrumentId,
    MarginPreviewed,
    Order,
    OrderState,
    PreviewMargin,
    Replace,
    RiskCheck,
    StrategyId,
    Submit,
    Verdict,
    WorkingOrder,
)
from robotrader.risk.gate import evaluate

NOTHING_HELD = "there is no position left for it to protect"
RESIZED = "brought up to the position and its price"


class Submission:
    """Check orders, and note those that may go as working."""

    def __init__(self, orders: WorkingOrders, briefing: Briefing, limits: LimitBook) -> None:
        self._orders = orders
        self._briefing = briefing
        self._limits = limits
        self._waiting: dict[tuple[StrategyId, InstrumentId], tuple[Sequence[Order], Decision | None]] = {}

    def submit(
        self, family: Sequence[Order], decision: Decision | None, event: Event
    ) -> list[Submit | PreviewMargin] | Deny:
        """Check an order and those that protect what it opens: all of them go, or none does.

        What its margin needs is asked of the broker first where the limits want it; a later decision takes its place.
        """
        entry, approved = family[0], list[tuple[Order, Approved]]()
        where = entry.strategy, entry.instrument
        if self._briefing.needs_preview(entry, event):
            self._waiting[where] = (family, decision)
            return [PreviewMargin(ts_event=event.ts_event, order=entry)]
        self._waiting.pop(where, None)
        for order in family:
            verdict = self._verdict(order, event, entry=entry if order.parent else None, ahead=len(approved))
            if isinstance(verdict, Denied):
                about = "" if order is entry else f"its {order.purpose}: "
                if entry.id not in self._orders:
                    reason = about + ", ".join(verdict.reasons)
                    self._orders.put(WorkingOrder(order=entry, state=OrderState.DENIED, reason=reason))
                return Deny(ts_event=event.ts_event, order=entry, verdict=verdict, decision=decision)
            approved.append((order, verdict))
        return [self._authorized(order, verdict, decision if order is entry else None, event)
                for order, verdict in approved]  # fmt: skip

    def free(self, orders: Iterable[Order], event: Event, *, but: Set[RiskCheck]) -> list[Order]:
        """Return the orders that no check denies, `but` these, while their strategy and instrument trade freely."""
        return [
            order for order in orders
            if self._briefing.is_active(order)
            and (isinstance(found := self._verdict(order, event), Approved) or {*found.reasons} <= but)
        ]  # fmt: skip

    def _authorized(self, order: Order, verdict: Approved, decision: Decision | None, event: Event) -> Submit:
        self._orders.put(WorkingOrder(order=order, state=OrderState.AUTHORIZED))
        self._briefing.rates.record(order, event.ts_init)
        return Submit(ts_event=event.ts_event, order=order, verdict=verdict, decision=decision, reserved=order.quantity)

    def previewed(self, event: Event) -> Sequence[Submit | PreviewMargin | Deny]:
        """Check the order that waited for this answer, if it is one."""
        for family, decision in list(self._waiting.values()):
            if isinstance(event, MarginPreviewed) and family[0].id == event.order_id:
                made = self.submit(family, decision, event)
                return [made] if isinstance(made, Deny) else made
        return ()

    def forget(self) -> None:
        """Wait for no answer any more: a new run asks nobody what an old one wanted to know."""
        self._waiting.clear()

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
            verdict = self._verdict(left, event, changes=before)
            if isinstance(verdict, Approved):
                self._orders.put(structs.replace(working, replacing=order))
                out.append(Replace(ts_event=event.ts_event, order=order, verdict=verdict, reason=RESIZED))
        for order in changes.submit:
            made = self.submit((order,), None, event)
            out += [made] if isinstance(made, Deny) else made
        return out

    def _verdict(
        self, order: Order, event: Event, *, entry: Order | None = None, ahead: int = 0, changes: Order | None = None
    ) -> Verdict:
        """Check an order after `ahead` others that go with it; one that `changes` another was decided before."""
        same = None if changes is None else structs.replace(order, quantity=changes.quantity)
        facts = self._briefing.facts(
            order, event, entry=entry, ahead=ahead, known=changes is None and order.id in self._orders,
            shrinks=changes is not None and changes == same and changes.quantity > order.quantity,
            changes=changes is not None,
        )  # fmt: skip
        return evaluate(order, facts, self._limits.limits)


def _less(order: Order, filled: int) -> Order:
    """Return an order without what is filled of it: that adds no risk."""
    return structs.replace(order, quantity=order.quantity - filled)
