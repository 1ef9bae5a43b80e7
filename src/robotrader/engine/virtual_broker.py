"""Between a trader and a simulated venue, in one process: commands go there, and what happens there comes back."""

from collections.abc import Callable, Sequence

from robotrader.engine.trader import Trader
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    Bar,
    Cancel,
    Commission,
    CommissionReported,
    Fill,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderId,
    OrderReplaced,
    OrderReplacing,
    OrderSending,
    Replace,
    Submit,
)
from robotrader.simulation.linked import Happened, LinkedOrders
from robotrader.simulation.venue import Venue, VenueChange, VenueFill, VenueOrder


class VirtualBroker:
    """Fill a trader's orders at a venue; `keep` is given every command first.

    `orders` are all that were sent, by id; `fills` and `commissions` grow, oldest first.
    """

    def __init__(self, trader: Trader, venue: Venue, *, keep: Callable[[AnyCommand], None]) -> None:
        self._trader = trader
        self._venue = LinkedOrders(venue)
        self._keep = keep
        self.orders: dict[OrderId, Order] = {}
        self.fills: list[Fill] = []
        self.commissions: list[Commission] = []

    def match(self, bars: Sequence[Bar], opened: int) -> None:
        """Let the venue see bars that opened at `opened`, ns UTC, and book what fills."""
        for bar in bars:
            for happened in self._venue.on_bar(bar, opened):
                self._take(happened, opened)

    def expire(self, ts: int) -> None:
        """End a session: DAY orders that are still open expire."""
        for happened in self._venue.end_session(ts):
            self._take(happened, ts)

    def carry_out(self, commands: Sequence[AnyCommand], ts: int) -> None:
        """Carry out the trader's commands at `ts`, ns UTC."""
        for command in commands:
            self._keep(command)
        for command in commands:
            match command:
                case Submit(order=order):
                    self._submit(order, ts)
                case Cancel(order_id=order_id):
                    self._take(self._venue.cancel(order_id), ts)
                case Replace(order=order):
                    self._tell([OrderReplacing(ts_event=ts, ts_init=ts, order_id=order.id, epoch=0)])
                    self._take(self._venue.change(venue_order(order)), ts)
                case _:
                    pass

    def _submit(self, order: Order, ts: int) -> None:
        self.orders[order.id] = order
        number = len(self.orders)
        sending = OrderSending(ts_event=ts, ts_init=ts, order_id=order.id, epoch=0, broker_order_id=number)
        self._tell([sending, OrderAccepted(ts_event=ts, ts_init=ts, order_id=order.id, perm_id=number)])
        for happened in self._venue.place(venue_order(order), parent=order.parent, group=order.oca_group):
            self._take(happened, ts)

    def _take(self, happened: Happened, ts: int) -> None:
        """Book what happened at the venue, all of it before anything is done about it."""
        self._tell([event for one in happened for event in self._events(one, ts)])

    def _events(self, one: VenueFill | VenueChange, ts: int) -> Sequence[AnyEvent]:
        if isinstance(one, VenueFill):
            return self._book(one)
        order_id = OrderId(one.key)
        match one.what:
            case "canceled" | "lapsed":
                return [OrderCanceled(ts_event=ts, ts_init=ts, order_id=order_id)]
            case "expired":
                return [OrderExpired(ts_event=ts, ts_init=ts, order_id=order_id)]
            case "resized":
                known = self._trader.orders.get(order_id)
                order = self.orders[order_id] if known is None else known.replacing or known.order
                return [OrderReplaced(ts_event=ts, ts_init=ts, order_id=order_id, quantity=one.quantity,
                                      limit_price=order.limit_price, stop_price=order.stop_price)]  # fmt: skip
            case _:
                return []

    def _book(self, hit: VenueFill) -> Sequence[AnyEvent]:
        fill = own_fill(hit, self.orders[OrderId(hit.key)])
        commission = Commission(exec_id=fill.exec_id, revision=1, amount=hit.commission)
        self.fills.append(fill)
        self.commissions.append(commission)
        return [OrderFilled(ts_event=hit.ts, ts_init=hit.ts, fill=fill),
                CommissionReported(ts_event=hit.ts, ts_init=hit.ts, commission=commission)]  # fmt: skip

    def _tell(self, events: Sequence[AnyEvent]) -> None:
        for command, ts in [(command, e.ts_event) for e in events for command in self._trader.handle(e)]:
            self.carry_out([command], ts)


def venue_order(order: Order) -> VenueOrder:
    """Return the order as the venue takes it: our id is its key."""
    return VenueOrder(
        key=order.id, instrument=order.instrument, side=order.side, quantity=order.quantity, type=order.type,
        limit_price=order.limit_price, stop_price=order.stop_price, tif=order.tif,
    )  # fmt: skip


def own_fill(hit: VenueFill, order: Order) -> Fill:
    """Return a venue fill as an execution of ours."""
    return Fill(
        exec_id=f"{hit.number:08x}", revision=1, order_id=order.id, strategy=order.strategy,
        instrument=hit.instrument, side=hit.side, quantity=hit.quantity, price=hit.price, ts_event=hit.ts,
    )  # fmt: skip
