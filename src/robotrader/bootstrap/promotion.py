"""What research finds of one version of a strategy: the figures that gates G0 and G1 ask for, and what to expect of it.

Every run of it is a trial in the ledger: who gathers evidence again and again needs a better strategy each time.
"""

import math
import os
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from robotrader.bootstrap.explore import Explorer, Study, place_of
from robotrader.bootstrap.research import PESSIMISTIC
from robotrader.bootstrap.strategies import check_strategy
from robotrader.bootstrap.tasks import Data, Source, data_of
from robotrader.bootstrap.trials import trial_ledger
from robotrader.bootstrap.validate import Plan, at_twice_the_costs, walk_forward
from robotrader.data.adjust import Adjust, adjust
from robotrader.data.panel import Floats
from robotrader.model import Dossier, Parameter, StrategyConfig
from robotrader.research.backtest import BacktestResult
from robotrader.research.executors import Workers
from robotrader.research.metrics import SESSIONS_PER_YEAR
from robotrader.research.recorded import record_backtest
from robotrader.research.search import Space
from robotrader.research.significance import drawdown_band, probability_of_overfitting, superior_ability
from robotrader.research.trials import Deflation, Purpose, daily_returns, deflate, source_hash
from robotrader.research.walkforward import Walked
from robotrader.strategy.checks import Outcome
from robotrader.strategy.contract import strengths
from robotrader.strategy.gates import counted
from robotrader.strategy.loading import load_strategy

SEED = 20_240_101
_FACTORS = (0.5, 1, 2)
_MOST_VARIED = 3
_BLOCKS = 16
_DRAWS = 1_000
_SMALL_BARS = 0.05
_BAND_SESSIONS = 20
_TRAIN, _TEST = 0.4, 0.1
"""Shares of all sessions in one fold: six tests."""

Figures = dict[str, float | None]


def gather(
    study: Study, space: Space | None = None, *, progress: Callable[[str, int], None] = lambda _what, _done: None
) -> Dossier:
    """Check a configured strategy, walk it forward over a grid, and say what its own parameters came to.

    `space` is `around` its parameters unless given; `progress` is told how many `rules` and `sets` are done.

    Raises
    ------
    ConfigError
        The strategy cannot be loaded, takes no set, declares bars of another length, or there are too few sessions.
    """
    config, data = study.config, data_of(study.source)
    own = config.source, config.parameters
    manifest, rules = check_strategy(
        own, study.source.name, Path(study.source.state), progress=partial(progress, "rules")
    )
    figures: Figures = {f"rule_{r.rule}": float(r.outcome is not Outcome.FAILED) for r in rules}
    runs = _runs(study, around(config) if space is None else space, partial(progress, "sets"))
    strategy, result = load_strategy(*own), runs.result
    said = strengths(strategy, _as_shown(data))
    figures |= _figures(runs, _benchmark(study, data, result, said))
    figures["capacity_ratio"] = _capacity(data, result, study.costs.participation or PESSIMISTIC.participation or 1.0)
    decided = len(result.orders) + len(result.denied)
    counts = counted(said[manifest.warmup_bars :])
    return Dossier(
        strategy=config.id, version=manifest.version, source_hash=source_hash(strategy), data=study.source.name,
        data_hash=data.loaded.data_hash, figures=figures,
        drawdown_band=_band(runs.returns), band_sessions=_BAND_SESSIONS,
        edge_bps=_edge(data, result, float(config.capital)),
        denial_ratio=len(result.denied) / decided if decided else 0.0,
        strengths=tuple((counts / counts.sum()).tolist()) if counts.sum() else (),
    )  # fmt: skip


def research_dossier(config: StrategyConfig, data: str, state: Path) -> Dossier:
    """Gather the case for a configured strategy on a dataset, with `PESSIMISTIC` costs."""
    return gather(Study(source=Source(name=data, state=str(state)), config=config, costs=PESSIMISTIC))


def as_change(dossier: Dossier) -> str:
    """Return a dossier as a request carries it."""
    return msgspec.json.encode(dossier).decode()


class _Runs(NamedTuple):
    """A walk-forward over a grid, and what the study's own parameters came to, plainly and with all paid twice."""

    walked: Walked
    result: BacktestResult
    returns: Floats
    dear: float
    luck: Deflation


def _runs(study: Study, grid: Space, progress: Callable[[int], None]) -> _Runs:
    data, cores, kind = data_of(study.source), os.cpu_count() or 1, place_of(study, math.prod(map(len, grid.values())))
    train, test = (max(int(share * len(data.days)), 2) for share in (_TRAIN, _TEST))
    with trial_ledger(Path(study.source.state)) as ledger, Workers(kind, count=cores) as workers:
        threads = cores if kind == "inline" else 1
        explorer = Explorer(study, ledger, workers, purpose=Purpose.WALKFORWARD, threads=threads, progress=progress)
        walked = walk_forward(explorer, grid, Plan(train=train, test=test))
        result, dear = explorer.run(study.costs), at_twice_the_costs(explorer)["total_return"]
        returns = until_ruin(daily_returns(data.panel.ts, result.equity, float(study.config.capital))[1])
        return _Runs(walked, result, returns, dear, deflate(returns, *explorer.family))


