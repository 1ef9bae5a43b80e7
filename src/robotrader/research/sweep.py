"""Many parameters of one strategy over the same bars: the kernel in threads, figures instead of objects."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct, structs

from robotrader.data.panel import Floats, Panel, Times
from robotrader.model import RiskLimit, StrategyConfig
from robotrader.research import kernel_layout as layout
from robotrader.research.fast import equity_of, play
from robotrader.research.kernel_setup import Friction, check_supported, rules_of
from robotrader.research.metrics import day_ends, ratios
from robotrader.research.signals import Parameters, signals_of
from robotrader.strategy.loading import load_strategy

METRICS = ("sharpe", "sortino", "cagr", "total_return", "max_drawdown")
"""What can be looked for: the higher, the better."""


class Window(NamedTuple):
    """The rows start <= i < stop of a panel: before them nothing is traded, and what comes later counts for nothing.

    `train`: something is chosen by its figures, so that only days count whose outcome was known in time.
    """

    start: int
    stop: int
    train: bool = False

    def days(self, ts: Times) -> Times:
        """Return the last row of each UTC day in the window."""
        return self.start + day_ends(ts[self.start : self.stop])

    def traded(self, strengths: Floats, delay: int = 0) -> Floats:
        """Return the strengths, shape (n_bars, n), `delay` rows late, with no view outside the window."""
        if not delay and (self.start, self.stop) == (0, len(strengths)):
            return strengths
        out = np.full(strengths.shape, np.nan)
        first = max(self.start, delay)
        out[first : self.stop] = strengths[first - delay : max(self.stop - delay, 0)]
        return out


class Curve(NamedTuple):
    """Daily equity of a window, the capital before it first, shape (n_days + 1,); fills, strengths traded, engine."""

    equity: Floats
    fills: int
    strengths: Floats
    engine: str = "fast"


Play = Callable[[Parameters, Sequence[Window], int], list[Curve]]
"""From parameters, windows and a delay in rows to a curve for each window."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What one set of parameters came to in one window; `error` says why it came to nothing.

    `figures` are the ratios by name, NaN where too little happened. In those of a training window `purged` days at the
    end do not count, as what became of their position was known too late; of other windows `returns` are given, daily,
    float32 of shape (n_days,). `ends`: of each day, when it was known (`walkforward.label_ends`).
    """

    figures: dict[str, float] = {}
    fills: int = 0
    purged: int = 0
    engine: str = ""
    error: str = ""
    returns: Any = None
    ends: Any = None


class Tried(Struct, frozen=True, kw_only=True):
    """A set of parameters and what it came to in each window; no trial where the strategy refused it: see `error`."""

    parameters: dict[str, int | float]
    trial: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    error: str = ""

    def figure(self, metric: str, window: int = 0) -> float:
        """Return a ratio, NaN where there is none."""
        return self.outcomes[window].figures.get(metric, math.nan) if self.outcomes else math.nan


class Swept(Struct, frozen=True, kw_only=True):
    """What a sweep found; `best` is None where no set has the metric, the others where they cannot be said."""

    tried: tuple[Tried, ...]
    seconds: float
    best: Tried | None
    deflated_sharpe: float | None
    pbo: float | None

    @property
    def ran(self) -> int:
        """Return how many sets ran: those that the strategy took."""
        return sum(t.trial is not None for t in self.tried)


class SweepResult(Struct, frozen=True, kw_only=True):
    """What each set of parameters came to: arrays of shape (n_sets,), ratios plain, NaN where nothing moved."""

    final_equity: Any
    total_return: Any
    max_drawdown: Any
    sharpe: Any
    fills: Any


def player(config: StrategyConfig, panel: Panel, friction: Friction, *, limits: RiskLimit) -> Play:
    """Return what plays sets of parameters on the kernel, each window as a run of its own that starts flat.

    The configured parameters must be ones that the strategy takes. Threads may share the player: what sets have in
    common is computed once.

    Raises
    ------
    Unsupported
        Here, or when a set is played: it needs the event engine.
    """
    check_supported([config], panel, limits, actions=())
    manifest = load_strategy(config.source, config.parameters).manifest
    rules = rules_of([config], panel, friction, limits, resize=[manifest.resize])
    signals = signals_of(config, panel)
    days = cache(lambda window: window.days(panel.ts))

    def one(strengths: Floats, rows: Times) -> Curve:
        run = play(panel, rules, strengths)
        equity = np.concatenate(([float(config.capital)], equity_of(run, rows, panel.instruments)))
        return Curve(equity, int(run.totals[layout.FILLS]), strengths)

    def sets(chosen: Parameters, windows: Sequence[Window], delay: int = 0) -> list[Curve]:
        strengths = signals({**config.parameters, **chosen})
        return [one(w.traded(strengths, delay), days(w)) for w in windows]

    return sets


def sweep(
    config: StrategyConfig, grid: Sequence[Parameters], panel: Panel, friction: Friction, *, limits: RiskLimit,
    threads: int = 2,
) -> SweepResult:  # fmt: skip
    """Run a strategy with each set of parameters as `run_fast` would; the figures are of daily equity.

    Raises
    ------
    Unsupported
        A set needs the event engine.
    """
    known = structs.replace(config, parameters={**config.parameters, **grid[0]})
    played, whole = player(known, panel, friction, limits=limits), [Window(0, len(panel))]

    def one(chosen: Parameters) -> tuple[Floats, int]:
        curve = played(chosen, whole, 0)[0]
        return curve.equity, curve.fills

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, grid))
    curves = np.array([equity for equity, _ in found]).T
    return SweepResult(
        final_equity=curves[-1], fills=np.array([fills for _, fills in found]),
        **{name: value for name, value in ratios(curves).items() if name in SweepResult.__struct_fields__},
    )  # fmt: skip


def figures(curves: Sequence[Floats]) -> list[dict[str, float]]:
    """Return the ratios of daily equity curves, those of one length together: one by one they would cost more."""
    out: list[dict[str, float]] = [{} for _ in curves]
    for length in {len(curve) for curve in curves}:
        at = [n for n, curve in enumerate(curves) if len(curve) == length]
        found = ratios(np.array([curves[n] for n in at]).T)
        for k, n in enumerate(at):
            out[n] = {name: float(values[k]) for name, values in found.items()}
    return out
