"""Many runs: each as it would be alone, wherever it runs; each counted; nothing of a test reaches a choice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import structs

from robotrader import bootstrap
from robotrader.bootstrap import tasks, validate
from robotrader.bootstrap.explore import Explorer, Study, place_of, sweep
from robotrader.bootstrap.research import PESSIMISTIC
from robotrader.bootstrap.tasks import Source, Task, data_of, run_task
from robotrader.model import ConfigError, DataError, StrategyConfig, StrategyId
from robotrader.research.executors import Workers
from robotrader.research.metrics import measure
from robotrader.research.sweep import Window
from robotrader.research.trials import Purpose, Trial
from tests.integration.research import stuck_strategy

D = Decimal
SPACE = {"fast": (5, 10, 40), "slow": (20, 50)}
FAILING = f"{stuck_strategy.__file__}:Failing"
Explored = Callable[..., Any]


def study(state: Path, *, strategy: str = "sma_crossover", end: str = "2005-06-30", **more: Any) -> Study:
    source = Source(name="sample:AAPL", state=str(state), end=end)
    config = StrategyConfig(id=StrategyId("tried"), source=strategy, universe=data_of(source).panel.ids,
                            capital=D(100_000), sizer="all_in", **more)  # fmt: skip
    return Study(source=source, config=config, costs=PESSIMISTIC)


@contextmanager
def explorer(made: Study, kind: str = "inline", **place: Any) -> Iterator[Explorer]:
    with bootstrap.trial_ledger(Path(made.source.state)) as ledger, Workers(kind, count=2, **place) as workers:
        yield Explorer(made, ledger, workers, purpose=Purpose.SWEEP, threads=2 if kind == "inline" else 1)


def trials(made: Study) -> list[Trial]:
    return bootstrap.recorded_trials(Path(made.source.state))[0]


def task(made: Study, **more: Any) -> Task:
    return Task(**{
        "source": made.source, "data": data_of(made.source).hash, "code": tasks.code_of(made.config.source),
        "config": made.config, "costs": made.costs, "limits": made.limits, "sets": ({"fast": 5, "slow": 20},), **more,
    })  # fmt: skip


def test_a_small_grid_is_its_single_backtests(tmp_path: Path) -> None:
    made = study(tmp_path)
    with explorer(made) as exploring:
        found = sweep(exploring, SPACE)
    panel = data_of(made.source).panel
    ran = [t for t in found.tried if t.trial is not None]
    assert [t.parameters for t in ran] == [{"fast": f, "slow": s} for f in (5, 10, 40) for s in (20, 50) if f < s]
    for tried in ran:
        config = structs.replace(made.config, parameters=tried.parameters)
        single = bootstrap.backtest([config], panel, costs=made.costs, engine="event")
        assert tried.outcomes[0].fills == len(single.fills) > 10
        expected = structs.asdict(measure(panel.ts, single.equity, 100_000.0))
        assert tried.outcomes[0].figures == pytest.approx(expected, rel=1e-6)
    assert found.best is max(ran, key=lambda t: t.figure("sharpe"))
    assert found.pbo is not None
    assert found.deflated_sharpe is not None


def test_what_the_strategy_refuses_is_skipped_and_no_trial(tmp_path: Path) -> None:
    made = study(tmp_path)
    with explorer(made) as exploring:
        found = sweep(exploring, SPACE)
    assert [t.parameters for t in found.tried if t.trial is None] == [{"fast": 40, "slow": 20}]
    assert "fast must be below slow" in found.tried[4].error
    assert found.ran == len(trials(made)) == 5
    with (
        explorer(made) as exploring,
        pytest.raises(ConfigError, match=r"takes none of the 1 sets; .*fast must be below"),
    ):
        sweep(exploring, {"fast": (40,), "slow": (20,)})


def test_a_set_that_fails_is_counted_and_the_others_run(tmp_path: Path) -> None:
    made = study(tmp_path, strategy=FAILING)
    with explorer(made) as exploring:
        found = sweep(exploring, {"n": (1, 2, 3, 4)})
    raised = "StrategyError: failing: signals() raised ZeroDivisionError: n is odd"
    assert [t.error for t in found.tried] == [raised, "", raised, ""]
    counted = trials(made)
    assert len(counted) == 4
    assert [t.outcome is not None for t in counted] == [False, True, False, True]
    assert {t.spec.purpose for t in counted} == {Purpose.SWEEP}
    assert len({t.spec.parent for t in counted}) == 1


def test_a_trial_is_in_the_ledger_before_it_runs(tmp_path: Path) -> None:
    made = study(tmp_path)
    seen = []

    class Watching(Workers):
        def run(self, *arguments: Any, **named: Any) -> Any:
            seen.append(len(trials(made)))
            return super().run(*arguments, **named)

    with bootstrap.trial_ledger(tmp_path) as ledger, Watching("inline") as workers:
        sweep(Explorer(made, ledger, workers, purpose=Purpose.SWEEP), SPACE)
    assert seen == [5]


def outcomes(made: Study, kind: str, **place: Any) -> list[str]:
    with explorer(made, kind, **place) as exploring:
        found = sweep(exploring, SPACE)
        walked = validate.walk_forward(exploring, SPACE, validate.Plan(train=252, test=126, blocks=(4, 2)))
    returns = [o.returns.tobytes().hex() for t in found.tried for o in t.outcomes]
    figures = [repr((t.parameters, t.error, [(o.figures, o.fills, o.engine) for o in t.outcomes])) for t in found.tried]
    return [*returns, *figures, repr(found.pbo), repr(walked.folds), walked.returns.tobytes().hex(), repr(walked.paths)]


def test_all_executors_find_the_same_to_the_last_bit(tmp_path: Path) -> None:
    """Here, in two processes of our own, and in two worker processes of a Dask cluster that listens on TCP."""
    cluster_of: Any = pytest.importorskip("distributed").LocalCluster
    expected = outcomes(study(tmp_path / "inline"), "inline")
    assert outcomes(study(tmp_path / "inline"), "local") == expected
    with cluster_of(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
                      local_directory=str(tmp_path), silence_logs="CRITICAL") as cluster:  # fmt: skip
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        found = outcomes(study(tmp_path / "inline"), "dask", scheduler=cluster.scheduler_address)
    assert found == expected


def test_other_bars_than_the_task_was_made_for_are_refused(tmp_path: Path) -> None:
    made = study(tmp_path)
    assert run_task(task(made))[0][0].fills > 0
    with pytest.raises(DataError, match="the task is for bars 0123"):
        run_task(task(made, data="0123"))
    with pytest.raises(ConfigError, match="give all machines one"):
        run_task(task(made, code="0123"))


def test_a_worker_that_lives_long_takes_files_that_changed_since(tmp_path: Path) -> None:
    bars, strategy = tmp_path / "bars.csv", tmp_path / "own.py"
    strategy.write_text(Path(stuck_strategy.__file__).read_text("utf-8"), "utf-8")
    days = [f"2024-01-{day:02d},10,11,9,{10 + day % 3 / 10},1000" for day in (2, 3, 4, 5, 8, 9, 10, 11, 12)]
    seen = []
    for count in (8, 9):
        bars.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *days[:count]]), "utf-8")
        strategy.write_text(strategy.read_text("utf-8") + f"\n# {count} days\n", "utf-8")
        source = Source(name=str(bars), symbol="SPY", state=str(tmp_path))
        tasks.forget()
        asked = task(Study(source=source, config=StrategyConfig(
            id=StrategyId("own"), source=f"{strategy}:Failing", universe=data_of(source).panel.ids, capital=D(1000),
            parameters={"n": 2}), costs=PESSIMISTIC), sets=({"n": 4},))  # fmt: skip
        seen.append(asked)
    tasks.forget()
    bars.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *days[:8]]), "utf-8")
    strategy.write_text(strategy.read_text("utf-8").replace("\n# 9 days\n", ""), "utf-8")
    assert len(run_task(seen[0])[0][0].returns) == 8
    bars.write_text("\n".join(["Date,Open,High,Low,Close,Volume", *days]), "utf-8")
    strategy.write_text(strategy.read_text("utf-8") + "\n# 9 days\n", "utf-8")
    assert len(run_task(seen[1])[0][0].returns) == 9


def test_tpe_tries_the_same_for_a_seed_and_counts_each_set_once(tmp_path: Path) -> None:
    found = []
    space = {"fast": tuple(range(2, 30)), "slow": tuple(range(10, 100, 5))}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = study(tmp_path / name)
        with explorer(made) as exploring:
            swept = sweep(exploring, space, method="tpe", trials=40, seed=seed)
        assert swept.ran == len(trials(made))
        found.append([(t.parameters, t.figure("sharpe")) for t in swept.tried if not t.error])
    assert found[0] == found[1] != found[2]
    first, last = (np.mean([figure for _, figure in part]) for part in (found[0][:10], found[0][-10:]))
    assert last > first  # it learns


@pytest.mark.parametrize("delay", [0, 1])
def test_a_window_is_played_alike_by_both_engines(tmp_path: Path, delay: int) -> None:
    made = task(study(tmp_path), delay=delay)
    data, chosen, window = data_of(made.source), made.sets[0], Window(300, 700)
    fast = tasks._kernel(made.source, msgspec.json.encode(made.config), made.costs, made.limits)(
        chosen, [window], delay
    )
    event = tasks._event(made, data, chosen, window)
    np.testing.assert_allclose(fast[0].equity, event.equity, atol=0.01)
    assert fast[0].fills == event.fills > 4
    assert len(event.equity) == 401
    assert (np.flatnonzero(np.diff(event.equity)) > 0).any()
    whole = tasks._event(made, data, chosen, Window(0, len(data.panel)))
    assert whole.fills > event.fills


def test_a_delay_moves_fills_and_loses_at_most_the_last(tmp_path: Path) -> None:
    now, late = (run_task(task(study(tmp_path), delay=delay))[0][0] for delay in (0, 1))
    assert now.fills - late.fills in {0, 1}
    assert now.figures["total_return"] != late.figures["total_return"]


def test_what_comes_later_changes_no_fold_before_it(tmp_path: Path) -> None:
    plan = validate.Plan(train=252, test=126)
    folds = []
    for end in ("2003-12-31", "2005-06-30"):
        with explorer(study(tmp_path, end=end)) as exploring:
            folds.append(validate.walk_forward(exploring, SPACE, plan).folds)
    early, late = folds
    whole = [f for f in early if f["test_last"] == late[f["fold"] - 1]["test_last"]]
    assert len(whole) == len(early) - 1 > 2
    assert list(late[: len(whole)]) == whole


def test_a_walk_forward_chooses_on_what_was_known_and_joins_the_tests(tmp_path: Path) -> None:
    made, plan = study(tmp_path), validate.Plan(train=252, test=126, purge=3, embargo=2)
    with explorer(made) as exploring:
        found = validate.walk_forward(exploring, SPACE, plan)
    data = data_of(made.source)
    assert [f["purged"] for f in found.folds] == [5] * len(found.folds)
    assert len(found.returns) == len(data.panel) - 50 - 252  # all after the longest warm-up and the first training
    fold, start = found.folds[1], 50 + 126
    assert fold["train_first"] == data.panel.ts[start]
    for chosen in ({"fast": 5, "slow": 20}, {"fast": 10, "slow": 50}):
        outcome = run_task(task(made, sets=(chosen,), windows=(Window(start, start + 252 - 5),)))[0][0]
        better = outcome.figures["sharpe"] <= fold["is"]["sharpe"] + 1e-9
        assert better, chosen
    tested = run_task(task(made, sets=(fold["parameters"],), windows=(Window(start + 252, start + 378),)))[0][0]
    np.testing.assert_array_equal(found.returns[126:252], tested.returns.astype(np.float64))
    assert len(trials(made)) == 5  # each set is one trial, however many windows it is played in


def test_open_positions_at_the_end_of_a_training_do_not_count(tmp_path: Path) -> None:
    """A position is open on the first day of most tests: the days since it was opened are purged."""
    with explorer(study(tmp_path)) as exploring:
        found = validate.walk_forward(exploring, {"fast": (5,), "slow": (20,)}, validate.Plan(train=252, test=126))
    assert any(f["purged"] > 5 for f in found.folds)
    assert any(f["purged"] == 0 for f in found.folds)


def test_monte_carlo_runs_what_it_says_and_counts_it(tmp_path: Path) -> None:
    made = study(tmp_path, parameters={"fast": 10, "slow": 50})
    with explorer(made) as exploring:
        run = validate.recorded(exploring)
        found = {s.name: s for s in (*validate.resampled(run, seed=1, draws=50),
                                     *validate.replayed(exploring, seed=1, jitters=10))}  # fmt: skip
    base = validate.figures_of(run)
    assert list(found) == [
        "trade shuffle",
        "block bootstrap",
        "parameter jitter",
        "entry delay",
        "cost x2",
        "start dates",
    ]
    cagr = {name: s.quantiles["cagr"]["p50"] for name, s in found.items() if "cagr" in s.quantiles}
    assert cagr["cost x2"] < base["cagr"] != cagr["entry delay"]  # type: ignore[operator]
    low, high = (found["block bootstrap"].quantiles["sharpe"][q] for q in ("p05", "p95"))
    assert low < base["sharpe"] < high  # type: ignore[operator]
    assert found["start dates"].runs > 10
    assert len(trials(made)) == 1 + found["parameter jitter"].runs + 1 + 1 + 1


def test_processes_are_taken_only_for_much_work_that_the_kernel_refuses(tmp_path: Path) -> None:
    made = study(tmp_path)
    refused = structs.replace(made, config=structs.replace(made.config, universe=made.config.universe * 2))
    assert place_of(made, 1_000_000) == "inline"
    assert place_of(refused, 10) == "inline"
    assert place_of(refused, 1_000_000) == "local"
