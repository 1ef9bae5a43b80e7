"""A backtest: the same trader as live, fed with recorded bars, filled by the simulated venue."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec import Struct

from robotrader.data.adjust import Adjust, adjust
from robotrader.data.panel import Floats, Panel
from robotrader.engine.agenda import Agenda
from robotrader.engine.trader import Trader
from robotrader.execution.fingerprint import fills_hash, orders_hash
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    Bar,
    BarsClosed,
    BarSpec,
    Cancel,
    Commission,
    CommissionReported,
    ConfigError,
    CorporateAction,
    CorporateActionBooked,
    DataError,
    Deny,
    Fill,
    Instrument,
    Manifest,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderId,
    OrderSending,
    PortfolioMarked,
    Resize,
    RiskLimit,
    RunStarted,
    StrategyConfig,
    Submit,
)
from robotrader.portfolio.sizing import parse_sizer
from robotrader.simulation.venue import FillAt, Venue, VenueFill, VenueOrder
from robotrader.strategy.contract import PrecomputedRows, SignalSource, strengths
from robotrader.strategy.loading import load_strategy

_REPORT_EVERY = 50_000


class BacktestResult(Struct, frozen=True, kw_only=True):
    """What a backtest did; `equity` is float64 of shape (n_bars,), at each row's end."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    commissions: tuple[Commission, ...]
    denied: tuple[Deny, ...]
    booked: tuple[CorporateActionBooked, ...] = ()
    commands: tuple[AnyCommand, ...] = ()
    final: PortfolioMarked
    equity: Any
    slippage_cost: Decimal
    seconds: float
    limits: str
    engine: str = "event"

    @property
    def orders_hash(self) -> str:
        """Return the hash of the orders sent."""
        return orders_hash(self.orders)

    @property
    def fills_hash(self) -> str:
        """Return the hash of the fills."""
        return fills_hash(self.fills)


