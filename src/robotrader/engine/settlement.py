"""Comparing with the broker: two equal snapshots, what became of each order, whether positions agree."""

from collections.abc import Callable, Sequence, Set

import msgspec
from msgspec import Struct, structs

from robotrader.engine.inbox import Inbox
from robotrader.engine.recovery import in_force, position_breaks, unsettled
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.execution.lifecycle import OPEN
from robotrader.model import (
    NANOS_PER_SECOND,
    OUR_PREFIX,
    AccountReported,
    AnyEvent,
    BrokerUnavailable,
    Cancel,
    InvariantViolation,
    LinkChanged,
    Order,
    OrderConfirmed,
    OrderExpired,
    OrderId,
    OrderReplaceRejected,
    OrderState,
    OrderUnresolved,
    PositionReported,
    Recovered,
    TradingHalted,
    TradingState,
)
from robotrader.ports import Broker, BrokerMessage, BrokerSnapshot, Clock
from robotrader.risk.halt import GLOBAL

_ATTEMPTS = 5
_PATIENCE_NS = 60 * NANOS_PER_SECOND  # an order decided less long ago may still be on its way
_ESCALATE_NS = 900 * NANOS_PER_SECOND
_LIVE = frozenset({"PreSubmitted", "Submitted"})
_UNANSWERED = frozenset({OrderState.SENDING, OrderState.PENDING_REPLACE, OrderState.PENDING_CANCEL})
ABSENT = "absent from two complete snapshots of the broker"


