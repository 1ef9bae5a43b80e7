"""The tasks of sweeps: values that say what to run on which data; each worker loads the data by itself, once."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct, structs

from robotrader.bootstrap.data import load_data, with_actions
from robotrader.bootstrap.research import Costs, friction_of, venue_of
from robotrader.data.panel import Floats, Panel, Times
from robotrader.model import ConfigError, CorporateAction, DataError, InvariantViolation, StrategyConfig
from robotrader.research.backtest import run_backtest
from robotrader.research.kernel_setup import Unsupported
from robotrader.research.report import code_hash
from robotrader.research.sweep import Curve, Outcome, Play, Window, figures, player
from robotrader.research.walkforward import known_in_time, label_ends
from robotrader.risk.limits import profile
from robotrader.simulation.venue import FillAt

if TYPE_CHECKING:
    from robotrader.adapters.parquet.datasets import Loaded

Parameters = dict[str, int | float]
Judged = tuple[Outcome, Floats]
"""An outcome without its figures, and the daily equity that they are of: empty where it failed."""


class Source(Struct, frozen=True, kw_only=True):
    """Where a worker finds the bars; a path and `state` must mean the same files on every machine."""

    name: str
    state: str
    symbol: str | None = None
    start: str | None = None
    end: str | None = None
    as_of: int | None = None
    adjust: str = "none"


class Task(Struct, frozen=True, kw_only=True):
    """Sets of parameters to be played in windows of rows, over all data if there are none, `delay` rows late.

    `data` and `code` are the hashes of bars with corporate actions, and of the programs, that the answer is for. The
    strategy must take the configured parameters; the sets go over them. `purge` and `embargo` as in
    `research.walkforward.known_in_time`; `labels`: give back the ends of labels, too.
    """

    source: Source
    data: str
    code: str
    config: StrategyConfig
    costs: Costs
    limits: str
    sets: tuple[Parameters, ...] = ()
    windows: tuple[Window, ...] = ()
    delay: int = 0
    purge: int | None = 0
    embargo: int = 0
    threads: int = 1
    labels: bool = False


class Data(Struct, frozen=True):
    """What a source holds; `days` are the last rows of each day, and `hash` covers bars and actions."""

    loaded: "Loaded"
    panel: Panel
    actions: Sequence[CorporateAction]
    days: Times
    hash: str


@lru_cache(maxsize=1)
def data_of(source: Source) -> Data:
    """Load a source; the last one is kept."""
    state = Path(source.state)
    loaded = load_data(
        source.name, symbol=source.symbol, start=source.start, end=source.end, as_of=source.as_of, state=state
    )
    panel, actions = with_actions(source.name, loaded.panel, source.adjust, state, as_of=source.as_of)
    text = msgspec.json.encode((loaded.data_hash, source.adjust, tuple(actions)))
    days = Window(0, len(panel)).days(panel.ts)
    return Data(loaded, panel, actions, days, hashlib.sha256(text).hexdigest())


@cache
def code_of(strategy: str) -> str:
    """Return the hash of this package and of a strategy's own file."""
    own = Path(strategy.rpartition(":")[0])
    return hashlib.sha256(code_hash().encode() + (own.read_bytes() if own.is_file() else b"")).hexdigest()


def run_task(task: Task) -> list[list[Outcome]]:
    """Return for each set what it came to in each window; that a strategy fails is an outcome.

    The kernel plays what it supports, the event engine the rest, set by set.

    Raises
    ------
    DataError
        This machine holds other bars than the task was made for.
    ConfigError
        It runs other programs.
    """
    if (data_of(task.source).hash, code_of(task.config.source)) != (task.data, task.code):
        forget()  # a worker that lives long has kept what the files were before
    data = data_of(task.source)
    if data.hash != task.data:
        raise DataError(
            f"the task is for bars {task.data[:12]} of {task.source.name}, this worker found {data.hash[:12]}: "
            "give all machines the same files"
        )
    if code_of(task.config.source) != task.code:
        raise ConfigError(f"this worker has another robotrader or another {task.config.source}: give all machines one")
    windows = task.windows or (Window(0, len(data.panel)),)
    with ThreadPoolExecutor(task.threads) as pool:
        played = list(pool.map(lambda chosen: _played(task, data, chosen, windows), task.sets))
    done = [judged for judges in played for judged in judges]
    said = iter(figures([equity for _, equity in done if len(equity)]))
    told = iter([structs.replace(found, figures=next(said)) if len(equity) else found for found, equity in done])
    return [[next(told) for _ in windows] for _ in task.sets]


def _played(task: Task, data: Data, chosen: Parameters, windows: Sequence[Window]) -> list[Judged]:
    try:
        try:
            play = _kernel(task.source, msgspec.json.encode(task.config), task.costs, task.limits)
            curves = play(chosen, windows, task.delay)
            return [_judged(task, data, window, curve) for window, curve in zip(windows, curves, strict=True)]
        except Unsupported:
            return [_judged(task, data, window, _event(task, data, chosen, window)) for window in windows]
    except InvariantViolation:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a strategy's code raises is an outcome of its set
        return [(Outcome(error=f"{type(error).__name__}: {error}"), np.empty(0)) for _ in windows]


@lru_cache(maxsize=1)
def _kernel(source: Source, config: bytes, costs: Costs, limits: str) -> Play:
    """Return the kernel's player; the last one is kept, with what its sets have in common."""
    data = data_of(source)
    if data.actions:
        raise Unsupported("corporate actions are booked")
    known = msgspec.json.decode(config, type=StrategyConfig)
    return player(known, data.panel, friction_of(costs), limits=profile(limits))


def plays_fast(source: Source, config: StrategyConfig, costs: Costs, limits: str) -> bool:
    """Tell whether the kernel plays a strategy, as far as can be said before it has played a set."""
    try:
        _kernel(source, msgspec.json.encode(config), costs, limits)
    except Unsupported:
        return False
    return True


def _event(task: Task, data: Data, chosen: Parameters, window: Window) -> Curve:
    config = structs.replace(task.config, parameters={**task.config.parameters, **chosen})
    traded: list[Floats] = []

    def revise(strengths: Floats) -> Floats:
        traded.append(window.traded(strengths, task.delay))
        return traded[-1]

    result = run_backtest(
        [config], data.panel, venue_of(data.panel, task.costs), limits=profile(task.limits),
        fill=FillAt(task.costs.fill), actions=data.actions, borrow_rate=task.costs.borrow_rate, revise=revise,
    )  # fmt: skip
    equity = np.concatenate(([float(config.capital)], result.equity[window.days(data.panel.ts)]))
    return Curve(equity, len(result.fills), traded[0], "event")


def _judged(task: Task, data: Data, window: Window, curve: Curve) -> Judged:
    days = window.days(data.panel.ts)
    first, stop = np.searchsorted(data.days, [days[0], days[-1] + 1]).tolist()
    ends = label_ends(curve.strengths, data.days, task.purge)[first:stop] if window.train or task.labels else None
    kept = known_in_time(ends, stop, task.embargo) if window.train and ends is not None else len(days)
    equity = curve.equity[: kept + 1]
    returns = None if window.train else (equity[1:] / equity[:-1] - 1).astype(np.float32)
    found = Outcome(fills=curve.fills, purged=len(days) - kept, engine=curve.engine, returns=returns, ends=ends)
    return found, equity if kept else np.empty(0)


def forget() -> None:
    """Read data and programs anew from now on: in a long session, files change between two sweeps."""
    for kept in (data_of, code_of, _kernel):
        kept.cache_clear()