def _figures(runs: _Runs, benchmark: Floats) -> Figures:
    years, least = len(runs.returns) / SESSIONS_PER_YEAR, runs.luck.minimum_backtest_years
    walked, grid = runs.walked, until_ruin(runs.walked.grid)
    return {
        "deflated_sharpe": runs.luck.deflated_sharpe,
        "overfitting": _overfitting(grid),
        "spa_p": _superior(grid - benchmark[:, None]),
        "length_ratio": None if least is None else years / max(least, 1 / SESSIONS_PER_YEAR),
        "oos_is": None if walked.degradation is None else 1 - walked.degradation,
        "return_costs_x2": runs.dear if math.isfinite(runs.dear) else None,
    }


def until_ruin(returns: Floats) -> Floats:
    """Return daily returns, shape (n_days, ...), with none after all was lost: below 0, a loss looks like a gain."""
    lost = np.maximum.accumulate(returns <= -1, axis=0)
    before = np.concatenate([np.zeros_like(lost[:1]), lost[:-1]])
    return np.where(before, 0.0, np.maximum(returns, -1.0))


def around(config: StrategyConfig) -> Space:
    """Return a grid of half, once and twice the parameters of a strategy, as far as their ranges go.

    Only of the first three that can vary: 27 sets at most. So far apart because CSCV ranks sets, and the ranks of sets
    that are all but the same are chance.
    """
    declared: dict[str, Parameter] = type(load_strategy(config.source, config.parameters)).PARAMETERS
    values = {name: _near(config.parameters.get(name, p.default), p) for name, p in declared.items()}
    return dict(islice(((name, near) for name, near in values.items() if len(near) > 1), _MOST_VARIED))


def _near(value: int | float, declared: Parameter) -> tuple[int | float, ...]:
    held = [min(max(value * factor, declared.low), declared.high) for factor in _FACTORS]
    return tuple(sorted({round(v) if isinstance(declared.default, int) else float(v) for v in held}))


def _as_shown(data: Data) -> Any:
    """Return the bars as strategies see them: without splits."""
    return adjust(data.panel, data.actions, int(data.panel.ts[-1]), Adjust.SPLITS) if data.actions else data.panel


def _overfitting(grid: Floats) -> float | None:
    """Return the probability of overfitting: 0 where there was nothing to choose."""
    if grid.shape[1] < 2:
        return 0.0
    said = len(grid) >= 2 * _BLOCKS and np.isfinite(grid).all()
    return probability_of_overfitting(grid, _BLOCKS) if said else None


def _superior(excess: Floats) -> float | None:
    return superior_ability(excess, seed=SEED, draws=_DRAWS) if np.isfinite(excess).all() else None


def _benchmark(study: Study, data: Data, result: BacktestResult, said: Floats) -> Floats:
    """Return the daily returns to beat, shape (n_days,): of cash, which earns nothing, where it is ever short.

    What never is has to beat holding all its instruments in equal parts with the same mean exposure: else rising prices
    alone would do.
    """
    run = record_backtest({}, data.panel, result, configs=[study.config], actions=data.actions).daily
    if not (said > 0).any() or (said < 0).any():
        return np.zeros(len(run["ts"]))
    held = np.concatenate(([float(study.config.capital)], run["benchmark"]))
    exposure = float(np.mean(run["net"] / run["equity"]))
    return np.asarray((held[1:] / held[:-1] - 1) * exposure)


def _capacity(data: Data, result: BacktestResult, participation: float) -> float | None:
    """Return how many times its capital could be traded: all but one in twenty orders within the bar after them.

    `participation` is the share of a bar's volume that an order may be. None without an order.
    """
    column = {iid: k for k, iid in enumerate(data.panel.ids)}
    asked = [(order.ts_event, column[order.instrument], order.quantity) for order in result.orders]
    ts, columns, units = np.array(asked, dtype=np.int64).reshape(-1, 3).T
    rows = data.panel.ts.searchsorted(ts, side="right")
    known = (rows < len(data.panel)) & (units > 0)
    volume = data.panel.volume[rows[known], columns[known]]
    ratios = participation * np.nan_to_num(volume) / units[known]
    return float(np.quantile(ratios, _SMALL_BARS)) if len(ratios) else None


def _edge(data: Data, result: BacktestResult, capital: float) -> float | None:
    """Return what was earned before costs, in bps of what was traded; None where nothing was."""
    units = {i.id: float(i.multiplier) for i in data.panel.instruments}
    traded = sum(float(fill.price) * fill.quantity * units[fill.instrument] for fill in result.fills)
    paid = sum(float(c.amount) for c in result.commissions) + float(result.slippage_cost + result.borrow_cost)
    return (float(result.equity[-1]) - capital + paid) / traded * 1e4 if traded else None


def _band(returns: Floats) -> float | None:
    """Return the drawdown that all but one in a hundred stretches stay within; days before the first trade left out."""
    moved = np.flatnonzero(returns)
    lived = returns[moved[0] :] if len(moved) else returns[:0]
    if len(lived) < 2 * _BAND_SESSIONS or not np.isfinite(lived).all():
        return None
    return drawdown_band(lived, sessions=_BAND_SESSIONS, seed=SEED)
