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
from robotrader.engine.virtual_broker import VirtualBroker
from robotrader.execution.fingerprint import fills_hash, orders_hash
from robotrader.model import (
    AnyCommand,
    Bar,
    BarsClosed,
    BarSpec,
    Commission,
    CorporateAction,
    CorporateActionBooked,
    Crossed,
    DataError,
    Deny,
    Fill,
    Instrument,
    Manifest,
    Order,
    PortfolioMarked,
    Resize,
    RiskLimit,
    RunStarted,
    StrategyConfig,
)
from robotrader.research.borrowing import Borrowing
from robotrader.research.quiet import QuietBars
from robotrader.simulation.venue import FillAt, Venue
from robotrader.strategy.contract import PrecomputedRows, SignalSource, strengths
from robotrader.strategy.loading import load_strategy

_OF_THE_ORDER = frozenset({
    "profile", "max_order_quantity", "max_order_notional", "max_order_equity_ratio", "min_order_notional",
    "price_collar_ratio", "fat_finger_ratio", "reference_max_age_bars", "duplicate_window_s", "allow_list",
    "messages_per_s", "messages_per_s_instrument", "bursts_per_s_strategy", "max_position_equity_ratio",
    "approvers", "max_open_orders", "max_open_orders_instrument", "self_trade_guard", "max_rejects_per_min",
})  # fmt: skip
"""Limits that are judged when an order is decided, on nothing but the books and the last bar."""

_REPORT_EVERY = 50_000


class BacktestResult(Struct, frozen=True, kw_only=True):
    """What a backtest did; `equity` is float64 of shape (n_bars,), at each row's end.

    `slippage_cost` is half the spread and impact; `assumptions` say what the run took for granted.
    """

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    commissions: tuple[Commission, ...]
    denied: tuple[Deny, ...]
    booked: tuple[CorporateActionBooked, ...] = ()
    commands: tuple[AnyCommand, ...] = ()
    final: PortfolioMarked
    equity: Any
    slippage_cost: Decimal
    borrow_cost: Decimal = Decimal(0)
    assumptions: dict[str, str] = {}
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
    borrow_rate: Decimal = Decimal(0),
    skip_quiet: bool = True,
    keep_commands: bool = False,
    revise: Callable[[Floats], Floats] | None = None,
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
    borrow_rate : Decimal
        What shorts pay a year (see `portfolio.short.borrow_fee`).
    skip_quiet : bool
        Hand only those bars to the trader that may matter (see `research.quiet`).
    keep_commands : bool
        Keep every command of the trader in the result, for comparison with another run.
    revise : callable, optional
        What a strategy's strengths become before they are traded: a delay, or no view outside a window.
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
    run = _Run(panel, venue, actions, borrow_rate=borrow_rate, keep_commands=keep_commands, revise=revise)
    run.trader.handle(_run_started(strategies, panel, limits))
    if skip_quiet and fill is FillAt.NEXT_OPEN and _can_skip(limits, strategies):
        run.woken(QuietBars(panel, run.trader, strategies), progress)
    else:
        run.every(always=fill is FillAt.THIS_CLOSE, progress=progress)
    return run.result(limits.profile, started)


def check_universe(strategies: Sequence[StrategyConfig], panel: Panel) -> None:
    """Raise for strategies that no backtest can play on this panel."""
    missing = {iid for config in strategies for iid in config.universe} - set(panel.ids)
    if missing:
        raise DataError(f"no data for {', '.join(sorted(missing))}; there is: {', '.join(panel.ids)}")


def _can_skip(limits: RiskLimit, strategies: Sequence[StrategyConfig]) -> bool:
    """Tell whether nothing but strengths, sizes, positions and open orders looks at a bar: most limits do."""
    followed = any(c.drawdown_throttle for c in strategies)
    static = all(getattr(limits, name) is None or name in _OF_THE_ORDER for name in limits.__struct_fields__)
    return static and not followed


def _run_started(strategies: Sequence[StrategyConfig], panel: Panel, limits: RiskLimit) -> RunStarted:
    return RunStarted(
        ts_event=0, ts_init=0, run_id="backtest", epoch=0, mode="backtest", account="", code_version="",
        strategies=tuple(strategies), instruments=panel.instruments, limits=limits,
    )  # fmt: skip


