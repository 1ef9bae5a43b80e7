"""Walk-forward, combinatorial cross-validation and Monte Carlo of a study."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, structs

from robotrader.bootstrap.explore import Explorer, Study
from robotrader.bootstrap.research import Costs
from robotrader.bootstrap.tasks import data_of
from robotrader.data.panel import Floats, Times
from robotrader.model import ConfigError, DataError
from robotrader.research.metrics import measure
from robotrader.research.montecarlo import (
    MOST_STARTS,
    STARTS_APART,
    Scenario,
    bootstrapped,
    jittered,
    paid_twice,
    scenario,
    shuffled_trades,
)
from robotrader.research.recorded import RecordedRun, record_backtest
from robotrader.research.search import Space, search
from robotrader.research.sweep import METRICS, Tried, Window
from robotrader.research.tearsheet_trades import round_trips
from robotrader.research.walkforward import Fold, Walked, best_of, combine, folds, ratio_of, stability
from robotrader.strategy.loading import load_strategy


class Plan(Struct, frozen=True, kw_only=True):
    """How to judge a choice; `train`, `test`, `purge` and `embargo` count sessions.

    `purge`: the outcome of a day is known so many sessions later; None: when its position was changed. `blocks`: also
    cross-validate with every K of N blocks as the test.
    """

    train: int = 504
    test: int = 126
    anchored: bool = False
    purge: int | None = None
    embargo: int = 0
    blocks: tuple[int, int] | None = None


def walk_forward(explorer: Explorer, space: Space, plan: Plan, *, metric: str = "sharpe") -> Walked:
    """Choose the best set on each training window, and see what it does in the test window after it.

    Raises
    ------
    ConfigError
        No such metric, too few sessions, or the strategy takes none of the sets.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric must be one of {', '.join(METRICS)}; found {metric!r}")
    sets, days = next(search(space, "grid", trials=0, seed=0)), explorer.data.days
    first = _warmed_up(explorer, sets)
    steps = folds(len(days), warmup=first, train=plan.train, test=plan.test, anchored=plan.anchored)
    blocks = np.array_split(np.arange(first, len(days)), plan.blocks[0]) if plan.blocks else []
    windows = [_rows(days, f.train, f.test)._replace(train=True) for f in steps]
    windows += [_rows(days, f.test, f.stop) for f in steps] + [_rows(days, b[0], b[-1] + 1) for b in blocks]
    tried = explorer.play(sets, windows, purge=plan.purge, embargo=plan.embargo, labels=bool(plan.blocks))
    ran = [t for t in tried if t.outcomes and not any(o.error for o in t.outcomes)]
    if not ran:
        raise ConfigError(f"none of {len(sets)} sets can be judged; of the first it is said: {tried[0].error}")
    chosen = [best_of([t.figure(metric, 1 + n) for t in ran]) for n in range(len(steps))]
    picked = [None if at is None else ran[at] for at in chosen]
    tests = [_test(one, 1 + len(steps) + n, f) for n, (one, f) in enumerate(zip(picked, steps, strict=True))]
    returns = np.concatenate(tests)
    inside = [one.figure("sharpe", 1 + n) for n, one in enumerate(picked) if one]
    seen = float(np.mean(inside)) if inside else math.nan
    earned = ratio_of(returns, "sharpe")
    return Walked(
        folds=tuple(_fold(explorer, n, steps, one=one, metric=metric) for n, one in enumerate(picked)),
        oos_sharpe=_known(earned), is_sharpe=_known(seen), degradation=_known(1 - earned / seen) if seen > 0 else None,
        parameter_stability=stability([one.parameters for one in picked if one], space),
        ts=explorer.data.panel.ts[days[steps[0].test : steps[-1].stop]], returns=returns, sets=len(ran),
        grid=np.array([t.outcomes[0].returns for t in ran], dtype=np.float64).T,
        paths=_paths(ran, plan, metric, first=len(windows) - len(blocks), day=first) if plan.blocks else None,
    )  # fmt: skip


def _warmed_up(explorer: Explorer, sets: Sequence[dict[str, int | float]]) -> int:
    """Return the first day on which every set has a view: all are judged on the same days."""
    config, longest = explorer.study.config, 0
    for chosen in sets:
        try:
            manifest = load_strategy(config.source, {**config.parameters, **chosen}).manifest
        except ConfigError:
            continue
        longest = max(longest, manifest.warmup_bars)
    return int(np.searchsorted(explorer.data.days, longest - 1)) + 1 if longest else 0


def _rows(days: Times, first: int, stop: int) -> Window:
    return Window(int(days[first - 1]) + 1 if first else 0, int(days[stop - 1]) + 1)


def _test(one: Tried | None, window: int, fold: Fold) -> Floats:
    """Return what was earned in a test window: nothing where nothing could be chosen."""
    return np.zeros(fold.stop - fold.test) if one is None else one.outcomes[window].returns.astype(np.float64)