def run_backtest(
    strategies: Sequence[StrategyConfig],
    panel: Panel,
    venue: Venue,
    *,
    limits: RiskLimit,
    fill: FillAt = FillAt.NEXT_OPEN,
    actions: Sequence[CorporateAction] = (),
    skip_quiet: bool = True,
    keep_commands: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BacktestResult:
    """Run strategies over a panel and return what they did.

    Parameters
    ----------
    venue : Venue
        Made with the same `fill`; holds costs and slippage.
    actions : sequence of CorporateAction
        What happened to these instruments where the panel's prices are raw: booked before the open of the ex date;
        strategies see prices without splits. A symbol change into what the panel does not hold is left out.
    skip_quiet : bool
        Hand only those bars to the trader at which a strength changes or an order is open; a property
        test holds the result equal to handing over every bar.
    keep_commands : bool
        Keep every command of the trader in the result, for comparison with another run.
    progress : callable, optional
        Called with the number of rows done, every 50,000 rows.

    Raises
    ------
    ConfigError, StrategyError
        A strategy cannot be loaded, or breaks its contract.
    DataError
        A strategy trades an instrument that the panel does not hold.
    """
    check_universe(strategies, panel)
    started = time.perf_counter()
    run = _Run(panel, venue, actions, keep_commands=keep_commands)
    run.trader.handle(_run_started(strategies, panel, limits))
    if skip_quiet and fill is FillAt.NEXT_OPEN and _can_skip(strategies, panel, limits):
        run.woken(progress)
    else:
        run.every(always=fill is FillAt.THIS_CLOSE, progress=progress)
    return run.result(limits.profile, started)


def check_universe(strategies: Sequence[StrategyConfig], panel: Panel) -> None:
    """Raise for strategies that no backtest can play on this panel."""
    missing = {iid for config in strategies for iid in config.universe} - set(panel.ids)
    if missing:
        raise DataError(f"no data for {', '.join(sorted(missing))}; there is: {', '.join(panel.ids)}")
    if any(s.stop_loss or s.take_profit for s in strategies):
        raise ConfigError("a backtest cannot play stop_loss and take_profit orders yet: take them out of the strategy")


def _can_skip(strategies: Sequence[StrategyConfig], panel: Panel, limits: RiskLimit) -> bool:
    """Tell whether nothing but strengths and open orders looks at a bar.

    ATR, average volume, the split guard and a last price carried over missing bars need every bar.
    """
    history = limits.max_order_adv_ratio is not None or limits.split_guard_ratio is not None
    history = history or any(parse_sizer(s.sizer).needs_atr for s in strategies)
    return not history and not bool(np.isnan(panel.close).any())


def _run_started(strategies: Sequence[StrategyConfig], panel: Panel, limits: RiskLimit) -> RunStarted:
    return RunStarted(
        ts_event=0, ts_init=0, run_id="backtest", epoch=0, mode="backtest", account="", code_version="",
        strategies=tuple(strategies), instruments=panel.instruments, limits=limits,
    )  # fmt: skip


class _Run:
    """One pass over a panel: carries commands to the venue and its answers back."""

    def __init__(self, panel: Panel, venue: Venue, actions: Sequence[CorporateAction], *, keep_commands: bool) -> None:
        self._commands: list[AnyCommand] | None = [] if keep_commands else None
        self.panel = panel
        self.venue = venue
        self._wakes = np.zeros(len(panel), dtype=np.bool_)
        self.trader = Trader(self._source)
        symbols = {i.symbol for i in panel.instruments}
        self._actions = tuple(a for a in actions if {a.symbol, a.successor or a.symbol} <= symbols)
        self._agenda: Agenda | None = None
        if self._actions and len(panel):
            first = int(panel.opened[0])
            self._agenda = Agenda(lambda: self._actions, self.trader.ledger, panel.instruments, since=first)
            rows = np.searchsorted(panel.opened, [max(a.ex_at, a.known_at) for a in self._actions])
            self._wakes[[row for at in rows.tolist() for row in (at - 1, at) if 0 <= row < len(panel)]] = True
        self._booked: list[CorporateActionBooked] = []
        self._orders: dict[str, Order] = {}
        self._fills: list[Fill] = []
        self._commissions: list[Commission] = []
        self._denied: list[Deny] = []
        self._changes: list[tuple[int, float, tuple[int, ...]]] = []
        self._sent = 0

    def _source(self, config: StrategyConfig, instruments: tuple[Instrument, ...]) -> tuple[Manifest, SignalSource]:
        strategy = load_strategy(config.source, config.parameters)
        seen = self.panel.columns(tuple(i.id for i in instruments))
        if self._actions and len(seen):
            seen = adjust(seen, self._actions, int(seen.ts[-1]), Adjust.SPLITS)
        rows = strengths(strategy, seen)
        source = PrecomputedRows(rows, self.panel.ts)
        every_view = (config.resize or strategy.manifest.resize) is Resize.EVERY_BAR
        self._wakes |= source.wakes(every_view=every_view)
        return strategy.manifest, source

    def every(self, *, always: bool, progress: Callable[[int], None] | None) -> None:
        """Hand every row to the trader; `always`: the venue, too, sees every bar."""
        for row, section in enumerate(self.panel.cross_sections()):
            self._step(row, section, always=always)
            if progress is not None and row % _REPORT_EVERY == 0:
                progress(row)

    def woken(self, progress: Callable[[int], None] | None) -> None:
        """Hand over only the rows at which something looks: wakes, and the rows after an order."""
        wakes = np.nonzero(self._wakes)[0].tolist()
        done = -1
        for wake in wakes:
            while self._busy and done + 1 < wake:
                done += 1
                self._step(done, self.panel.cross_section(done), always=False)
            self._step(wake, self.panel.cross_section(wake), always=False)
            done = wake
            if progress is not None:
                progress(wake)
        while self._busy and done + 1 < len(self.panel):
            done += 1
            self._step(done, self.panel.cross_section(done), always=False)
        if len(self.panel) and done < len(self.panel) - 1:
            self._step(len(self.panel) - 1, self.panel.cross_section(len(self.panel) - 1), always=False)

    @property
    def _busy(self) -> bool:
        """Tell whether the next row matters whatever the strengths do."""
        return not self.venue.idle or self.trader.retrying

    def _step(self, row: int, section: tuple[int, int, tuple[Bar, ...]], *, always: bool) -> None:
        opened, ts, bars = section
        for event in self._agenda.due(opened) if self._agenda else ():
            self.carry_out(self.trader.handle(event), row, opened)
            self._note(row)
        if always or not self.venue.idle:
            self.match(bars, row, opened)
            if self.panel.spec is BarSpec.DAY and not self.venue.idle:
                self.expire(ts)
        commands = self.trader.handle(BarsClosed(ts_event=ts, ts_init=ts, bars=bars))
        if commands:
            self.carry_out(commands, row, ts)

    def match(self, bars: Sequence[Bar], row: int, opened: int) -> None:
        """Let the venue see the bars and book what fills."""
        for bar in bars:
            for hit in self.venue.on_bar(bar, opened):
                self._book(hit, row)

    def expire(self, ts: int) -> None:
        """End a session: DAY orders that are still open expire."""
        for key in self.venue.end_session(ts):
            self._tell(OrderExpired(ts_event=ts, ts_init=ts, order_id=OrderId(key)))

    def carry_out(self, commands: Sequence[AnyCommand], row: int, ts: int) -> None:
        """Carry out the core's commands."""
        if self._commands is not None:
            self._commands.extend(commands)
        for command in commands:
            match command:
                case Submit():
                    self._submit(command.order, row, ts)
                case Cancel():
                    if self.venue.cancel(command.order_id):
                        self._tell(OrderCanceled(ts_event=ts, ts_init=ts, order_id=command.order_id))
                case Deny():
                    self._denied.append(command)
                case CorporateActionBooked():
                    self._booked.append(command)
                case _:
                    pass

    def _submit(self, order: Order, row: int, ts: int) -> None:
        self._sent += 1
        self._orders[order.id] = order
        self._tell(OrderSending(ts_event=ts, ts_init=ts, order_id=order.id, epoch=0, broker_order_id=self._sent))
        self._tell(OrderAccepted(ts_event=ts, ts_init=ts, order_id=order.id, perm_id=self._sent))
        for hit in self.venue.place(venue_order(order)):
            self._book(hit, row)

    def _book(self, hit: VenueFill, row: int) -> None:
        fill = own_fill(hit, self._orders[hit.key])
        commission = Commission(exec_id=fill.exec_id, revision=1, amount=hit.commission)
        self._fills.append(fill)
        self._commissions.append(commission)
        self._tell(OrderFilled(ts_event=hit.ts, ts_init=hit.ts, fill=fill))
        self._tell(CommissionReported(ts_event=hit.ts, ts_init=hit.ts, commission=commission))
        self._note(row)

    def _note(self, row: int) -> None:
        """Remember cash and units after a change, for the equity curve."""
        ledger = self.trader.ledger
        cash = float(sum((b.cash for b in ledger.books), Decimal(0)))
        self._changes.append((row, cash, tuple(ledger.quantity(i) for i in self.panel.ids)))

    def _tell(self, event: AnyEvent) -> None:
        commands = self.trader.handle(event)
        if commands:
            self.carry_out(commands, len(self.panel) - 1, event.ts_event)

    def result(self, profile: str, started: float) -> BacktestResult:
        """Close the books."""
        end = int(self.panel.ts[-1]) if len(self.panel) else 0
        return BacktestResult(
            orders=tuple(self._orders.values()), fills=tuple(self._fills), commissions=tuple(self._commissions),
            denied=tuple(self._denied), booked=tuple(self._booked),
            commands=tuple(self._commands or ()), final=self.trader.mark(end), equity=self._equity(),
            slippage_cost=self.venue.slippage_cost, seconds=time.perf_counter() - started, limits=profile,
        )  # fmt: skip

    def _equity(self) -> Floats:
        """Rebuild the equity at each row's end from what changed: float64, a projection of the exact ledger."""
        capital = float(sum((b.capital for b in self.trader.ledger.books), Decimal(0)))
        rows = np.array([0] + [c[0] for c in self._changes], dtype=np.int64)
        cash = np.array([capital] + [c[1] for c in self._changes])
        held = np.array([(0,) * len(self.panel.ids)] + [c[2] for c in self._changes], dtype=np.float64)
        last = np.searchsorted(rows, np.arange(len(self.panel)), side="right") - 1
        value = cash[last]
        for k, instrument in enumerate(self.panel.instruments):
            value += held[last, k] * _forward_filled(self.panel.close[:, k]) * float(instrument.multiplier)
        return value


def _forward_filled(column: Floats) -> Floats:
    """Return the column with each NaN replaced by the last value before it; 0 before the first."""
    known = ~np.isnan(column)
    last = np.maximum.accumulate(np.where(known, np.arange(len(column)), -1))
    return np.where(last >= 0, column[np.maximum(last, 0)], 0.0)


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