class _Run:
    """One pass over a panel: carries commands to the venue and its answers back."""

    def __init__(
        self, panel: Panel, venue: Venue, actions: Sequence[CorporateAction], *, borrow_rate: Decimal,
        keep_commands: bool, revise: Callable[[Floats], Floats] | None,
    ) -> None:  # fmt: skip
        self._revise = revise
        self._commands: list[AnyCommand] | None = [] if keep_commands else None
        self.panel = panel
        self.venue = venue
        self._wakes = np.zeros(len(panel), dtype=np.bool_)
        self.trader = Trader(self._source)
        self.broker = VirtualBroker(self.trader, venue, keep=self._keep)
        symbols = {i.symbol for i in panel.instruments}
        self._actions = tuple(a for a in actions if {a.symbol, a.successor or a.symbol} <= symbols)
        self._agenda: Agenda | None = None
        if self._actions and len(panel):
            first = int(panel.opened[0])
            self._agenda = Agenda(lambda: self._actions, self.trader.ledger, panel.instruments, since=first)
            rows = np.searchsorted(panel.opened, [max(a.ex_at, a.known_at) for a in self._actions])
            self._wakes[[row for at in rows.tolist() for row in (at - 1, at) if 0 <= row < len(panel)]] = True
        self._borrowing = Borrowing(panel, borrow_rate, self.trader.ledger) if borrow_rate else None
        self._booked: list[CorporateActionBooked] = []
        self._noted = 0
        self._denied: list[Deny] = []
        self._changes: list[tuple[int, float, tuple[int, ...]]] = []

    def _source(self, config: StrategyConfig, instruments: tuple[Instrument, ...]) -> tuple[Manifest, SignalSource]:
        strategy = load_strategy(config.source, config.parameters)
        seen = self.panel.columns(tuple(i.id for i in instruments))
        if self._actions and len(seen):
            seen = adjust(seen, self._actions, int(seen.ts[-1]), Adjust.SPLITS)
        rows = strengths(strategy, seen)
        rows = self._revise(rows) if self._revise else rows
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

    def woken(self, quiet: QuietBars, progress: Callable[[int], None] | None) -> None:
        """Hand over only the rows at which something looks: wakes, what they look back at, rows with open orders."""
        self._wakes[-1:] = True
        done = -1
        for wake in np.flatnonzero(quiet.looked_at(self._wakes)).tolist():
            while self._busy and done + 1 < wake and (rows := quiet.next_rows(done, wake)):
                for row in rows:
                    self._step(row, self.panel.cross_section(row), always=False)
                done = rows[-1]
            done = wake
            self._step(wake, self.panel.cross_section(wake), always=False)
            if progress is not None:
                progress(wake)

    @property
    def _busy(self) -> bool:
        """Tell whether the next row matters whatever the strengths do; what protects a position rests at the venue."""
        return not self.venue.idle or self.trader.retrying

    def _step(self, row: int, section: tuple[int, int, tuple[Bar, ...]], *, always: bool) -> None:
        opened, ts, bars = section
        for at, fee in self._borrowing.due(row) if self._borrowing else ():
            self.trader.handle(fee)
            self._note(at)
        for event in self._agenda.due(opened) if self._agenda else ():
            self.broker.carry_out(self.trader.handle(event), opened)
            self._note(row)
        if always or not self.venue.idle:
            self.broker.match(bars, opened)
            if self.panel.spec is BarSpec.DAY and not self.venue.idle:
                self.broker.expire(ts)
        commands = self.trader.handle(BarsClosed(ts_event=ts, ts_init=ts, bars=bars))
        if commands:
            self.broker.carry_out(commands, ts)
        if self._noted != len(self.broker.fills):
            self._note(row)
            self._noted = len(self.broker.fills)

    def _keep(self, command: AnyCommand) -> None:
        """Keep for the result what was decided."""
        if self._commands is not None:
            self._commands.append(command)
        match command:
            case Deny():
                self._denied.append(command)
            case CorporateActionBooked():
                self._booked.append(command)
            case Crossed(fills=fills):
                self.broker.fills.extend(fills)
            case _:
                pass

    def _note(self, row: int) -> None:
        """Remember cash and units after a change, for the equity curve."""
        ledger = self.trader.ledger
        cash = float(sum((b.cash for b in ledger.books), Decimal(0)))
        self._changes.append((row, cash, tuple(ledger.quantity(i) for i in self.panel.ids)))

    def result(self, profile: str, started: float) -> BacktestResult:
        """Close the books."""
        end = int(self.panel.ts[-1]) if len(self.panel) else 0
        capital = float(sum((b.capital for b in self.trader.ledger.books), Decimal(0)))
        return BacktestResult(
            orders=tuple(self.broker.orders.values()), fills=tuple(self.broker.fills),
            commissions=tuple(self.broker.commissions),
            denied=tuple(self._denied), booked=tuple(self._booked),
            commands=tuple(self._commands or ()), final=self.trader.mark(end),
            equity=_equity(self.panel, capital, self._changes),
            slippage_cost=self.venue.slippage_cost, limits=profile, seconds=time.perf_counter() - started,
            borrow_cost=self._borrowing.total if self._borrowing else Decimal(0),
        )  # fmt: skip


def _equity(panel: Panel, capital: float, changes: Sequence[tuple[int, float, tuple[int, ...]]]) -> Floats:
    """Rebuild the equity at each row's end from what changed: float64, a projection of the exact ledger.

    `changes`: row, cash and units of each instrument after it.
    """
    rows = np.array([0] + [c[0] for c in changes], dtype=np.int64)
    cash = np.array([capital] + [c[1] for c in changes])
    held = np.array([(0,) * len(panel.ids)] + [c[2] for c in changes], dtype=np.float64)
    last = np.searchsorted(rows, np.arange(len(panel)), side="right") - 1
    value = cash[last]
    for k, instrument in enumerate(panel.instruments):
        value += held[last, k] * _forward_filled(panel.close[:, k]) * float(instrument.multiplier)
    return value


def _forward_filled(column: Floats) -> Floats:
    """Return the column with each NaN replaced by the last value before it; 0 before the first."""
    known = ~np.isnan(column)
    last = np.maximum.accumulate(np.where(known, np.arange(len(column)), -1))
    return np.where(last >= 0, column[np.maximum(last, 0)], 0.0)