def _fold(explorer: Explorer, n: int, steps: Sequence[Fold], *, one: Tried | None, metric: str) -> dict[str, Any]:
    at, (train, test, stop) = explorer.data.panel.ts[explorer.data.days], steps[n]
    inside, outside = 1 + n, 1 + len(steps) + n
    names = dict.fromkeys((metric, "sharpe", "total_return", "max_drawdown"))
    return {
        "fold": n + 1, "train_first": int(at[train]), "train_last": int(at[test - 1]), "test_first": int(at[test]),
        "test_last": int(at[stop - 1]), "parameters": one.parameters if one else None,
        "purged": one.outcomes[inside].purged if one else None, "fills": one.outcomes[outside].fills if one else 0,
        "is": {name: _known(one.figure(name, inside)) if one else None for name in names},
        "oos": {name: _known(one.figure(name, outside)) if one else None for name in names},
    }  # fmt: skip


def _paths(ran: Sequence[Tried], plan: Plan, metric: str, *, first: int, day: int) -> tuple[float, ...]:
    groups, tests = plan.blocks or (0, 0)
    returns = np.array([np.concatenate([o.returns for o in t.outcomes[1 + first :]]) for t in ran], dtype=np.float64)
    ends = np.array([t.outcomes[0].ends[day:] - day for t in ran])
    found = combine(returns, ends, metric, groups=groups, tests=tests, embargo=plan.embargo)
    return tuple(ratio_of(path, "sharpe") for path in found.paths)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def study_of(run: RecordedRun, made: Study) -> Study:
    """Return the study of a recorded run, on the source of another.

    Raises
    ------
    DataError
        That holds other bars than the run was on.
    ConfigError
        The record does not say what the run took for granted.
    """
    found, expected = data_of(made.source).loaded.data_hash, run.facts.get("data_hash")
    if found != expected:
        raise DataError(
            f"the run was on bars {str(expected)[:12]}, {made.source.name} holds {found[:12]}: name its --data"
        )
    said = {name: None if text == "all" else text for name, text in run.facts.get("assumptions", {}).items()}
    try:
        costs = msgspec.convert({name: said[name] for name in Costs.__struct_fields__}, Costs, strict=False)
        return structs.replace(made, config=run.record.configs[0], costs=costs, limits=run.facts["limits"])
    except (KeyError, msgspec.ValidationError) as error:
        raise ConfigError(f"the record of the run does not say its costs or limits: {error}; run it again") from error


def recorded(explorer: Explorer) -> RecordedRun:
    """Run the study and return it as it would be recorded."""
    result, study, data = explorer.run(explorer.study.costs), explorer.study, explorer.data
    return record_backtest({}, data.panel, result, configs=[study.config], actions=data.actions)


def figures_of(run: RecordedRun) -> dict[str, float | None]:
    """Return the ratios of a recorded run."""
    return structs.asdict(measure(run.daily["ts"], run.daily["equity"], float(run.record.capital)))


def resampled(run: RecordedRun, *, seed: int, draws: int) -> list[Scenario]:
    """Return what can be said from a record alone."""
    capital = float(run.record.capital)
    curve = np.concatenate(([capital], run.daily["equity"]))
    profits = np.array([float(trip.pnl) for trip in round_trips(run)])
    return [
        shuffled_trades(profits, capital, seed=seed, draws=draws),
        bootstrapped(curve[1:] / curve[:-1] - 1, seed=seed, draws=draws),
    ]


def replayed(explorer: Explorer, *, seed: int, jitters: int) -> list[Scenario]:
    """Return what takes runs: other parameters, an entry a bar late, twice the costs, other starts."""
    config, days = explorer.study.config, explorer.data.days
    declared = type(load_strategy(config.source, config.parameters)).PARAMETERS
    near = explorer.play(jittered(config.parameters, declared, seed=seed, count=jitters))
    taken = [t.outcomes[0].figures for t in near if not t.error]
    late = explorer.play([{}], delay=1)[0].outcomes[0].figures
    apart = max(STARTS_APART, math.ceil(len(days) / 2 / MOST_STARTS))
    starts = [_rows(days, n, len(days)) for n in range(0, max(len(days) // 2, 1), apart)]
    begun = [o.figures for o in explorer.play([{}], starts)[0].outcomes[1:]]
    twice = at_twice_the_costs(explorer)
    return [
        scenario(
            "parameter jitter", taken, f"each parameter 10 to 20 % off; the strategy refused {len(near) - len(taken)}"
        ),
        scenario("entry delay", [late], "every decision is carried out one bar later"),
        scenario(
            "cost x2",
            [twice],
            "spread, impact and borrow fee doubled, each commission paid twice",
        ),
        scenario("start dates", begun, f"begun every {apart} sessions of the first half, to the end"),
    ]


def at_twice_the_costs(explorer: Explorer) -> dict[str, float]:
    """Return the ratios of the study's own parameters with everything paid twice; NaN where there is none."""
    study, panel, costs = explorer.study, explorer.data.panel, explorer.study.costs
    dear = structs.replace(
        costs, half_spread_bps=2 * costs.half_spread_bps, impact=2 * costs.impact, borrow_rate=2 * costs.borrow_rate
    )
    result = explorer.run(dear)
    equity = paid_twice(panel.ts, result.equity, result.fills, result.commissions)
    found = structs.asdict(measure(panel.ts, equity, float(study.config.capital)))
    return {name: math.nan if value is None else value for name, value in found.items()}
