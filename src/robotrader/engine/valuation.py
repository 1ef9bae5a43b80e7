"""What the books are worth, and what a risk check may know of one order."""

from decimal import Decimal

from msgspec import structs

from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.model import (
    InstrumentId,
    InvariantViolation,
    Order,
    PortfolioMarked,
    PortfolioSnapshot,
    RiskLimit,
    Side,
    Signal,
    StrategyId,
    Target,
    WorkingOrder,
    money,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.sizing import Sizer, SizingInputs, target_quantity
from robotrader.risk.checks import is_reducing


class Valuation:
    """The ledger at the last prices."""

    def __init__(self, ledger: Ledger, market: MarketFacts, orders: WorkingOrders) -> None:
        self._ledger = ledger
        self._market = market
        self._orders = orders
        self._equities: dict[StrategyId, Decimal] = {}

    def renew(self) -> None:
        """Forget what books were worth for sizing: new bars have come."""
        self._equities.clear()

    def price(self, iid: InstrumentId) -> Decimal:
        """Return the last close.

        Raises
        ------
        InvariantViolation
            The instrument never had a bar: it cannot have been traded.
        """
        price = self._market.close(iid)
        if price is None:
            raise InvariantViolation(f"{iid} is held but never had a bar", instrument=iid)
        return price

    def book_equity(self, strategy: StrategyId) -> Decimal:
        """Return the strategy's cash plus the value of its positions, as it was first asked for at these bars."""
        equity = self._equities.get(strategy)
        if equity is None:
            equity = self._equities[strategy] = self._ledger.mark(self._ledger.book(strategy), self.price).equity
        return equity

    def target(self, signal: Signal, sizer: Sizer, price: Decimal) -> Target:
        """Size a strategy's view, and keep the numbers it was sized with."""
        iid = signal.instrument
        instrument = self._market.instrument(iid)
        if sizer.rule == "fixed":
            size, sizing = sizer.value, {"sizer": sizer.text}
        else:
            equity = self.book_equity(signal.strategy)
            atr = self._market.atr(iid) if sizer.rule == "atr" else None
            returns = self._market.returns(iid) if sizer.needs_returns else None
            size = sizer.size(SizingInputs(
                equity=equity, price=price, multiplier=instrument.multiplier, atr=atr, returns=returns,
                direction=1 if signal.strength >= 0 else -1,
            ))  # fmt: skip
            sizing = {"sizer": sizer.text, "equity": str(equity), "price": str(price), "atr": str(atr)}
            if sizer.needs_returns:
                sizing |= {name: str(returns and getattr(returns, name)) for name in ("mean", "volatility")}
        quantity = target_quantity(signal.strength, size, instrument.lot)
        return Target(strategy=signal.strategy, instrument=iid, ts_event=signal.ts_event, quantity=quantity,
                      sizing=sizing)  # fmt: skip

    def equity(self) -> Decimal:
        """Return the sum over the books."""
        return sum((self._ledger.mark(book, self.price).equity for book in self._ledger.books), Decimal(0))

    def snapshot(self, order: Order, now: int, limits: RiskLimit, *, entry: Order | None = None) -> PortfolioSnapshot:
        """Gather the account and the order's instrument at worst case; what no limit asks for is left out.

        `entry` is the order that fills before this one can: its units count as held.
        """
        iid = order.instrument
        opened = 0 if entry is None else entry.side.sign * entry.quantity
        seen = self._market.reference(iid, now)
        by_equity = limits.max_position_equity_ratio is not None or limits.max_order_equity_ratio is not None
        by_volume = limits.max_order_adv_ratio is not None
        return PortfolioSnapshot(
            ts=now,
            instrument=self._market.instrument(iid),
            equity=self.equity() if by_equity else Decimal(0),
            position=self._ledger.quantity(iid) + opened,
            open_buy=self._orders.open_quantity(iid, Side.BUY),
            open_sell=self._orders.open_quantity(iid, Side.SELL),
            last_close=self._market.close(iid),
            reference_price=seen and seen.price,
            reference_age_ns=seen and seen.age_ns,
            reference_spec_ns=seen and seen.spec_ns,
            average_daily_volume=self._market.average_daily_volume(iid) if by_volume else None,
        )

    def protects(self, working: WorkingOrder, limits: RiskLimit) -> bool:
        """Tell whether an open order only reduces the position (itself not counted as open)."""
        if working.order.purpose.protective:
            return True
        order = structs.replace(working.order, quantity=working.leaves)
        snapshot = self.snapshot(order, order.ts_event, limits)
        side = "open_buy" if order.side is Side.BUY else "open_sell"
        return is_reducing(order, structs.replace(snapshot, **{side: getattr(snapshot, side) - working.leaves}))

    def mark(self, ts: int) -> PortfolioMarked:
        """Return all books at the last prices, and their sums: the account."""
        books = tuple(self._ledger.mark(book, self.price) for book in self._ledger.books)
        exposure = self._ledger.exposure(self.price)

        def total(field: str) -> Decimal:
            return money(sum((getattr(b, field) for b in books), Decimal(0)))

        return PortfolioMarked(
            ts_event=ts, cash=total("cash"), equity=total("equity"), realized_pnl=total("realized_pnl"),
            unrealized_pnl=total("unrealized_pnl"), commission=total("commission"),
            gross=exposure.gross, net=exposure.net, books=books,
        )  # fmt: skip
