"""The public Python surface, for notebooks and scripts: `import robotrader as rt`.

Data, results and ledgers come out as Polars frames. Every backtest is written into the trial ledger of the state
folder before it runs, as one of the command line is.
"""

import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from msgspec import json, structs

from robotrader.bootstrap.data import load_data, with_actions
from robotrader.bootstrap.research import PESSIMISTIC, Costs
from robotrader.bootstrap.trials import counted_backtest, recorded_trials, trial_ledger
from robotrader.config import load_settings
from robotrader.data.panel import VALUES, Panel
from robotrader.model import ConfigError, CorporateAction, DataError, Resize, StrategyConfig, StrategyId
from robotrader.research import recorded, tearsheet, tearsheet_page
from robotrader.research.backtest import BacktestResult
from robotrader.research.metrics import SESSIONS_PER_YEAR
from robotrader.research.report import summary
from robotrader.simulation.matching import FillAt
from robotrader.strategy.loading import id_of, register

__all__ = ["Costs", "Data", "Result", "Sweep", "backtest", "load", "report", "sweep", "trials"]

Parameters = Mapping[str, int | float]
_TIME = pl.Datetime("ns", "UTC")
_HEADLINE = ("total_return", "cagr", "sharpe", "max_drawdown", "volatility", "turnover", "round_trips", "commission",
             "slippage_cost", "trials", "deflated_sharpe")  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Bars that a backtest can run over, with what they were loaded by.

    Attributes
    ----------
    chosen : dict
        Name, range and adjustment, as `load` takes them.
    panel : Panel
        What strategies see.
    """

    chosen: dict[str, Any]
    state: Path
    panel: Panel
    actions: Sequence[CorporateAction]
    hash: str
    note: str
    quarantined: int

    @property
    def bars(self) -> pl.DataFrame:
        """Return one row a bar: instrument, ts (its end), open, high, low, close, volume."""
        there = ~np.isnan(self.panel.close)
        names, ends = np.broadcast_arrays(np.array(self.panel.ids), self.panel.ts[:, None])
        values = {name: getattr(self.panel, name)[there] for name in VALUES}
        return pl.DataFrame({"instrument": names[there], "ts": ends[there], **values}).cast({"ts": _TIME})

    def __repr__(self) -> str:
        first, last = np.array([self.panel.ts[0], self.panel.ts[-1]], "datetime64[ns]").astype("datetime64[D]")
        held = f"{', '.join(self.panel.ids)}, {self.panel.bar_count} bars of {self.panel.spec}"
        return f"{self.chosen['name']}: {held} from {first} to {last} ({self.note})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a backtest did; `metrics` has the fields of `robotrader backtest --json`.

    Frames hold floats to look at; `raw` has the exact orders, fills and books.
    """

    config: StrategyConfig
    data: Data
    raw: BacktestResult
    metrics: dict[str, Any]

    @cached_property
    def equity(self) -> pl.DataFrame:
        """Return ts and equity at the end of each bar."""
        return pl.DataFrame({"ts": self.data.panel.ts, "equity": self.raw.equity}).cast({"ts": _TIME})

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Return the orders sent, one a row, with the time of decision."""
        rows = [(o.ts_event, o.id, o.instrument, o.side, o.quantity, o.type) for o in self.raw.orders]
        return _frame(rows, ts=_TIME, order_id=pl.String, instrument=pl.String, side=pl.String, quantity=pl.Int64,
                      type=pl.String)  # fmt: skip

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Return the fills, one a row, with their commission."""
        paid = {c.exec_id: float(c.amount) for c in self.raw.commissions}
        rows = [(f.ts_event, f.order_id, f.instrument, f.side, f.quantity, float(f.price), paid.get(f.exec_id))
                for f in self.raw.fills]  # fmt: skip
        return _frame(rows, ts=_TIME, order_id=pl.String, instrument=pl.String, side=pl.String, quantity=pl.Int64,
                      price=pl.Float64, commission=pl.Float64)  # fmt: skip

    def report(self, path: str | Path) -> Path:
        """Write the tearsheet, one HTML file without outside references, and return its path."""
        run = recorded.record_backtest(
            self.metrics, self.data.panel, self.raw, configs=[self.config], actions=self.data.actions
        )
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(tearsheet_page.page(tearsheet.tearsheet(run)), encoding="utf-8")
        return file

    def __repr__(self) -> str:
        return f"{self.config.id}: " + ", ".join(f"{name} {_shown(self.metrics[name])}" for name in _HEADLINE)

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{_shown(self.metrics[name])}</td></tr>" for name in _HEADLINE)
        said = html.escape(f"{self.config.id} {dict(self.config.parameters) or ''} on {self.data!r}")
        return f"<table><caption>{said}</caption>{rows}</table>"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """What a sweep found: `table` has a row a set with its trial, its ratios, and why it was refused if it was.

    `best` has the highest metric; `deflated_sharpe` is the probability that it is more than the luck of so many trials,
    `pbo` that the best set of one half of the time is below the median in the other. None: it cannot be said.
    """

    table: pl.DataFrame
    best: dict[str, int | float] | None
    deflated_sharpe: float | None
    pbo: float | None

    def _repr_html_(self) -> str:
        said = f"best {self.best}, deflated Sharpe {_shown(self.deflated_sharpe)}, PBO {_shown(self.pbo)}"
        return f"<p>{html.escape(said)}</p>{self.table._repr_html_()}"


