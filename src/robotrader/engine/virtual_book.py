"""A strategy's virtual book: a trader of its own, with the same gate, whose orders never leave the process."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import inf
from types import MappingProxyType

from msgspec import structs

from robotrader.engine.slippage import Slippages
from robotrader.engine.trader import Trader
from robotrader.engine.virtual_broker import VirtualBroker
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BarsClosed,
    BarSpec,
    BorrowReported,
    CorporateActionDue,
    Deny,
    HaltReported,
    Instrument,
    InstrumentId,
    LinkChanged,
    MarketDataReported,
    OrderType,
    Quote,
    RunStarted,
    SessionTable,
    Side,
    Stage,
    StrategyConfig,
    Submit,
    TimeInForce,
    VirtualTraded,
)
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue, VenueFill, VenueOrder
from robotrader.strategy.contract import SourceFactory

COMMISSION = "ibkr_fixed"
MODE = "shadow"
Heard = BarsClosed | CorporateActionDue | LinkChanged | HaltReported | BorrowReported | MarketDataReported
HEARD = (BarsClosed, CorporateActionDue, LinkChanged, HaltReported, BorrowReported, MarketDataReported)


class _QuotedVenue(Venue):
    """A venue where a market order fills at once at the quote on its other side, where there is one."""

    quotes: Mapping[InstrumentId, Quote] = MappingProxyType({})
    now = 0

    def place(self, order: VenueOrder) -> Sequence[VenueFill]:
        """Take an order; without a quote it waits for the next bar's open."""
        quote = self.quotes.get(order.instrument)
        price = 0.0 if quote is None else quote.ask if order.side is Side.BUY else quote.bid
        if order.type is not OrderType.MARKET or order.tif is TimeInForce.OPG or not 0 < price < inf:
            return super().place(order)
        return [self.settle(order, self._instruments[order.instrument].price(Decimal(repr(price))), self.now)]


class VirtualBook:
    """Play one strategy on live bars and quotes; what it does is told, and reaches no broker."""

    def __init__(self, source: SourceFactory) -> None:
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._trader = Trader(source)
        self._venue = _QuotedVenue(self._instruments, cost_model(COMMISSION))
        self._broker = VirtualBroker(self._trader, self._venue, keep=self._keep)
        self._sessions: SessionTable | None = None
        self._event: BarsClosed | None = None
        self._denied: list[str] = []
        self._told = 0
        self.slippages = Slippages()
        self.decided = self.refused = 0

    def begin(self, run: RunStarted, config: StrategyConfig) -> None:
        """Take over a run's configuration; the book goes on."""
        self._instruments.update({i.id: i for i in run.instruments})
        self._sessions = run.sessions
        limits = structs.replace(run.limits, what_if_equity_ratio=None)  # nobody could answer
        shadow = structs.replace(config, stage=Stage.SHADOW)
        self._trader.handle(structs.replace(run, strategies=(shadow,), limits=limits, mode=MODE, lifecycle=None))

    def handle(self, event: Heard) -> list[VirtualTraded]:
        """Take an event in, and return what the book did, if anything."""
        if isinstance(event, BarsClosed):
            self._on_bars(event)
        else:
            if isinstance(event, HaltReported):
                (self._venue.halted.add if event.halted else self._venue.halted.discard)(event.instrument)
            self._broker.carry_out(self._trader.handle(event), event.ts_event)
        return self._news(event)

    def _on_bars(self, event: BarsClosed) -> None:
        """Fill what waited at the open of these bars, end a session that they end, then decide on them."""
        self._event = event
        if event.bars and not event.warmup:
            spec = event.bars[0].spec
            session = self._sessions.next_session(event.ts_event - 1) if self._sessions else None
            opened = session[0] if session and spec is BarSpec.DAY else event.ts_event - spec.nanos
            self._broker.match(event.bars, opened)
            if spec is BarSpec.DAY or (session and event.ts_event >= session[1]):
                self._broker.expire(event.ts_event)
        self._venue.now = event.ts_event
        self._venue.quotes = {quote.instrument: quote for quote in event.quotes}
        self._broker.carry_out(self._trader.handle(event), event.ts_event)

    def _keep(self, command: AnyCommand) -> None:
        match command:
            case Submit(order=order) if self._event is not None:
                self.slippages.sent(order, self._event)
                self.decided += 1
            case Deny(verdict=verdict):
                self._denied.append(", ".join(verdict.reasons))
                self.decided += 1
                self.refused += 1
            case _:
                pass

    def _news(self, event: AnyEvent) -> list[VirtualTraded]:
        fills = tuple(self._broker.fills[self._told :])
        costs = sum((c.amount for c in self._broker.commissions[self._told :]), Decimal(0))
        for fill in fills:
            self.slippages.filled(fill)
        denied, self._denied, self._told = tuple(self._denied), [], len(self._broker.fills)
        if not fills and not denied:
            return []
        mark = self._trader.mark(event.ts_event)
        return [VirtualTraded(ts_event=event.ts_event, strategy=mark.books[0].strategy, fills=fills, commission=costs,
                              denied=denied, equity=mark.equity)]  # fmt: skip

    @property
    def profit(self) -> Decimal:
        """Return what the book made, at the last prices."""
        book = self._trader.mark(0)
        return book.equity - sum((b.capital for b in self._trader.ledger.books), Decimal(0))
