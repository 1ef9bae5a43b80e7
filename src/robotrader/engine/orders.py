"""All orders of the journal, and the open quantities that planning and risk checks need."""

from collections import defaultdict
from collections.abc import Iterator, Set

from robotrader.execution.lifecycle import OPEN
from robotrader.model import ExternalOrder, InstrumentId, OrderId, Side, StrategyId, WorkingOrder


class WorkingOrders:
    """Orders by id; sums over the open ones are kept incrementally.

    Protective orders are in none of the sums: they fill against a position that is there, and no more than it, as the
    broker sizes them with their entry and their group. Counted, they would make every exit look like a short sale.
    """

    def __init__(self) -> None:
        self._orders: dict[OrderId, WorkingOrder] = {}
        self._own: defaultdict[tuple[StrategyId, InstrumentId, Side], int] = defaultdict(int)
        self._open: defaultdict[tuple[InstrumentId, Side], int] = defaultdict(int)
        self._live: dict[OrderId, None] = {}
        self._live_in: defaultdict[InstrumentId, dict[OrderId, None]] = defaultdict(dict)
        self._foreign: dict[int, ExternalOrder] = {}
        self._reserved: dict[OrderId, tuple[int, WorkingOrder]] = {}
        self._spent: set[str] = set()

    def get(self, order_id: OrderId) -> WorkingOrder | None:
        """Return the order of that id, None if there is none."""
        return self._orders.get(order_id)

    def __contains__(self, order_id: object) -> bool:
        """Tell whether that order was ever decided."""
        return order_id in self._orders

    def __iter__(self) -> Iterator[WorkingOrder]:
        """Iterate over all orders, oldest first."""
        return iter(self._orders.values())

    def put(self, working: WorkingOrder) -> None:
        """Add an order or its next state."""
        before = self._orders.get(working.order.id)
        if before is not None:
            self._count(before, -1)
        self._orders[working.order.id] = working
        if working.filled and working.order.oca_group is not None:
            self._spent.add(working.order.oca_group)
        self._count(working, 1)

    def reserve(self, working: WorkingOrder, until: int) -> None:
        """Go on counting an order that was given up unproven at worst case: it may appear yet."""
        self._reserved[working.order.id] = (until, working)

    def foreign(self, order: ExternalOrder) -> None:
        """Count an order of somebody else in this account at worst case, until its end."""
        self._foreign[order.perm_id] = order

    def release(self, ts: int) -> None:
        """Count no order any more whose time in force has ended by then."""
        for order_id in [i for i, (until, _) in self._reserved.items() if until <= ts]:
            del self._reserved[order_id]

    def _count(self, working: WorkingOrder, sign: int) -> None:
        order = working.order
        if working.state not in OPEN:
            self._live.pop(order.id, None)
            self._live_in[order.instrument].pop(order.id, None)
            return
        self._live[order.id] = self._live_in[order.instrument][order.id] = None
        if order.purpose.protective:
            return
        self._own[order.strategy, order.instrument, order.side] += sign * working.leaves
        self._open[order.instrument, order.side] += sign * working.leaves

    def net(self, strategy: StrategyId, instrument: InstrumentId) -> int:
        """Return the strategy's unfilled units, buys minus sells."""
        return self._own[strategy, instrument, Side.BUY] - self._own[strategy, instrument, Side.SELL]

    def open_quantity(self, instrument: InstrumentId, side: Side, strategy: StrategyId | None = None) -> int:
        """Return the units of one side that may yet fill at worst case, over all strategies or of one."""
        where = instrument, side
        if strategy is not None:
            return self._own[strategy, instrument, side]
        given_up = sum(w.leaves for _, w in self._reserved.values() if (w.order.instrument, w.order.side) == where)
        others = sum(o.remaining for o in self._foreign.values() if (o.instrument, o.side) == where)
        return self._open[where] + given_up + others

    def is_spent(self, oca_group: str | None) -> bool:
        """Tell whether an order of that group has filled: the broker takes no further order into it."""
        return oca_group in self._spent

    @property
    def open_ids(self) -> Set[OrderId]:
        """Return the orders that can still fill."""
        return self._live.keys()

    def of(self, instrument: InstrumentId, strategy: StrategyId | None = None) -> list[WorkingOrder]:
        """Return the open orders in an instrument, of all strategies or of one, oldest first."""
        there = [self._orders[order_id] for order_id in self._live_in[instrument]]
        return [w for w in there if strategy is None or w.order.strategy == strategy]

    def open_orders(self) -> list[WorkingOrder]:
        """Return the orders that can still fill, oldest first."""
        return [self._orders[order_id] for order_id in self._live]

    def unresolved(self, instrument: InstrumentId) -> WorkingOrder | None:
        """Return an order in the instrument whose outcome is unknown, if there is one."""
        return next((w for w in self.of(instrument) if w.unresolved), None)
