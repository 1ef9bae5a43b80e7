"""Worst-case exposures of the account and of every strategy, valued once an event and corrected order by order."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.model import InstrumentId, Order, Side, StrategyId
from robotrader.portfolio.ledger import Ledger
from robotrader.risk.exposure import ExposureBook
from robotrader.risk.facts import Budget, Exposures

Groups = tuple[str, ...]


class Exposed:
    """What all others have at stake while one order is judged.

    The books and open orders are walked through once an event; what a later order of the same event finds changed is
    only what the orders before it added.
    """

    def __init__(self, ledger: Ledger, orders: WorkingOrders, market: MarketFacts) -> None:
        self._ledger = ledger
        self._orders = orders
        self._market = market
        self._account = ExposureBook()
        self._strategies = ExposureBook()
        self._groups: dict[InstrumentId, Groups] = {}
        self._added: set[tuple[StrategyId, InstrumentId]] = set()

    def renew(self, groups: Mapping[str, Iterable[InstrumentId]]) -> None:
        """Value everything anew; `groups` are the members of each."""
        self._groups = {}
        for name, members in groups.items():
            for iid in members:
                self._groups[iid] = (*self._groups.get(iid, ()), name)
        self._account, self._strategies = ExposureBook(), ExposureBook()
        self._added = {(book.strategy, iid) for book in self._ledger.books for iid, _ in book.held()}
        self._added |= {(w.order.strategy, w.order.instrument) for w in self._orders.open_orders()}

    def of(self, order: Order) -> tuple[Exposures, Budget]:
        """Return what all other instruments, and the strategy's others, have at worst case."""
        for strategy, iid in self._added:
            self._put(strategy, iid)
        self._added = {(order.strategy, order.instrument)}
        iid, strategy = order.instrument, order.strategy
        book, strategies = self._ledger.book(strategy), self._strategies.without((strategy, iid), (strategy,))
        return self._account.without(iid, self._groups.get(iid, ())), Budget(
            allocated=book.capital, others=strategies.groups[0][1], all_others=strategies.gross,
            position=book.quantity(iid), open_buy=self._orders.open_quantity(iid, Side.BUY, strategy),
            open_sell=self._orders.open_quantity(iid, Side.SELL, strategy),
        )  # fmt: skip

    def _put(self, strategy: StrategyId, iid: InstrumentId) -> None:
        price = self._market.close(iid) or Decimal(0)  # never had a bar: then nothing can be decided on it either
        value, orders = price * self._market.instrument(iid).multiplier, self._orders
        sides = orders.open_quantity(iid, Side.BUY), orders.open_quantity(iid, Side.SELL)
        self._account.put(iid, (self._ledger.quantity(iid), *sides), value, self._groups.get(iid, ()))
        own = orders.open_quantity(iid, Side.BUY, strategy), orders.open_quantity(iid, Side.SELL, strategy)
        held = self._ledger.book(strategy).quantity(iid)
        self._strategies.put((strategy, iid), (held, *own), value, (strategy,))
