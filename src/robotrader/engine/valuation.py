"""What the books are worth, and what a risk check may know of one order."""

from decimal import Decimal

from msgspec import structs

from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.strategy_sizing import WHOLE, StrategySizing
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
from robotrader.portfolio.allocation import drawdown
from robotrader.portfolio.construction import buffered
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.sizing import SizingInputs, target_quantity
from robotrader.risk.facts import is_reducing


class Valuation:
    """The ledger at the last prices."""

    def __init__(self, ledger: Ledger, market: MarketFacts, orders: WorkingOrders) -> None:
        self._ledger = ledger
        self._market = market
        self._orders = orders
        self._equities: dict[StrategyId, Decimal] = {}
        self._peaks: dict[StrategyId, Decimal] = {}  # of the profit of those that are throttled

    def renew(self, *, warmup: bool = False) -> None:
        """Forget what books were worth for sizing: new bars have come."""
        self._equities.clear()
        for strategy in self._peaks if not warmup else ():
            self.drawdown(strategy)

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

    def drawdown(self, strategy: StrategyId) -> Decimal:
        """Return how far a book is below its peak, as a part of it; the peak is followed from the first call on."""
        capital = self._ledger.book(strategy).capital
        profit = self.book_equity(strategy) - capital
        peak = self._peaks[strategy] = max(self._peaks.get(strategy, Decimal(0)), profit)
        return drawdown(capital, peak, profit)

    def target(self, signal: Signal, rules: StrategySizing, price: Decimal) -> Target:
        """Size a strategy's view, and keep the numbers it was sized with."""
        iid, strategy = signal.instrument, signal.strategy
        size, sizing = self._size(signal, rules, price)
        if rules.throttle is not None:
            below = self.drawdown(strategy)
            factor = rules.throttle.factor(below)
            size *= factor
            sizing |= {"drawdown": f"{below:.6f}", "throttle": str(factor)}
        if rules.mandate is not WHOLE:
            size *= rules.mandate.share
            sizing |= {"share": str(rules.mandate.share)}
        quantity = target_quantity(signal.strength, size, self._market.instrument(iid).lot)
        if rules.buffer or rules.mandate.reduces:
            sizing["unbuffered"] = str(quantity)
            present = self._ledger.book(strategy).quantity(iid) + self._orders.net(strategy, iid)
            quantity = rules.mandate.bounded(buffered(quantity, present, rules.buffer), present)
        return Target(strategy=strategy, instrument=iid, ts_event=signal.ts_event, quantity=quantity, sizing=sizing)

    def _size(self, signal: Signal, rules: StrategySizing, price: Decimal) -> tuple[Decimal, dict[str, str]]:
        """Return the size for strength 1, and the numbers behind it."""
        iid, sizer = signal.instrument, rules.sizer
        if sizer.rule == "fixed":
            return sizer.value, {"sizer": sizer.text}
        equity = self.book_equity(signal.strategy)
        atr = self._market.atr(iid) if sizer.rule == "atr" else None
        returns = self._market.returns(iid) if sizer.needs_returns else None
        share = rules.share(iid, self._market) if sizer.constructs else None
        size = sizer.size(SizingInputs(
            equity=equity, price=price, multiplier=self._market.instrument(iid).multiplier, atr=atr, returns=returns,
            direction=1 if signal.strength >= 0 else -1, weight=Decimal(repr(share.weight)) if share else None,
        ))  # fmt: skip
        sizing = {"sizer": sizer.text, "equity": str(equity), "price": str(price), "atr": str(atr)}
        if sizer.needs_returns:
            sizing |= {name: str(returns and getattr(returns, name)) for name in ("mean", "volatility")}
        return size, sizing | share.numbers if share else sizing

    def equity(self) -> Decimal:
        """Return the sum over the books."""
        return sum((self._ledger.mark(book, self.price).equity for book in self._ledger.books), Decimal(0))

    def snapshot(
        self, order: Order, now: int, limits: RiskLimit, *, entry: Order | None = None, equity: Decimal = Decimal(0)
    ) -> PortfolioSnapshot:
        """Gather the account and the order's instrument at worst case; what no limit asks for is left out.

        `entry` is the order that fills before this one can: its units count as held. `equity` is that of all books.
        """
        iid = order.instrument
        opened = 0 if entry is None else entry.side.sign * entry.quantity
        seen = self._market.reference(iid, now)
        by_volume = limits.max_order_adv_ratio is not None or limits.max_position_adv_ratio is not None
        return PortfolioSnapshot(
            ts=now,
            instrument=self._market.instrument(iid),
            equity=equity,
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