def load(
    name: str, *, symbol: str | None = None, start: str | None = None, end: str | None = None, adjust: str = "none",
    state: str | Path | None = None,
) -> Data:  # fmt: skip
    """Load a dataset: `sample:all`, `seed`, `lake:SYMBOL`, or the path of a CSV or Parquet file.

    Parameters
    ----------
    start, end : str, optional
        ISO dates at the exchange, both inclusive.
    adjust : str
        `none`, `splits` or `all`: the corporate actions that are taken out of the lake's prices.
    state : path, optional
        State folder, where the seeded set, the lake and the trial ledger are; default as the command line has it.

    Raises
    ------
    DataError
        There is no such dataset, or nothing in it is usable.
    """
    place = _state(state)
    loaded = load_data(name, symbol=symbol, start=start, end=end, state=place)
    panel, actions = with_actions(name, loaded.panel, adjust, place)
    chosen = {"name": name, "symbol": symbol, "start": start, "end": end, "adjust": adjust}
    return Data(chosen=chosen, state=place, panel=panel, actions=actions, hash=loaded.data_hash, note=loaded.note,
                quarantined=len(loaded.quarantined))  # fmt: skip


def backtest(
    strategy: str | type[Any], data: Data | str, parameters: Parameters | None = None, *, cash: float = 1_000_000,
    sizer: str = "fixed:100", resize: str | None = None, stop_loss: str | None = None, take_profit: str | None = None,
    time_exit: str | None = None, costs: Costs = PESSIMISTIC, limits: str = "research", engine: str = "auto",
) -> Result:  # fmt: skip
    """Run one backtest; it is counted in the trial ledger, whatever it shows.

    Parameters
    ----------
    strategy : str or class
        Library id, `path/to/file.py:Class`, or a class with PARAMETERS, manifest and signals().
    data : Data or str
        What `load` returned, or the name of a dataset.
    cash, sizer, resize, stop_loss, take_profit, time_exit, limits, engine
        As `robotrader backtest` takes them.
    costs : Costs
        Commission, half a spread, impact, borrow fee, and which price fills.

    Raises
    ------
    ConfigError, DataError, StrategyError
        Something does not fit; the message says what.
    """
    bars = load(data) if isinstance(data, str) else data
    for name, value, known in (("resize", resize, (None, *Resize)), ("fill", costs.fill, tuple(FillAt)),
                               ("engine", engine, ("auto", "event", "fast"))):  # fmt: skip
        if value not in known:
            raise ConfigError(f"{name} must be one of {', '.join(map(str, known))}; found {value!r}")
    config = structs.replace(
        _configured(strategy, bars, parameters or {}, cash=cash), sizer=sizer,
        resize=Resize(resize) if resize else None, stop_loss=stop_loss, take_profit=take_profit,
        time_exit=time_exit,
    )  # fmt: skip
    raw, counted = counted_backtest(
        bars.state, config, bars.panel, data_hash=bars.hash, costs=_exact(costs), limits=limits,
        actions=bars.actions, engine=engine,
    )  # fmt: skip
    said = summary(config, bars.panel, raw, data_hash=bars.hash)
    noted = {"adjust": bars.chosen["adjust"], "data_note": bars.note, "quarantined": bars.quarantined}
    return Result(config=config, data=bars, raw=raw, metrics={**said, **counted, **noted})


