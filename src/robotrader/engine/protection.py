"""The orders that rest at the broker to end a position: made with its entry, sized to it, gone with it.

The broker itself sizes them while their entry fills, and when another order of their group does. What it does not do
(a position that grew, shrank by a part, or turned round) is done here, and looked at again with every bar.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct, structs

from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.execution.lifecycle import REPLACEABLE
from robotrader.execution.protection import Policy, Prices
from robotrader.model import InstrumentId, Order, OrderId, OrderState, Purpose, Side, StrategyId, WorkingOrder
from robotrader.portfolio.ledger import Ledger

_ATTEMPTS = 10
"""How often missing orders are made at one moment: at most so many refusals, then the next bar."""


class Changes(Struct, frozen=True, kw_only=True):
    """What brings the protection of a position up to it."""

    cancel: Sequence[WorkingOrder] = ()
    replace: Sequence[Order] = ()
    submit: Sequence[Order] = ()


class Want(NamedTuple):
    """What is to end a position: so many units of that side."""

    instrument: InstrumentId
    side: Side
    quantity: int


class Protection:
    """Which orders protect what; strategies without a policy have none."""

    def __init__(self, orders: WorkingOrders, ledger: Ledger, market: MarketFacts) -> None:
        self._orders = orders
        self._ledger = ledger
        self._market = market
        self._policies: dict[StrategyId, Policy] = {}
        self._canceling: set[OrderId] = set()

    def configure(self, policies: Iterable[Policy]) -> None:
        """Take over the policies of a run."""
        self._policies = {policy.strategy: policy for policy in policies}

    def covers(self, strategy: StrategyId) -> bool:
        """Tell whether a strategy's positions are to be protected, or something protects them from a run before."""
        return strategy in self._policies or any(
            w.order.purpose.protective and w.order.strategy == strategy for w in self._orders.open_orders()
        )

    def ends_by_us(self, order: Order) -> bool:
        """Tell whether what ended may be made anew at once: not what the broker refused, it would refuse it again."""
        return not order.purpose.protective or order.id in self._canceling

    def family(self, order: Order, *, held: int) -> tuple[Order, ...] | None:
        """Return an order with those that protect what it opens; None when their prices are not known.

        `held` are the signed units held and on their way before. What ends a position joins the group of its
        protection: only one of them can then fill. A group that had a fill takes no more orders: then the protection
        makes way (`follow`), and is made anew for what is left.
        """
        policy, guards = self._policies.get(order.strategy), list(self._guards(order.strategy, order.instrument))
        if policy is not None and not held and not guards:
            other = Side.SELL if order.side is Side.BUY else Side.BUY
            at = self._prices(order.instrument)
            children = policy.orders(other, order.quantity, at, ts=order.ts_event, entry=order) if at else None
            return None if children is None else (order, *children)
        group = guards[0].order.oca_group if guards else None
        joins = guards and order.side is guards[0].order.side and 0 < -order.side.sign * held <= order.quantity
        return (structs.replace(order, oca_group=group),) if joins and not self._orders.is_spent(group) else (order,)

    def follow(
        self, strategy: StrategyId, instrument: InstrumentId, *, ts: int, after: Order | None = None, renew: bool
    ) -> Changes:
        """Return what is to change so that the whole position is protected, once, and nothing else is.

        Parameters
        ----------
        after : Order, optional
            The order that just filled: its children and its group are sized by the broker.
        renew : bool
            Whether missing orders are made anew; not at once where one ended, as a refusal would repeat for ever.
        """
        mine, policy = list(self._guards(strategy, instrument)), self._policies.get(strategy)
        position = self._ledger.book(strategy).quantity(instrument)
        side = Side.SELL if position > 0 else Side.BUY
        wanted = abs(position) - self._leaving(strategy, instrument, position)
        outdated = [g for g in mine if g.state is OrderState.AUTHORIZED and g.order.parent is None
                    and (g.leaves, g.order.side) != (wanted, side)]  # fmt: skip
        there = [g for g in mine if g.order.side is side and g not in outdated]
        submit: Sequence[Order] = ()
        if policy is not None and renew and position and wanted > 0:
            there = self._joinable(policy, there)
            submit = self._missing(policy, there, Want(instrument, side, wanted), ts=ts)
        guards = [g for g in mine if g in outdated or not self._sized_by_broker(g.order, after)]
        cancel = [g for g in guards if (wanted <= 0 or g not in there) and g.state is not OrderState.PENDING_CANCEL]
        able = [g for g in guards if g not in cancel and wanted > 0 and g.state in REPLACEABLE
                and not g.unresolved and g.replacing is None]  # fmt: skip
        terms = [(g.order, self._as_wanted(policy, g, wanted)) for g in able]
        replace = [after for before, after in terms if after != before]
        self._canceling |= {g.order.id for g in cancel}
        return Changes(cancel=cancel, replace=replace, submit=submit)

    def _as_wanted(self, policy: Policy | None, guard: WorkingOrder, wanted: int) -> Order:
        """Return an order sized to what it protects; a trailing stop has followed the last close.

        One that shrinks stays where it is, and follows with the next look: no check may keep it too large.
        """
        order = structs.replace(guard.order, quantity=guard.filled + wanted)
        at = self._prices(order.instrument) if policy is not None and wanted >= guard.leaves else None
        return structs.replace(order, stop_price=policy.followed(order, at)) if policy is not None and at else order

    def _joinable(self, policy: Policy, there: list[WorkingOrder]) -> list[WorkingOrder]:
        """Return the orders that stay: without a stop, those of a group that had a fill make way, as none can join."""
        lacking = policy.distances.keys() - {g.order.purpose for g in there}
        spent = any(self._orders.is_spent(g.order.oca_group) for g in there)
        return [] if spent and Purpose.STOP_LOSS in lacking else there

    def _missing(self, policy: Policy, there: Sequence[WorkingOrder], want: Want, *, ts: int) -> list[Order]:
        """Return the orders of the policy that nothing stands for."""
        group = there[0].order.oca_group if there else None
        at = None if self._orders.is_spent(group) else self._prices(want.instrument)
        tries = (policy.orders(want.side, want.quantity, at, ts=ts, attempt=n) or () for n in range(_ATTEMPTS) if at)
        made: Sequence[Order] = next((t for t in tries if all(o.id not in self._orders for o in t)), ())
        return [
            structs.replace(order, oca_group=group or order.oca_group)
            for order in made
            if order.purpose not in {g.order.purpose for g in there}
        ]

    def _sized_by_broker(self, guard: Order, after: Order | None) -> bool:
        """Tell whether the broker sizes this order: its entry is open or just filled, or another of its group."""
        if after is not None and (guard.parent == after.id or guard.oca_group == after.oca_group):
            return True
        parent = None if guard.parent is None else self._orders.get(guard.parent)
        if parent is not None and parent.order.id in self._orders.open_ids:
            return True
        same = (w.order for w in self._orders.of(guard.instrument, guard.strategy))
        return any(o.oca_group == guard.oca_group and not o.purpose.protective for o in same)

    def _leaving(self, strategy: StrategyId, instrument: InstrumentId, position: int) -> int:
        """Return the units that open orders of no group are about to take off the position."""
        orders = self._orders.of(instrument, strategy)
        return sum(w.leaves for w in orders if w.order.side.sign * position < 0 and w.order.oca_group is None)

    def _guards(self, strategy: StrategyId, instrument: InstrumentId) -> Iterator[WorkingOrder]:
        return (w for w in self._orders.of(instrument, strategy) if w.order.purpose.protective)

    def _prices(self, instrument: InstrumentId) -> Prices | None:
        close = self._market.close(instrument)
        if close is None:
            return None
        known = self._market.instrument(instrument)
        return Prices(instrument=known, close=close, atr=self._market.atr(instrument))
