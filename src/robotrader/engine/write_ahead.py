"""The write-ahead protocol: T1 (events and commands), T2 (SENDING), and only then the socket."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from robotrader.engine.asking import Ask, nobody, with_answers
from robotrader.engine.invariants import violations
from robotrader.engine.projection import Projection
from robotrader.engine.response import respond
from robotrader.engine.trader import Trader
from robotrader.execution.lifecycle import REPLACEABLE
from robotrader.model import (
    Action,
    AnyCommand,
    AnyEvent,
    BarsClosed,
    Cancel,
    ConnectionLost,
    DataError,
    ExternalFill,
    MarginPreviewed,
    Order,
    OrderEvent,
    OrderFilled,
    OrderId,
    OrderPendingCancel,
    OrderReplaceRejected,
    OrderReplacing,
    OrderSending,
    OrderState,
    OrderVoided,
    PreviewMargin,
    Replace,
    SetTradingState,
    Submit,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from robotrader.ports import Arrival, Broker, BrokerMessage, Clock, Journal, Transaction

log = logging.getLogger(__name__)

MAX_DECISION_AGE_BARS = 1.5


def _at_once(_: Order) -> None:
    """Keep no reservation."""


class WriteAhead:
    """Journal first, then act. `halted` answers why nothing may be sent, None when it may; `raise_latch` says so.

    `cancels` are the orders that the core wants canceled, with its reasons: a cancel may be lost with the link.
    """

    def __init__(
        self, *, trader: Trader, journal: Journal, broker: Broker, clock: Clock, halted: Callable[[], str | None],
        raise_latch: Callable[[str], None] = log.info, ask: Ask = nobody,
    ) -> None:  # fmt: skip
        self._trader = trader
        self._journal = journal
        self._broker = broker
        self._clock = clock
        self._halted, self._raise_latch, self._ask = halted, raise_latch, ask
        self.bar_ns = 0
        self.last_bars_ts: int | None = None
        self.epoch = 0
        self.next_order_id = 1
        self.cancels: dict[OrderId, str] = {}
        self._touched: dict[OrderId, OrderState | None] = {}
        self._shown = Projection(trader)

    async def record(self, arrivals: Sequence[Arrival | AnyEvent]) -> list[AnyCommand]:
        """T1: append what arrived, hand it to the core, append what follows; one transaction.

        Returns
        -------
        list of AnyCommand
            The new commands, in order; nothing of them has left the process yet.
        """
        out: list[AnyCommand] = []
        heard = with_answers(arrivals, self._ask)  # before the transaction: nobody's code runs while it is open
        async with self._journal.transaction() as tx:
            for arrival in heard:
                if isinstance(arrival, BrokerMessage):
                    message = structs.replace(arrival, ts_init=self._clock.now())
                    tx.raw(message)
                    for event in _events_of(self._broker, message):
                        self._take(tx, event, out)
                elif isinstance(arrival, AnyEvent):
                    now = self._clock.now()  # also the time of what has none of its own
                    self._take(tx, structs.replace(arrival, ts_event=arrival.ts_event or now, ts_init=now), out)
            touched, self._touched, now = self._touched, {}, self._clock.now()
            for broken in violations(self._trader, touched):
                self._take(tx, TradingHalted(ts_event=now, ts_init=now, reason=f"invariant {broken}"), out)
        return out

    def _take(self, tx: Transaction, event: AnyEvent, out: list[AnyCommand]) -> None:
        """Append one event and all that follows from it; an event that is already there changes nothing."""
        if isinstance(event, OrderFilled | ExternalFill):  # an execution carries time too
            event = structs.replace(event, ts_init=max(event.ts_init, event.ts_event))
        seq = tx.event(event)
        if seq is None:
            if (reason := _contradiction(self._trader, event)) is not None:
                self._take(tx, TradingHalted(ts_event=event.ts_event, ts_init=event.ts_init, reason=reason), out)
            return
        if isinstance(event, BarsClosed):
            self.last_bars_ts = event.ts_event
            self.bar_ns = event.bars[0].spec.nanos if event.bars else self.bar_ns
        working = self._trader.orders.get(_order_of(event))
        if working is not None:
            self._touched.setdefault(working.order.id, working.state)
        response = respond(self._trader, event)
        for command in response.commands:
            tx.command(command, seq)
            self._shown.after(tx, command, event.ts_init)
        out.extend(response.commands)
        self.cancels |= {c.order_id: c.reason for c in response.commands if isinstance(c, Cancel)}
        self._shown.after(tx, event, event.ts_init)
        for consequence in self._consequences(event, response.failure):
            self._take(tx, consequence, out)

    def _consequences(self, event: AnyEvent, failure: Exception | None) -> list[AnyEvent]:
        """Return the events that follow from an event at once: tickets, and a halt where the core failed on it."""
        found: list[AnyEvent] = [*self._trader.breaks.offsets(event)] if isinstance(event, ExternalFill) else []
        if failure is not None:
            log.error("core failed on an event: halting", exc_info=failure)
            reason = f"{type(event).__name__}: {failure}"
            found = [*found, TradingHalted(ts_event=event.ts_event, ts_init=event.ts_init, reason=reason)]
        return found

    async def carry_out(self, commands: Sequence[AnyCommand]) -> None:
        """Carry out cancels first, then T2 and the socket writes: changes of working orders, then new ones."""
        for command in commands:
            match command:
                case SetTradingState() if _is_halt_of_all(command):
                    self._raise_latch(command.reason)  # it survives the loss of the journal
                case Cancel():
                    await self._cancel(command)
                case PreviewMargin():
                    await self._preview(command.order)
                case _:
                    pass
        await self._replace([c.order for c in commands if isinstance(c, Replace)])
        await self.send([c.order for c in commands if isinstance(c, Submit)])

    async def _cancel(self, command: Cancel) -> None:
        """Ask the broker to cancel; an order that was never sent is void instead.

        Without a link nothing is asked: every cancel still wanted is repeated when it is back.
        """
        working, now = self._trader.orders.get(command.order_id), self._clock.now()
        if working is not None and working.state is OrderState.AUTHORIZED:
            await self.void([working.order], command.reason, proven=True)
            return
        if working is None or not _may_work(working):
            return
        try:
            self._broker.cancel(command.order_id)
        except ConnectionLost as error:
            log.warning("cancel of %s waits for the link: %s", command.order_id, error)
            return
        await self.record([OrderPendingCancel(ts_event=now, ts_init=now, order_id=command.order_id)])

    async def _preview(self, order: Order) -> None:
        """Ask what an order would need, under a number that no order gets; there is an answer in any case."""
        now, self.next_order_id = self._clock.now(), self.next_order_id + 1
        try:
            self._broker.preview(order, self.next_order_id - 1)
        except ConnectionLost as error:
            unasked = MarginPreviewed(ts_event=now, ts_init=now, order_id=order.id, error=f"not asked: {error}")
            await self.record([unasked])

    async def void(
        self, orders: Sequence[Order], reason: str, *, proven: bool, until: Callable[[Order], int | None] = _at_once
    ) -> None:
        """Give orders up that did not reach the broker, unproven ones with their reservation kept `until`.

        All in one batch: what follows from the end of an entry must find those that protect it ended too.
        """
        now = self._clock.now()
        key: dict[str, Any] = {"ts_event": now, "ts_init": now, "proven": proven, "reason": reason}
        given_up = [OrderVoided(order_id=o.id, until=until(o), **key) for o in orders]
        await self.carry_out(await self.record(given_up) if given_up else ())

    async def send(self, orders: Sequence[Order]) -> None:
        """T2, then the socket: re-read latch, trading state and data age; record SENDING; commit; write.

        Raises
        ------
        InvariantViolation
            Another process took the journal, says the batch itself: this one may neither write nor send.
        """
        orders = [o for o in orders if _is_authorized(o, self._trader)]
        if not orders:
            return
        now, refused = self._clock.now(), await self._refused(orders)
        refused |= {o.id: f"its entry: {refused[o.parent]}" for o in orders if o.parent in refused}
        for order in (o for o in orders if o.id in refused):
            await self.void([order], refused[order.id], proven=True)
        orders = [o for o in orders if _is_authorized(o, self._trader)]
        numbered = list(zip(orders, range(self.next_order_id, self.next_order_id + len(orders)), strict=True))
        self.next_order_id += len(orders)
        await self.record(
            [OrderSending(ts_event=now, ts_init=now, order_id=o.id, epoch=self.epoch, broker_order_id=number)
             for o, number in numbered]
        )  # fmt: skip
        lost: dict[str, list[Order]] = {}
        for k, (order, number) in enumerate(numbered):
            # an entry and those that protect it take effect together, with the last of them
            more = any(later.parent in {order.id, order.parent} - {None} for later, _ in numbered[k + 1 :])
            try:
                self._broker.submit(order, number, transmit=not more)
            except ConnectionLost as error:  # its promise: nothing was written
                lost.setdefault(f"not sent: {error}", []).append(order)
        for reason, unsent in lost.items():
            await self.void(unsent, reason, proven=True)

    async def _refused(self, orders: Sequence[Order], *, ages: bool = True) -> dict[OrderId, str]:
        """Re-read latch, trading state and data age, and return why some of these orders may not be sent.

        What protects a position does not age: it may have been decided weeks ago.
        """
        halted, now = self._halted() or await _requested_halt(self._journal), self._clock.now()
        found = {
            o.id: halted or _stopped(o, self._trader) or (_stale(o, now, self.bar_ns) if ages else None) for o in orders
        }
        return {order_id: why for order_id, why in found.items() if why}

    async def _replace(self, changes: Sequence[Order]) -> None:
        """Change working orders, by the same protocol: what may have left is never asked for again by itself."""
        changes = [o for o in changes if (w := self._trader.orders.get(o.id)) is not None and w.replacing == o]
        if not changes:
            return
        refused, now = await self._refused(changes, ages=False), self._clock.now()
        states = {o.id: w.state for o in changes if (w := self._trader.orders.get(o.id)) is not None}
        refused |= {i: f"it is {state} by now" for i, state in states.items() if state not in REPLACEABLE}
        await self.record(
            [OrderReplaceRejected(ts_event=now, ts_init=now, order_id=o.id, reason=refused[o.id])
             if o.id in refused else OrderReplacing(ts_event=now, ts_init=now, order_id=o.id, epoch=self.epoch)
             for o in changes]
        )  # fmt: skip
        for order in changes:
            try:
                if order.id not in refused:
                    self._broker.replace(order)
            except ConnectionLost as error:
                await self.record([OrderReplaceRejected(ts_event=now, ts_init=now, order_id=order.id,
                                                        reason=f"not sent: {error}")])  # fmt: skip


async def _requested_halt(journal: Journal) -> str | None:
    halts = (r for r in await journal.open_requests() if r.action in {Action.HALT, Action.LOCK})
    return next((f"halt requested: {r.reason}" for r in halts), None)


def _is_authorized(order: Order, trader: Trader) -> bool:
    working = trader.orders.get(order.id)
    return working is not None and working.state is OrderState.AUTHORIZED


def _events_of(broker: Broker, message: BrokerMessage) -> Sequence[AnyEvent]:
    """Return what a message means; of one that cannot be understood, a halt."""
    try:
        return broker.interpret(message)
    except DataError as error:  # the message itself stays in the journal; what it said of our orders is not known
        reason = f"broker message {message.name} not understood: {error}"
        return (TradingHalted(ts_event=message.ts_init, ts_init=message.ts_init, reason=reason),)


def _contradiction(trader: Trader, event: AnyEvent) -> str | None:
    """Say why an execution that is booked already halts: it came with other content, and neither is proven."""
    known = trader.ledger.execution(event.fill.exec_id) if isinstance(event, OrderFilled) else None
    if not isinstance(event, OrderFilled) or known is None or known.revision != event.fill.revision:
        return None
    booked, told = (f"{fill.quantity} at {fill.price}" for fill in (known, event.fill))
    same = booked == told
    return (
        None
        if same
        else f"execution {event.source_id} came with two contents: {booked} is booked, {told} is a conflict"
    )


def _order_of(event: AnyEvent) -> OrderId:
    """Return the order that an event is about, an id that no order has if it is about none."""
    if isinstance(event, OrderFilled):
        return event.fill.order_id
    return event.order_id if isinstance(event, OrderEvent) else OrderId("")


def _stopped(order: Order, trader: Trader) -> str | None:
    """Say why this order may not be sent any more, whatever was allowed when it was decided."""
    working = trader.orders.get(order.id)
    return None if working is None else trader.control.refusal(working)


def _stale(order: Order, now: int, bar_ns: int) -> str | None:
    return "decision is stale" if now - order.ts_event > MAX_DECISION_AGE_BARS * bar_ns else None


def _is_halt_of_all(command: SetTradingState) -> bool:
    return (
        command.strategy is None and command.instrument is None
        and command.state.severity >= TradingState.HALTED.severity
    )  # fmt: skip


def _may_work(working: WorkingOrder) -> bool:
    """Tell whether the broker may work an order: it was sent, and is not void, or a zombie, and not filled."""
    void = working.state is OrderState.VOIDED and not working.perm_ids
    return working.broker_order_id is not None and working.state is not OrderState.FILLED and not void
