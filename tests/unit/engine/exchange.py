"""A broker that keeps its word: families, groups and changes as IBKR has them, and each thing when the test says so.

What is asked for waits in `asked` until `work`; what came of it waits in `told` until `hear`. `on_replace` is called at
the moment of the socket write.
"""

from collections import deque
from collections.abc import Callable, Mapping

from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    AnyEvent,
    Order,
    OrderCanceled,
    OrderId,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    Purpose,
    RiskLimit,
    WorkingOrder,
)
from robotrader.ports import Arrival
from tests import builders as make
from tests.fakes import FakeBroker, MemoryStorage, Script, message
from tests.unit.engine.stage import NO_LIMITS, config, started
from tests.unit.engine.world import Life

TS = make.T0 + 1


class Ticket:
    """An order at the broker; it `waits` for the first fill of its entry."""

    def __init__(self, order: Order, *, waits: bool = False) -> None:
        self.order = order
        self.filled = 0
        self.open = True
        self.waits = waits

    @property
    def leaves(self) -> int:
        """Return what can still fill."""
        return self.order.quantity - self.filled if self.open else 0


class Exchange(FakeBroker):
    """The broker's own book of SPY: `position` is the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.book: dict[OrderId, Ticket] = {}
        self.position = 0
        self.asked: deque[Callable[[], None]] = deque()
        self.told: deque[AnyEvent] = deque()
        self.changing: list[OrderId] = []
        self.on_replace: Callable[[Order], None] = lambda _: None
        self._family: list[Order] = []
        self._spent: set[str] = set()
        self._executions = 0

    def submit(self, order: Order, broker_order_id: int, *, transmit: bool = True) -> None:
        super().submit(order, broker_order_id, transmit=transmit)
        self._family.append(order)
        if transmit:
            family, self._family = self._family, []
            self.asked.append(lambda: self._take_all(family))

    def replace(self, order: Order) -> None:
        assert order.id not in self.changing, "two changes of one order on their way"
        self.on_replace(order)
        super().replace(order)
        self.changing.append(order.id)
        self.asked.append(lambda: self._change(order))

    def cancel(self, order_id: OrderId) -> None:
        assert order_id in self.sent, "what was never sent cannot be canceled: the real adapter says so too"
        super().cancel(order_id)
        self.asked.append(lambda: self.end(order_id))

    @property
    def working(self) -> list[Ticket]:
        """Return what can fill now."""
        return [t for t in self.book.values() if t.open and not t.waits]

    def stops(self) -> int:
        """Return the signed units that the stops end, of those that can fill now."""
        return sum(-t.order.side.sign * t.leaves for t in self.working if t.order.purpose is Purpose.STOP_LOSS)

    def _take_all(self, family: list[Order]) -> None:
        for order in family:
            self._take(order)

    def _take(self, order: Order) -> None:
        parent, group = self.book.get(order.parent) if order.parent else None, order.oca_group
        if (parent and not parent.open and not parent.filled) or (parent is None and group in self._spent):
            self._tell(OrderRejected(ts_event=TS, ts_init=TS, order_id=order.id, code=201, reason="family or group"))
            return
        self.book[order.id] = Ticket(order, waits=parent is not None)
        self._tell(make.accepted(order.id, perm_id=len(self.book)))

    def _change(self, order: Order) -> None:
        self.changing.remove(order.id)
        ticket = self.book.get(order.id)
        if ticket is None or not ticket.open or order.quantity <= ticket.filled:
            self._tell(OrderReplaceRejected(ts_event=TS, ts_init=TS, order_id=order.id, reason="too late"))
        else:
            ticket.order = structs.replace(ticket.order, stop_price=order.stop_price)
            self._size(ticket, order.quantity)

    def _size(self, ticket: Ticket, quantity: int) -> None:
        ticket.order = structs.replace(ticket.order, quantity=quantity)
        self._tell(OrderReplaced(ts_event=TS, ts_init=TS, order_id=ticket.order.id, quantity=quantity,
                                 limit_price=ticket.order.limit_price, stop_price=ticket.order.stop_price))  # fmt: skip

    def end(self, order_id: OrderId) -> None:
        """Cancel an order, and what waits for it."""
        ticket = self.book.get(order_id)
        if ticket is None or not ticket.open:
            return
        ticket.open = False
        self._tell(OrderCanceled(ts_event=TS, ts_init=TS, order_id=order_id, reason="canceled"))
        for child in [t for t in self.book.values() if t.order.parent == order_id and t.waits]:
            self.end(child.order.id)

    def fill(self, order_id: OrderId, quantity: int | None = None) -> None:
        """Fill an order; its children come alive with as much, the others of its group lose as much."""
        ticket = self.book[order_id]
        quantity = ticket.leaves if quantity is None else quantity
        assert 0 < quantity <= ticket.leaves
        assert not ticket.waits
        self._executions += 1
        ticket.filled += quantity
        ticket.open = ticket.leaves > 0
        self.position += ticket.order.side.sign * quantity
        self._tell(make.filled(ticket.order, quantity=quantity, exec_id=f"x{self._executions}", price="100.00"))
        for child in [t for t in self.book.values() if t.order.parent == order_id and t.open]:
            sized = quantity if child.waits else child.order.quantity + quantity
            child.waits = False
            if sized != child.order.quantity:
                self._size(child, sized)
        group = ticket.order.oca_group
        if group is None:
            return
        self._spent.add(group)
        for other in [t for t in self.book.values() if t.order.oca_group == group and t.open and t is not ticket]:
            if other.leaves <= quantity:
                self.end(other.order.id)
            else:
                self._size(other, other.order.quantity - quantity)

    def _tell(self, event: AnyEvent) -> None:
        self.told.append(event)


class Floor:
    """A trader that has begun its run, and the broker that it trades with."""

    def __init__(self, life: Life, path: WriteAhead, broker: Exchange) -> None:
        self.life = life
        self.path = path
        self.broker = broker
        self.trader: Trader = path._trader

    @classmethod
    async def open(
        cls, script: Script, policy: Mapping[str, str] | None = None, *, limits: RiskLimit = NO_LIMITS
    ) -> "Floor":
        """Begin a run of a strategy with this policy, 100 units at full strength."""
        run = started(structs.replace(config(), **(policy or {})), limits=limits)
        life, broker = Life(MemoryStorage(), script=script, run=run), Exchange()
        life.broker = broker
        return cls(life, await life.path(), broker)

    async def on(self, *arrivals: Arrival | AnyEvent) -> None:
        """Take a batch in, and carry out what follows."""
        await self.path.carry_out(await self.path.record(arrivals))

    async def bar(self, day: int, *closes: float) -> None:
        """Let a day close, at 100 unless told; nothing that was asked for is done yet."""
        await self.on(make.bars_closed(day, *closes))

    def work(self) -> None:
        """Let the broker do one thing that it was asked."""
        if self.broker.asked:
            self.broker.asked.popleft()()

    async def hear(self) -> None:
        """Let the trader hear one thing."""
        if self.broker.told:
            await self.on(message(self.broker.told.popleft()))

    async def rest(self) -> None:
        """Let both come to rest: all that was asked is done, and all that was done is heard."""
        while self.broker.asked or self.broker.told:
            self.work()
            await self.hear()

    async def day(self, day: int, *closes: float) -> None:
        """Let a day close and both come to rest."""
        await self.bar(day, *closes)
        await self.rest()

    async def fill(self, order: Order, quantity: int | None = None) -> None:
        """Fill an order, whole unless told, and let both come to rest."""
        self.broker.fill(order.id, quantity)
        await self.rest()

    def sent(self, purpose: Purpose) -> list[Order]:
        """Return what was sent for a purpose, in order."""
        return [order for order, _ in self.broker.submitted if order.purpose is purpose]

    def known(self, order: Order) -> WorkingOrder:
        """Return an order as the trader knows it."""
        found = self.trader.orders.get(order.id)
        assert found is not None
        return found

    @property
    def held(self) -> int:
        """Return what the books hold."""
        return self.trader.ledger.quantity(make.SPY.id)
