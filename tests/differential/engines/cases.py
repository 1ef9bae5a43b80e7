"""What is compared: strategies on data, played by our engines, and the same wants as jobs for the others."""

from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robotrader import bootstrap
from robotrader.data.panel import PRICES, Floats, Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import Resize, StrategyConfig, StrategyId
from robotrader.portfolio.sizing import parse_sizer
from robotrader.strategy.contract import strengths
from robotrader.strategy.loading import load_strategy
from tests.differential.engines.drivers.exchange import Fills, Job, merged

OWN = Path(__file__).with_name("strategies.py")
FEE_BPS = 10
FILLS = ("next_open", "this_close", "next_close")


class Case(NamedTuple):
    """A strategy on data; `ends_deciding`: the data end at the last row at which something is decided."""

    strategy: str
    data: str
    sizer: str = "fixed:100"
    parameters: dict[str, int | float] = {}  # noqa: RUF012 - never changed
    averages: tuple[int, int] | None = None
    ends_deciding: bool = False
    cash: int = 100_000

    @property
    def name(self) -> str:
        """Return what the table calls it."""
        extra = ", own averages" * bool(self.averages) + ", ends deciding" * self.ends_deciding
        return f"{self.strategy} {'/'.join(map(str, self.parameters.values()))}, {self.data}, {self.sizer}{extra}"


_SMA: dict[str, int | float] = {"fast": 10, "slow": 50}
CASES = (
    *(Case("sma_crossover", symbol, parameters=_SMA) for symbol in ("AAPL", "IBM", "MSFT", "GOOG")),
    *(Case("Donchian", symbol, parameters={"length": 20}) for symbol in ("AAPL", "IBM", "MSFT", "GOOG")),
    *(Case("Reversion", symbol, "percent:0.5", {"length": 10}) for symbol in ("AAPL", "IBM", "MSFT", "GOOG")),
    *(Case("Ladder", symbol, "fixed:300", {"length": 60}) for symbol in ("AAPL", "IBM", "MSFT", "GOOG")),
    Case("sma_crossover", "seeded:AAA", "all_in", _SMA),
    Case("Reversion", "seeded:BBB", "all_in", {"length": 5}),
    Case("Hold", "seeded:AAA", parameters={"length": 1}),
    Case("Hold", "IBM", "all_in", {"length": 1}),
    Case("momentum", "all", "percent:0.4", {"lookback": 126, "top": 2}),
    Case("momentum", "seeded:all", "percent:0.45", {"lookback": 60, "top": 2}),
    Case("Donchian", "seeded:CCC", parameters={"length": 40}, ends_deciding=True),
    Case("sma_crossover", "seeded:BBB", "percent:0.5", _SMA, ends_deciding=True),
    Case("sma_crossover", "seeded:AAA", "fixed:1500", _SMA, cash=200_000),
    Case("sma_crossover", "seeded:CCC", "fixed:300000", _SMA, cash=200_000_000),
    *(Case("sma_crossover", symbol, parameters=_SMA, averages=(10, 50)) for symbol in ("IBM", "seeded:AAA")),
)  # fmt: skip


@cache
def panel_of(data: str) -> Panel:
    """Return the bars, prices in whole cents: the grid that all engines share."""
    kind, _, symbol = data.rpartition(":")
    if kind:
        whole = generate(SeedSpec(seed=11), bootstrap.sessions("2010-01-01", "2021-01-01"))
        return whole.columns(tuple(i.id for i in whole.instruments if symbol in ("all", i.symbol)))
    start = "2004-08-20" if symbol == "all" else None  # GOOG's second session
    panel = bootstrap.load_data(f"sample:{symbol}", start=start, state=Path()).panel
    return replace(panel, **{name: getattr(panel, name).round(2) for name in PRICES})


class Played(NamedTuple):
    """A case as data: the panel to its end, our configuration, and the wants (see `Job`)."""

    panel: Panel
    config: StrategyConfig
    wants: Floats

    def job(self, case: Case, fill: str) -> Job:
        """Return what the other engines are given."""
        panel, sizer = self.panel, parse_sizer(self.config.sizer)
        return Job(
            key=f"{CASES.index(case):02d}-{fill}", fill=fill, cash=float(case.cash), fee=FEE_BPS / 10_000,
            shares=sizer.rule != "fixed", averages=case.averages, units=int(sizer.value), symbols=list(panel.ids),
            ts=panel.ts, open=panel.open, high=panel.high, low=panel.low, close=panel.close, volume=panel.volume,
            wants=self.wants,
        )  # fmt: skip


def prepared(case: Case) -> Played:
    """Compute the wants: targets in units, or shares of the equity, where a strength changes (or is repeated)."""
    panel = panel_of(case.data)
    config = StrategyConfig(
        id=StrategyId("compared"), source=f"{OWN}:{case.strategy}" if case.strategy[0].isupper() else case.strategy,
        universe=panel.ids, capital=Decimal(case.cash), sizer=case.sizer, parameters=case.parameters,
    )  # fmt: skip
    strategy, sizer = load_strategy(config.source, config.parameters), parse_sizer(config.sizer)
    seen = strengths(strategy, panel)
    if strategy.manifest.resize is Resize.ON_CHANGE:
        for column in seen.T:
            rows = np.flatnonzero(~np.isnan(column))
            column[rows[1:][np.diff(column[rows]) == 0]] = np.nan
    wants = seen * float(sizer.value)
    if sizer.rule == "fixed":
        wants = np.trunc(wants)
    end = len(panel)
    if case.ends_deciding:
        end = int(np.flatnonzero(~np.isnan(wants).all(axis=1))[-1]) + 1
    return Played(panel.rows(0, end), config, wants[:end])


def ours(played: Played, fill: str, engine: str) -> tuple[Fills, float]:
    """Play a case on one of our engines under the rules that all share: costs in bps, no spread, no limits."""
    costs = bootstrap.Costs(commission=f"bps:{FEE_BPS}", half_spread_bps=Decimal(0), fill=fill)
    found: Any = bootstrap.backtest((played.config,), played.panel, costs=costs, engine=engine)
    ids, ts = played.panel.ids, played.panel.ts
    fills = [(int(np.searchsorted(ts, f.ts_event)), ids.index(f.instrument), f.side.sign * f.quantity, float(f.price))
             for f in found.fills]  # fmt: skip
    return merged(fills), float(found.final.equity)