class Settlement(Struct, frozen=True, kw_only=True):
    """Settle with the broker: at start, after each reconnect and at the end.

    `ends` tells when an order's time in force ends (ns UTC), None for one without an end. `void_before` are the orders
    that were void before this run: they are no news of it. `seen` are the broker's messages that were booked from
    snapshots before.
    """

    trader: Trader
    path: WriteAhead
    broker: Broker
    clock: Clock
    inbox: Inbox
    account: str
    ends: Callable[[Order], int | None]
    void_before: frozenset[OrderId]
    seen: set[bytes] = set()

    async def settle(
        self, synced: Callable[[], LinkChanged] | None = None, *, replayed: int = 0, at_end: bool = False
    ) -> LinkChanged | None:
        """Book what the broker says, settle what it does not know, compare positions; then send what may be sent.

        `synced` is told that the comparison is done, and says how the link stands from now on: that is recorded, and
        returned, before anything is sent, as T2 sends nothing over a link that is not open. `at_end`: nobody will look
        again in this run, so that an unknown outcome halts at once.

        Raises
        ------
        BrokerUnavailable
            The broker did not answer completely.
        InvariantViolation
            Its answers do not settle.
        """
        path, trader = self.path, self.trader
        sent = {w.order.id for w in trader.orders if w.broker_order_id is not None}  # what goes later is not in them
        first, last = await self._stable_snapshots()
        now = self.clock.now()
        await self._take(last)
        used = ((w.broker_order_id or 0) + 1 for w in trader.orders)
        path.next_order_id = max([path.next_order_id, last.next_order_id, *used])
        found = unsettled(trader, first, last)
        # over a link that held, the youngest may still be on their way
        since = now if synced is not None or at_end else now - _PATIENCE_NS
        absent = [o for o in found.absent if o.id in sent and o.ts_event <= since]
        await path.void(absent, ABSENT, proven=False, until=self.ends)
        await path.record([event for order in found.lost if (event := self._missing(order, now)) is not None])
        await path.record([*self._unexplained(last, now), *self._confirmed(last, now)])
        await path.carry_out(await path.record(self._escalated(now, 0 if at_end else _ESCALATE_NS)))
        valid = [o for o in found.unsent if in_force(o, path.last_bars_ts, now)]
        await path.void([o for o in found.unsent if o not in valid], "unsent, and its decision is past", proven=True)
        breaks = position_breaks(trader, last)
        # before anything is sent: T2 sends nothing while trading is halted
        await path.carry_out(await path.record([*self._strangers(last, now), *trader.breaks.new(breaks, now)]))
        link = synced() if synced is not None else None
        if link is not None:
            await path.carry_out(await path.record([link]))  # a clock that is wrong halts
        await self._cancel_again(now, None if link is not None else _live(last))
        await path.send(valid)
        await path.record(self._unanswered(last, now))
        recovered = structs.replace(self._recovered(last, valid, replayed, now=now), at_end=at_end)
        await path.carry_out(await path.record([*_reports(last, self.account, now), recovered]))
        return link

    def doubts(self) -> bool:
        """Tell whether an order has been in doubt for a while: unknown, unanswered, or open beyond its time."""
        now = self.clock.now()
        return any(
            w.order.ts_event <= now - _PATIENCE_NS
            and (w.unresolved or w.state in _UNANSWERED or (self.ends(w.order) or now + 1) <= now)
            for w in self.trader.orders.open_orders()
        )

    async def agrees(self) -> bool:
        """Look once, book what is new, and tell whether broker and books agree on positions and open orders."""
        snapshot = await self._look()
        await self._take(snapshot)
        settled = self.clock.now() - _PATIENCE_NS
        gone = [w for w in self.trader.orders.open_orders()
                if w.order.id not in snapshot.order_refs and w.order.ts_event <= settled]  # fmt: skip
        return not gone and not position_breaks(self.trader, snapshot)

    async def _look(self) -> BrokerSnapshot:
        """Ask the broker. What says that an order works also waits in the inbox, and there it would come too late."""
        snapshot = await self.broker.snapshot()
        self.inbox.drop([message for message in snapshot.messages if message.fields.get("status") in _LIVE])
        return snapshot

    async def _take(self, snapshot: BrokerSnapshot) -> None:
        """Book what a snapshot says and none before it said."""
        keyed = {msgspec.json.encode(m, order="sorted"): m for m in snapshot.messages}
        fresh = [message for key, message in keyed.items() if key not in self.seen or self._resized(message)]
        self.seen.update(keyed)
        await self.path.carry_out(await self.path.record(fresh))
        self._complete(snapshot)

    def _recovered(self, last: BrokerSnapshot, valid: list[Order], replayed: int, *, now: int) -> Recovered:
        orders = list(self.trader.orders)
        voided = tuple(w.order.id for w in orders
                       if w.state is OrderState.VOIDED and w.order.id not in self.void_before)  # fmt: skip
        adopted = tuple(w.order.id for w in orders
                        if w.order.id in last.order_refs and w.state is not OrderState.DENIED)  # fmt: skip
        breaks = tuple(f"{iid}: broker holds {theirs}, ledger {ours}"
                       for iid, theirs, ours in position_breaks(self.trader, last))  # fmt: skip
        return Recovered(
            ts_event=now, ts_init=now, replayed=replayed, adopted=adopted if replayed else (), voided=voided,
            resent=tuple(o.id for o in valid if o.id not in voided), breaks=breaks,
        )  # fmt: skip

    def _complete(self, snapshot: BrokerSnapshot) -> None:
        """Refuse executions without an End unless nothing can be missing; BrokerUnavailable when something can."""
        if snapshot.executions_ended:
            return
        filled = {m.fields.get("orderRef") for m in snapshot.messages if m.fields.get("status") == "Filled"}
        unknown = [w.order.id for w in self.trader.orders.open_orders() if w.order.id in filled]
        if unknown or position_breaks(self.trader, snapshot):
            raise BrokerUnavailable("the gateway did not complete executions, and some are missing", orders=unknown)

    def _missing(self, order: Order, now: int) -> AnyEvent | None:
        """Return what follows for an order that the broker had and knows no more: its end, or that nobody knows."""
        working, ends = self.trader.orders.get(order.id), self.ends(order)
        if ends is not None and ends <= now:
            return OrderExpired(ts_event=ends, ts_init=now, order_id=order.id)
        if working is None or working.unresolved:
            return None
        return OrderUnresolved(ts_event=now, ts_init=now, order_id=order.id, reason=ABSENT)

    def _unexplained(self, snapshot: BrokerSnapshot, now: int) -> list[AnyEvent]:
        """Return the orders of which the broker says that they are done, and not by which executions."""
        done = {m.fields.get("orderRef") for m in snapshot.messages if m.name == "completedOrder"}
        reason = "the broker calls it done, and tells no executions"
        return [
            OrderUnresolved(ts_event=now, ts_init=now, order_id=w.order.id, reason=reason)
            for w in self.trader.orders.open_orders()
            if w.order.id in done and w.broker_order_id is not None and not w.unresolved
        ]

    def _confirmed(self, snapshot: BrokerSnapshot, now: int) -> list[AnyEvent]:
        """Return the orders in doubt that the broker works: nothing is unknown of them any more."""
        live = _live(snapshot)
        return [
            OrderConfirmed(ts_event=now, ts_init=now, order_id=w.order.id)
            for w in self.trader.orders.open_orders()
            if w.unresolved and w.order.id in live
        ]

    def _resized(self, message: BrokerMessage) -> bool:
        """Tell whether an open order has another size than we know: an older word of it came late."""
        if message.name != "openOrder":
            return False
        working = self.trader.orders.get(OrderId(str(message.fields.get("orderRef", ""))))
        return working is not None and message.fields["totalQuantity"] != working.order.quantity

    def _unanswered(self, snapshot: BrokerSnapshot, now: int) -> list[AnyEvent]:
        """Return the changes that did not happen: the broker works those orders, on the terms before."""
        reason = "the broker works it on the terms before"
        return [
            OrderReplaceRejected(ts_event=now, ts_init=now, order_id=w.order.id, reason=reason)
            for w in self.trader.orders.open_orders()
            if w.replacing is not None and w.order.id in snapshot.order_refs
        ]

    def _strangers(self, snapshot: BrokerSnapshot, now: int) -> list[AnyEvent]:
        """Return a halt where the broker works an order of ours that this journal does not know: a repeat is near."""
        # the same decision gives the same id: what was denied here was sent by a journal that is lost
        known = {w.order.id for w in self.trader.orders if w.state is not OrderState.DENIED}
        unknown = sorted(ref for ref in _live(snapshot) - known if ref.startswith(OUR_PREFIX))
        if not unknown:
            return []
        reason = f"the broker works orders of ours that this journal does not know (is it an old copy?): {unknown}"
        return [TradingHalted(ts_event=now, ts_init=now, reason=reason)]

    def _escalated(self, now: int, patience: int) -> list[AnyEvent]:
        """Return a halt where an order's outcome stays unknown for so long: then a person must look."""
        unknown = [w.order.id for w in self.trader.orders.open_orders()
                   if w.unresolved and w.order.ts_event <= now - patience]  # fmt: skip
        if not unknown or self.trader.states.of(GLOBAL)[0] is not TradingState.ACTIVE:
            return []
        reason = f"the outcome of {', '.join(unknown)} stays unknown: look into TWS"
        return [TradingHalted(ts_event=now, ts_init=now, reason=reason)]

    async def _stable_snapshots(self) -> tuple[BrokerSnapshot, BrokerSnapshot]:
        """Return two successive complete snapshots that agree on orders and positions."""
        before = await self._look()
        for _ in range(_ATTEMPTS):
            after = await self._look()
            if (before.order_refs, before.positions) == (after.order_refs, after.positions):
                return before, after
            before = after
        raise InvariantViolation("five snapshots of the broker in a row differ")

    async def _cancel_again(self, now: int, among: Set[str] | None) -> None:
        """Repeat every cancel whose order is still open, and `among` these: the first may have been lost."""
        commanded = [w for w in self.trader.orders if w.order.id in self.path.cancels and w.state in OPEN
                     and (among is None or w.order.id in among)]  # fmt: skip
        await self.path.carry_out(
            [Cancel(ts_event=now, order_id=w.order.id, reason=self.path.cancels[w.order.id]) for w in commanded]
        )


def _live(snapshot: BrokerSnapshot) -> Set[str]:
    """Return the ids of the orders that the broker works."""
    return {str(m.fields.get("orderRef", "")) for m in snapshot.messages
            if m.name == "openOrder" and m.fields.get("status") in _LIVE}  # fmt: skip


def _reports(snapshot: BrokerSnapshot, account: str, now: int) -> Sequence[AnyEvent]:
    """Return the broker's own positions and account values as events."""
    reports: list[AnyEvent] = [
        PositionReported(ts_event=now, ts_init=now, account=account, instrument=iid, quantity=quantity)
        for iid, quantity in sorted(snapshot.positions.items())
    ]
    return [*reports, AccountReported(ts_event=now, ts_init=now, account=snapshot.account)]
