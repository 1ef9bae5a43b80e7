"""Opposite orders of several strategies meet inside, before the broker sees any: book entries at the last close."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain

from robotrader.engine.submission import Submission
from robotrader.model import (
    CROSSED_PREFIX,
    Crossed,
    Event,
    Fill,
    InstrumentId,
    Order,
    OrderId,
    RiskCheck,
    Side,
    Stage,
    StrategyConfig,
    StrategyId,
)
from robotrader.portfolio.crossing import Transfer, cross
from robotrader.portfolio.ledger import Ledger

_OUTSIDE = frozenset({
    RiskCheck.MIN_ORDER_NOTIONAL, RiskCheck.PRICE_GRID, RiskCheck.MESSAGE_RATE, RiskCheck.REPEATED_EXECUTION,
    RiskCheck.OPEN_ORDERS, RiskCheck.BUYING_POWER, RiskCheck.POSITION_LIMIT, RiskCheck.LULD, RiskCheck.SESSION,
    RiskCheck.BORROW, RiskCheck.SHORT_PRICE_TEST, RiskCheck.EXPOSURE, RiskCheck.GROUP_EXPOSURE, RiskCheck.SELF_TRADE,
    RiskCheck.ORDER_EFFICIENCY,
})  # fmt: skip
"""What only an order at the broker, or a change of what the account holds, can break."""


class Crossing:
    """Cross what strategies of one stage want of one instrument at one time, where each of them may trade."""

    def __init__(self, ledger: Ledger, submission: Submission) -> None:
        self._ledger = ledger
        self._submission = submission
        self.stages: dict[StrategyId, Stage] = {}
        self._crossed: dict[tuple[StrategyId, InstrumentId], tuple[int, str]] = {}

    def configure(self, strategies: Iterable[StrategyConfig]) -> None:
        """Take over the stages of a run's strategies: paper money and real money never meet."""
        self.stages = {config.id: config.stage for config in strategies}

    def meet(self, orders: Iterable[tuple[Order, Decimal]], event: Event) -> list[Crossed]:
        """Book what can be crossed of these orders, each with its instrument's last close.

        An order takes part if the gate finds nothing against it but what concerns the market or the whole account;
        what is left of one is planned anew against the new position, and checked as a whole.
        """
        groups: defaultdict[tuple[InstrumentId, Stage, Decimal], list[Order]] = defaultdict(list)
        for order, price in orders:
            groups[order.instrument, self.stages[order.strategy], price].append(order)
        return [
            crossed
            for (_, _, price), group in groups.items()
            if len({order.side for order in group}) > 1
            and (crossed := self._cross(self._submission.free(group, event, but=_OUTSIDE), price, event)) is not None
        ]

    def reasons(self, strategy: StrategyId, instrument: InstrumentId, ts: int) -> dict[str, str]:
        """Return what a decision at that time met inside: signed units and the price; empty where it met nothing."""
        at, text = self._crossed.get((strategy, instrument), (0, ""))
        return {"crossed": text} if at == ts else {}

    def _cross(self, orders: Sequence[Order], price: Decimal, event: Event) -> Crossed | None:
        by_strategy = {order.strategy: order for order in orders}
        wanted = {name: order.side.sign * order.quantity for name, order in by_strategy.items()}
        entries = (_entries(one, by_strategy, event.ts_event) for one in cross(wanted, price))
        fills = tuple(chain.from_iterable(entries))
        for fill in fills:
            self._ledger.apply(fill)
        for name in {fill.strategy for fill in fills}:
            units = sum(fill.side.sign * fill.quantity for fill in fills if fill.strategy == name)
            self._crossed[name, orders[0].instrument] = event.ts_event, f"{units:+d} at {price}"
        return Crossed(ts_event=event.ts_event, instrument=orders[0].instrument, fills=fills) if fills else None


def _entries(one: Transfer, orders: dict[StrategyId, Order], ts: int) -> tuple[Fill, Fill]:
    """Return both sides of a transfer; the ids name the two decisions that it comes of."""
    buy, sell = orders[one.buyer], orders[one.seller]
    bought, sold = (
        Fill(exec_id=f"{CROSSED_PREFIX}{mine.id}-{other.id}", revision=1, order_id=OrderId(CROSSED_PREFIX + mine.id),
             strategy=mine.strategy, instrument=mine.instrument, side=side, quantity=one.quantity, price=one.price,
             ts_event=ts)
        for mine, other, side in ((buy, sell, Side.BUY), (sell, buy, Side.SELL))
    )  # fmt: skip
    return bought, sold
