"""What a worksheet holds, and how it is played."""

from decimal import Decimal
from pathlib import Path

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, CorporateAction, Instrument, StrategyConfig, StrategyId
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.impact import Impact
from robotrader.simulation.venue import FillAt, Venue
from tests import builders as make

D = Decimal
NAN = float("nan")
CAPITAL = D(100_000)
SCRIPTED = f"{Path(__file__).parent / 'scripted.py'}:Scripted"
_MINUTE = 60 * 10**9

Row = tuple[float, ...]
"""Open, high, low, close and, where it is not a million, volume."""


class Sheet(Struct, frozen=True, kw_only=True):
    """A market, what the strategy says, and what must come of it.

    `views`: strength by row. `fills`: `ROW MOMENT SIDE QUANTITY PRICE FEE`, the moment `o` the open of the bar, `c`
    its close (also of what happens within it). `cash`: what was booked, in order, as a sum. `close_early`: a row whose
    session is that many hours shorter.
    """

    name: str
    bars: tuple[Row, ...]
    views: dict[int, float]
    fills: tuple[str, ...]
    cash: str
    held: int = 0
    orders: int | None = None
    sizer: str = "fixed:100"
    costs: str = "none"
    bps: str = "0"
    fill: FillAt = FillAt.NEXT_OPEN
    participation: float | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    time_exit: str | None = None
    borrow: str = "0"
    impact: str = "0"
    actions: tuple[CorporateAction, ...] = ()
    minutes: bool = False
    close_early: dict[int, int] = {}
    instrument: Instrument = make.SPY

    @property
    def panel(self) -> Panel:
        """Return the market."""
        rows = np.array([(*row, 1e6)[:5] for row in self.bars])
        step, length = (_MINUTE, _MINUTE) if self.minutes else (make.DAY, make.SESSION)
        ts = make.T0 + step * np.arange(len(rows), dtype=np.int64)
        opened = ts - length
        for row, hours in self.close_early.items():
            ts[row] -= hours * 60 * _MINUTE
        o, h, lo, c, v = (rows[:, k : k + 1] for k in range(5))
        return Panel(instruments=(self.instrument,), spec=BarSpec.MINUTE if self.minutes else BarSpec.DAY,
                     opened=opened, ts=ts, open=o, high=h, low=lo, close=c, volume=v)  # fmt: skip

    @property
    def config(self) -> StrategyConfig:
        """Return the strategy that says what the sheet tells it to."""
        return StrategyConfig(
            id=StrategyId("scripted"), source=SCRIPTED, universe=(self.instrument.id,), capital=CAPITAL,
            sizer=self.sizer, parameters={f"r{row}": view for row, view in self.views.items()},
            stop_loss=self.stop_loss, take_profit=self.take_profit, time_exit=self.time_exit,
        )  # fmt: skip


def play(sheet: Sheet, *, skip_quiet: bool = True) -> BacktestResult:
    """Run the event engine over a sheet."""
    panel = sheet.panel
    impact = Impact(panel, D(sheet.impact)) if D(sheet.impact) else None
    venue = Venue({sheet.instrument.id: sheet.instrument}, cost_model(sheet.costs), fill=sheet.fill,
                  half_spread_bps=D(sheet.bps), participation=sheet.participation, impact=impact)  # fmt: skip
    return run_backtest([sheet.config], panel, venue, limits=RESEARCH, fill=sheet.fill, actions=sheet.actions,
                        borrow_rate=D(sheet.borrow), skip_quiet=skip_quiet)  # fmt: skip


def shown(sheet: Sheet, result: BacktestResult) -> tuple[str, ...]:
    """Return the fills as a sheet writes them."""
    panel, lines = sheet.panel, []
    moments = {int(ts): f"{row}c" for row, ts in enumerate(panel.ts)}
    moments |= {int(ts): f"{row}o" for row, ts in enumerate(panel.opened) if int(ts) not in moments or sheet.minutes}
    closes = {int(ts): f"{row}c" for row, ts in enumerate(panel.ts)}
    for fill, paid in zip(result.fills, result.commissions, strict=True):
        at = closes[fill.ts_event] if sheet.fill is not FillAt.NEXT_OPEN else moments[fill.ts_event]
        lines.append(f"{at} {fill.side} {fill.quantity} {fill.price} {paid.amount.normalize():f}")
    return tuple(lines)
