"""Many runs of one strategy: sweeps, walk-forward and Monte Carlo; each run is in the trial ledger before it begins."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct, structs

from robotrader.bootstrap.research import Costs, backtest
from robotrader.bootstrap.tasks import Parameters, Source, Task, code_of, data_of, plays_fast, run_task
from robotrader.bootstrap.trials import trial_spec
from robotrader.model import ConfigError, StrategyConfig
from robotrader.research.backtest import BacktestResult
from robotrader.research.executors import Workers
from robotrader.research.search import Space, search
from robotrader.research.significance import probability_of_overfitting
from robotrader.research.sweep import METRICS, Outcome, Swept, Tried, Window
from robotrader.research.trials import Likeness, Purpose, TrialSpec, daily_returns, deflate
from robotrader.research.walkforward import best_of
from robotrader.strategy.loading import load_strategy

if TYPE_CHECKING:
    from robotrader.adapters.sql.trials import TrialLedger

_DAY_NS = 86_400_000_000_000
_MOST_CHUNK, _CHUNKS = 64, 32
_PBO_BLOCKS, _PBO_MOST = 16, 20_000_000
_WORTH_PROCESSES = 2_000_000  # bars x sets for the event engine: below, processes take longer to start


class Study(Struct, frozen=True, kw_only=True):
    """What is explored: a strategy on a source of bars; parameters that are given here are the same in every set."""

    source: Source
    config: StrategyConfig
    costs: Costs
    limits: str = "research"


class Explorer:
    """Plays sets of parameters of a study, counted in the ledger under one parent.

    `progress` is called with the number of sets played so far.
    """

    def __init__(
        self, study: Study, ledger: "TrialLedger", workers: Workers, *, purpose: Purpose, threads: int = 1,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> None:  # fmt: skip
        self.study, self.data = study, data_of(study.source)
        self._ledger, self._workers, self._progress, self._threads = ledger, workers, progress, threads
        text = msgspec.json.encode((purpose, study, self.data.hash, time.time_ns()))
        self.id = f"{purpose}-{hashlib.sha256(text).hexdigest()[:12]}"
        self._labels = {"purpose": purpose, "parent": self.id}
        self._days = self.data.panel.ts[self.data.days] // _DAY_NS
        self._done = 0
        self._first: Parameters = {}

    def play(self, sets: Sequence[Parameters], windows: Sequence[Window] = (), **options: Any) -> list[Tried]:
        """Play all data, then each window; `options` are those of a `Task`.

        The first outcome is that of all data, and what the ledger keeps of the trial.
        """
        refused = {n: text for n, chosen in enumerate(sets) if (text := self._refusal(chosen))}
        taken = [n for n in range(len(sets)) if n not in refused]
        self._first = self._first or (sets[taken[0]] if taken else {})
        numbers = dict(zip(taken, self._begin([sets[n] for n in taken]), strict=True))
        size = min(max(math.ceil(len(taken) / _CHUNKS), 1), _MOST_CHUNK)
        chunks = [taken[first : first + size] for first in range(0, len(taken), size)]
        tasks = [self._task([sets[n] for n in chunk], windows, **options) for chunk in chunks]

        def finished(at: int, found: list[list[Outcome]]) -> None:
            returns = {numbers[n]: o[0].returns.astype(np.float64)
                       for n, o in zip(chunks[at], found, strict=True) if not o[0].error}  # fmt: skip
            self._ledger.finish(self._days, returns)
            self._done += len(found)
            self._progress(self._done)

        answers = [one for answer in self._workers.run(run_task, tasks, finished) for one in answer]
        outcomes = dict(zip(taken, answers, strict=True))
        return [
            Tried(parameters=chosen, trial=numbers.get(n), outcomes=tuple(outcomes.get(n, ())),
                  error=refused.get(n) or outcomes[n][0].error)
            for n, chosen in enumerate(sets)
        ]  # fmt: skip

    def run(self, costs: Costs) -> BacktestResult:
        """Run the study's own parameters with these costs, and keep everything that happened."""
        data, config = self.data, self.study.config
        (number,) = self._ledger.begin([self._spec(config, costs)])
        result = backtest(
            [config], data.panel, limits=self.study.limits, costs=costs, actions=data.actions, engine="auto"
        )
        days, returns = daily_returns(data.panel.ts, result.equity, float(config.capital))
        self._ledger.finish(days, {number: returns})
        return result

    @property
    def family(self) -> tuple[int, Likeness]:
        """Return how many trials the strategy ever had, and how alike they are."""
        return self._ledger.family(self.study.config.id)

    def deflated(self, found: Outcome) -> float | None:
        """Return the deflated Sharpe ratio of an outcome among all trials that the strategy ever had."""
        return deflate(found.returns.astype(np.float64), *self.family).deflated_sharpe

    def _refusal(self, chosen: Parameters) -> str:
        try:
            load_strategy(self.study.config.source, {**self.study.config.parameters, **chosen})
        except ConfigError as error:
            return error.message
        return ""

    def _begin(self, sets: Sequence[Parameters]) -> list[int]:
        if not sets:
            return []
        configs = [self._config(chosen) for chosen in sets]
        first = self._spec(configs[0], self.study.costs)
        return self._ledger.begin([structs.replace(first, config=config) for config in configs])

    def _spec(self, config: StrategyConfig, costs: Costs) -> TrialSpec:
        hashed = self.data.loaded.data_hash
        return trial_spec(
            config, self.data.panel, data_hash=hashed, limits=self.study.limits, costs=costs, **self._labels
        )

    def _config(self, chosen: Parameters) -> StrategyConfig:
        return structs.replace(self.study.config, parameters={**self.study.config.parameters, **chosen})

    def _task(self, sets: Sequence[Parameters], windows: Sequence[Window], **options: Any) -> Task:
        file, _, name = self.study.config.source.rpartition(":")
        own = f"{Path(file).absolute()}:{name}" if file else name
        return Task(
            source=self.study.source, data=self.data.hash, code=code_of(own), costs=self.study.costs,
            config=structs.replace(self._config(self._first), source=own), limits=self.study.limits, sets=tuple(sets),
            windows=(Window(0, len(self.data.panel)), *windows), threads=self._threads, **options,
        )  # fmt: skip


