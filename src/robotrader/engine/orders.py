"""All orders of the journal, and the open quantities that planning and risk checks need."""

from collections import defaultdict
from collections.abc import Iterator

from robotrader.execution.lifecycle import OPEN
from robotrader.model import InstrumentId, OrderId, Side, StrategyId, WorkingOrder


class WorkingOrders:
    """Orders by id; sums over the open ones are kept incrementally."""

    def __init__(self) -> None:
        self._orders: dict[OrderId, WorkingOrder] = {}
        self._net: defaultdict[tuple[StrategyId, InstrumentId], int] = defaultdict(int)
        self._open: defaultdict[tuple[InstrumentId, Side], int] = defaultdict(int)
        self._live: dict[OrderId, None] = {}

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
        self._count(working, 1)

    def _count(self, working: WorkingOrder, sign: int) -> None:
        order = working.order
        if working.state not in OPEN:
            self._live.pop(order.id, None)
            return
        self._live[order.id] = None
        self._net[order.strategy, order.instrument] += sign * order.side.sign * working.leaves
        self._open[order.instrument, order.side] += sign * working.leaves

    def net(self, strategy: StrategyId, instrument: InstrumentId) -> int:
        """Return the strategy's unfilled units, buys minus sells."""
        return self._net[strategy, instrument]

    def open_quantity(self, instrument: InstrumentId, side: Side) -> int:
        """Return the unfilled units of one side, over all strategies."""
        return self._open[instrument, side]

    def open_orders(self) -> list[WorkingOrder]:
        """Return the orders that can still fill, oldest first."""
        return [self._orders[order_id] for order_id in self._live]

    def unresolved(self, instrument: InstrumentId) -> WorkingOrder | None:
        """Return an order in the instrument whose outcome is unknown, if there is one."""
        for order_id in self._live:
            working = self._orders[order_id]
            if working.unresolved and working.order.instrument == instrument:
                return working
        return None
