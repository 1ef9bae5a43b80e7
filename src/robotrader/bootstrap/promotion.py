"""The case for letting a strategy on: what its code and its research show, gathered for gates G0 and G1."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import structs

from robotrader.bootstrap.explore import Explorer, Study, sweep
from robotrader.bootstrap.research import PESSIMISTIC
from robotrader.bootstrap.strategies import check_strategy
from robotrader.bootstrap.tasks import Source
from robotrader.bootstrap.trials import trial_ledger
from robotrader.bootstrap.validate import Plan, walk_forward
from robotrader.data.panel import Floats, Panel
from robotrader.model import STRENGTH_BINS, ConfigError, Dossier, StrategyConfig
from robotrader.research.backtest import BacktestResult
from robotrader.research.executors import Workers
from robotrader.research.montecarlo import paid_twice
from robotrader.research.search import Space
from robotrader.research.significance import drawdown_band, superior_ability
from robotrader.research.trials import Purpose, daily_returns, deflate, source_hash
from robotrader.strategy.contract import strengths
from robotrader.strategy.loading import load_strategy

if TYPE_CHECKING:
    from robotrader.strategy.checks import RuleResult

_SEED = 7
_SESSIONS_A_YEAR = 252
_PARAMETERS, _AROUND = 3, (0.8, 1.0, 1.25)
_RARELY_ROOM = 0.05
BAND_SESSIONS = 20


def near(config: StrategyConfig) -> dict[str, tuple[int | float, ...]]:
    """Return a grid around a strategy's parameters: of the first three, each somewhat lower and higher as well."""
    declared = type(load_strategy(config.source, config.parameters)).PARAMETERS
    space: dict[str, tuple[int | float, ...]] = {}
    for name, parameter in list(declared.items())[:_PARAMETERS]:
        value = config.parameters.get(name, parameter.default)
        whole = isinstance(parameter.default, int)
        held = (min(max(value * factor, parameter.low), parameter.high) for factor in _AROUND)
        space[name] = tuple(dict.fromkeys(round(one) if whole else one for one in held))
    return space


def gather(explorer: Explorer, space: Space, rules: "Sequence[RuleResult]") -> Dossier:
    """Return what research finds of the study's strategy: every run of it counts as a trial.

    Raises
    ------
    ConfigError
        The strategy takes none of the sets of parameters, or the data are too short to judge it.
    """
    study, data = explorer.study, explorer.data
    config, panel = study.config, data.panel
    sessions = len(data.days)
    if sessions < 4 * BAND_SESSIONS:
        raise ConfigError(f"{config.id}: it takes {4 * BAND_SESSIONS} sessions to judge it, found {sessions}")
    swept = sweep(explorer, space)
    walked = walk_forward(explorer, space, Plan(train=sessions // 3, test=max(sessions // 12, 2)))
    result = explorer.run(study.costs)
    _, returns = daily_returns(panel.ts, result.equity, float(config.capital))
    luck = deflate(returns, *explorer.family)
    tried = np.array([t.outcomes[0].returns for t in swept.tried if t.outcomes and not t.error], dtype=np.float64).T
    oos, seen = walked.oos_sharpe, walked.is_sharpe
    least = luck.minimum_backtest_years
    figures = {f"rule_{r.rule}": float(r.outcome != "failed") for r in rules} | {
        "deflated_sharpe": luck.deflated_sharpe,
        "overfitting": 0.0 if tried.shape[1] < 2 else swept.pbo,  # nothing was chosen from one set
        "spa_p": superior_ability(tried, seed=_SEED),
        "length_ratio": sessions / _SESSIONS_A_YEAR / least if least else None,
        "oos_is": oos / seen if oos is not None and seen is not None and seen > 0 else None,
        "return_costs_x2": _at_twice_the_costs(explorer),
        "capacity_ratio": capacity(result, panel, study.costs.participation),
    }
    orders, denied = len(result.orders), len(result.denied)
    return Dossier(
        strategy=config.id, version=load_strategy(config.source, config.parameters).manifest.version,
        source_hash=source_hash(load_strategy(config.source, config.parameters)), data=study.source.name,
        data_hash=data.loaded.data_hash, figures=figures, band_sessions=BAND_SESSIONS,
        drawdown_band=drawdown_band(returns, sessions=BAND_SESSIONS, seed=_SEED),
        edge_bps=edge_bps(result, float(config.capital)), denial_ratio=denied / (orders + denied) if orders else 0.0,
        strengths=said(config, panel),
    )  # fmt: skip


def _at_twice_the_costs(explorer: Explorer) -> float | None:
    """Return the total return with spread, impact and borrow fee doubled, and each commission paid twice."""
    costs, panel = explorer.study.costs, explorer.data.panel
    dear = structs.replace(costs, half_spread_bps=2 * costs.half_spread_bps, impact=2 * costs.impact,
                           borrow_rate=2 * costs.borrow_rate)  # fmt: skip
    result = explorer.run(dear)
    equity = paid_twice(panel.ts, result.equity, result.fills, result.commissions)
    total = float(equity[-1]) / float(explorer.study.config.capital) - 1
    return total if math.isfinite(total) else None


def capacity(result: BacktestResult, panel: Panel, participation: float | None) -> float | None:
    """Return how many times larger orders could be within `participation` of the volume, but for the worst 5 %."""
    column = {iid: k for k, iid in enumerate(panel.ids)}
    rows = np.searchsorted(panel.ts, [fill.ts_event for fill in result.fills])
    room = [
        float(panel.volume[min(row, len(panel) - 1), column[fill.instrument]]) * (participation or 1.0) / fill.quantity
        for row, fill in zip(rows.tolist(), result.fills, strict=True)
    ]
    known = [ratio for ratio in room if math.isfinite(ratio)]
    return float(np.quantile(known, _RARELY_ROOM)) if known else None


def edge_bps(result: BacktestResult, capital: float) -> float | None:
    """Return what was earned before costs, in bps of what was traded; None where nothing was."""
    traded = float(sum(fill.price * fill.quantity for fill in result.fills))
    costs = float(result.slippage_cost + sum(c.amount for c in result.commissions))
    return (float(result.final.equity) - capital + costs) / traded * 1e4 if traded else None


def said(config: StrategyConfig, panel: Panel) -> tuple[float, ...]:
    """Return how often each of the bins of strengths is said of one instrument at one bar, no view last."""
    strategy = load_strategy(config.source, config.parameters)
    rows: Floats = strengths(strategy, panel.columns(config.universe))[strategy.manifest.warmup_bars :].ravel()
    bins = np.where(np.isnan(rows), len(STRENGTH_BINS), np.searchsorted(STRENGTH_BINS, rows))
    counts = np.bincount(bins, minlength=len(STRENGTH_BINS) + 1)
    return tuple((counts / max(counts.sum(), 1)).tolist())


def research_dossier(config: StrategyConfig, data: str, state: Path) -> Dossier:
    """Check a configured strategy, explore the parameters around its own, and return the case for it."""
    rules = check_strategy((config.source, config.parameters), data, state)[1]
    study = Study(source=Source(name=data, state=str(state)), config=config, costs=PESSIMISTIC)
    with trial_ledger(state) as ledger, Workers("inline", count=1) as pool:
        return gather(Explorer(study, ledger, pool, purpose=Purpose.SWEEP), near(config), rules)


def as_change(dossier: Dossier) -> str:
    """Return a dossier as a request carries it."""
    return msgspec.json.encode(dossier).decode()