def sweep(
    strategy: str | type[Any], data: Data | str, space: Mapping[str, Sequence[int | float]], *, metric: str = "sharpe",
    search: str = "grid", trials: int = 100, seed: int = 0, executor: str = "inline", workers: int = 2,
    scheduler: str | None = None, cash: float = 1_000_000, sizer: str = "fixed:100", costs: Costs = PESSIMISTIC,
    limits: str = "research", progress: Callable[[int], None] = lambda _sets: None,
) -> Sweep:  # fmt: skip
    """Try sets of parameters, each counted in the trial ledger; the rest as in `backtest`.

    Parameters
    ----------
    space : mapping
        The values of each parameter; what is not named stays at its default.
    search, trials, seed
        `grid` (all sets), or `trials` of them by `random` or `tpe`.
    executor, workers, scheduler
        `inline`, `local` (processes) or `dask`; a class of this process can be swept inline only.
    """
    from robotrader.bootstrap import explore
    from robotrader.bootstrap.tasks import Source, data_of, forget
    from robotrader.research.executors import Workers
    from robotrader.research.trials import Purpose

    if executor != "inline" and not isinstance(strategy, str):
        raise ConfigError(f"other processes cannot see {strategy.__name__}: name it as path/to/file.py:Class")
    bars = load(data) if isinstance(data, str) else data
    config = structs.replace(_configured(strategy, bars, {}, cash=cash), sizer=sizer)
    source = Source(state=str(bars.state), **bars.chosen)
    forget()
    if data_of(source).loaded.data_hash != bars.hash:
        raise DataError(f"{source.name} has changed since it was loaded: load it again")
    values = {name: tuple(tried) for name, tried in space.items()}
    study = explore.Study(source=source, config=config, costs=_exact(costs), limits=limits)
    with trial_ledger(bars.state) as ledger, Workers(executor, count=workers, scheduler=scheduler) as place:
        explorer = explore.Explorer(study, ledger, place, purpose=Purpose.SWEEP, progress=progress)
        found = explore.sweep(explorer, values, metric=metric, method=search, trials=trials, seed=seed)
    rows = [
        {**t.parameters, "trial": t.trial, **(t.outcomes[0].figures if t.outcomes else {}), "error": t.error or None}
        for t in found.tried
    ]
    best = dict(found.best.parameters) if found.best else None
    return Sweep(table=pl.DataFrame(rows, infer_schema_length=None), best=best, deflated_sharpe=found.deflated_sharpe,
                 pbo=found.pbo)  # fmt: skip


def report(result: Result, path: str | Path) -> Path:
    """Write a result's tearsheet, one HTML file, and return its path."""
    return result.report(path)


def trials(strategy: str | None = None, *, state: str | Path | None = None) -> pl.DataFrame:
    """Return the trial ledger, one row a run ever begun, of one strategy's id or of all; Sharpe ratios are annual."""
    rows = [
        (t.ts, t.number, t.spec.config.id, json.encode(t.spec.config.parameters, order="sorted").decode(),
         t.spec.purpose, t.outcome is not None,
         t.outcome.moments.sharpe * SESSIONS_PER_YEAR**0.5 if t.outcome and t.outcome.moments else None)
        for t in recorded_trials(_state(state), strategy)[0]
    ]  # fmt: skip
    return _frame(rows, ts=_TIME, trial=pl.Int64, strategy=pl.String, parameters=pl.String, purpose=pl.String,
                  ended=pl.Boolean, sharpe=pl.Float64)  # fmt: skip


def _state(named: str | Path | None) -> Path:
    return Path(named or os.environ.get("ROBOTRADER_STATE") or load_settings()[0].state_dir).absolute()


def _configured(strategy: str | type[Any], data: Data, parameters: Parameters, *, cash: float) -> StrategyConfig:
    if not 0 < cash < float("inf"):
        raise ConfigError(f"cash must be a positive amount; found {cash!r}")
    source = strategy if isinstance(strategy, str) else register(strategy)
    name = id_of(strategy) if isinstance(strategy, str) else StrategyId(strategy.__name__)
    return StrategyConfig(id=name, source=source, universe=data.panel.ids, capital=Decimal(str(cash)),
                          parameters=dict(parameters))  # fmt: skip


def _exact(costs: Costs) -> Costs:
    """Return costs that were given as floats as the decimals that they were meant as."""
    names = ("half_spread_bps", "impact", "borrow_rate")
    return structs.replace(costs, **{name: Decimal(str(getattr(costs, name))) for name in names})


def _frame(rows: Sequence[tuple[Any, ...]], **columns: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns, orient="row")


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