def sweep(
    explorer: Explorer, space: Space, *, metric: str = "sharpe", method: str = "grid", trials: int = 100, seed: int = 0
) -> Swept:
    """Look for the set of parameters with the highest metric.

    Raises
    ------
    ConfigError
        No such metric or method, or the strategy takes none of the sets.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric must be one of {', '.join(METRICS)}; found {metric!r}")
    started = time.perf_counter()
    known: dict[tuple[Any, ...], Tried] = {}
    asking, scores = search(space, method, trials=trials, seed=seed), None
    while True:
        try:
            asked = next(asking) if scores is None else asking.send(scores)
        except StopIteration:
            break
        keys = [tuple(chosen.values()) for chosen in asked]
        new = {key: chosen for key, chosen in zip(keys, asked, strict=True) if key not in known}
        known.update(zip(new, explorer.play(list(new.values())), strict=True))
        scores = [known[key].figure(metric) for key in keys]
    tried = tuple(known.values())
    if all(t.trial is None for t in tried):
        raise ConfigError(f"the strategy takes none of the {len(tried)} sets; of the first it says: {tried[0].error}")
    at = best_of([t.figure(metric) for t in tried])
    best = None if at is None else tried[at]
    return Swept(
        tried=tried, seconds=time.perf_counter() - started, best=best, pbo=_overfitting(tried),
        deflated_sharpe=explorer.deflated(best.outcomes[0]) if best else None,
    )  # fmt: skip


def _overfitting(tried: Sequence[Tried]) -> float | None:
    ran = [t.outcomes[0].returns for t in tried if t.outcomes and not t.error]
    if len(ran) < 2 or len(ran[0]) < 2 * _PBO_BLOCKS or len(ran) * len(ran[0]) > _PBO_MOST:
        return None
    return probability_of_overfitting(np.array(ran, dtype=np.float64).T, _PBO_BLOCKS)


def place_of(study: Study, sets: int) -> str:
    """Return where so many sets are best played: `inline`; `local` for much work of the event engine."""
    fast = plays_fast(study.source, study.config, study.costs, study.limits)
    return "inline" if fast or data_of(study.source).panel.bar_count * sets <= _WORTH_PROCESSES else "local"
