"""Many parameters of one strategy over the same bars: the kernel in threads, figures instead of objects."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats, Panel
from robotrader.model import RiskLimit, StrategyConfig
from robotrader.research import kernel_layout as layout
from robotrader.research.fast import equity_of, play
from robotrader.research.kernel_setup import Friction, check_shorts, check_supported, rules_of
from robotrader.research.metrics import day_ends, ratios
from robotrader.research.signals import Parameters, signals_of
from robotrader.strategy.loading import load_strategy


class SweepResult(Struct, frozen=True, kw_only=True):
    """What each set of parameters came to: arrays of shape (n_sets,), ratios plain, NaN where nothing moved."""

    final_equity: Any
    total_return: Any
    max_drawdown: Any
    sharpe: Any
    fills: Any


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
    check_supported([config], panel, limits, actions=())

    manifest = load_strategy(config.source, {**config.parameters, **grid[0]}).manifest
    rules = rules_of([config], panel, friction, limits, resize=[manifest.resize])
    signals, rows = signals_of(config, panel), day_ends(panel.ts)

    def one(chosen: Parameters) -> tuple[Floats, int]:
        strengths = signals({**config.parameters, **chosen})
        check_shorts(friction, strengths)
        run = play(panel, rules, strengths)
        return equity_of(run, rows, panel.instruments), int(run.totals[layout.FILLS])

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, grid))
    curves = np.array([np.concatenate(([float(config.capital)], equity)) for equity, _ in found]).T
    return SweepResult(
        final_equity=curves[-1], fills=np.array([fills for _, fills in found]),
        **{name: value for name, value in ratios(curves).items() if name in SweepResult.__struct_fields__},
    )  # fmt: skip
