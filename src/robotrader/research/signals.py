"""A strategy's strengths for many parameters: what a library strategy computes, compiled, and shared by all sets."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import StrategyConfig
from robotrader.research import kernel
from robotrader.strategy.contract import strengths
from robotrader.strategy.library.sma_crossover import TIE, SmaCrossover
from robotrader.strategy.loading import load_strategy

Parameters = Mapping[str, int | float]
Signals = Callable[[Parameters], Floats]
"""From parameters to strengths, shape (n_bars, n_instruments); a thread's next call may overwrite them."""


def signals_of(config: StrategyConfig, panel: Panel) -> Signals:
    """Return what gives the strengths of a configured strategy, its parameters aside, on its universe."""
    seen = panel if config.universe == panel.ids else panel.columns(config.universe)

    def asked(chosen: Parameters) -> Floats:
        return strengths(load_strategy(config.source, chosen), seen)

    return _crossovers(seen, asked) if config.source == "sma_crossover" else asked


def _crossovers(panel: Panel, asked: Signals) -> Signals:
    """Return the signals of `sma_crossover`, each average computed once; in doubt, the strategy itself is `asked`."""
    close = np.ascontiguousarray(panel.close).reshape(-1)
    close.flags.writeable = False  # the kernel is compiled for what cannot be written, as a copy would take its time
    averages: dict[int, Floats] = {}
    memory = threading.local()

    def average(length: int) -> Floats:
        if length not in averages:
            out, columns = np.empty(len(close)), len(panel.instruments)
            kernel.window_means(close, (length, columns), np.empty((2, kernel.block_room(length, columns))), out)
            averages[length] = out
        return averages[length]

    def signals(chosen: Parameters) -> Floats:
        load_strategy("sma_crossover", chosen)  # refuses what is out of range
        values = {name: chosen.get(name, p.default) for name, p in SmaCrossover.PARAMETERS.items()}
        out: Floats | None = getattr(memory, "out", None)
        if out is None:  # new memory for each set would cost as much as the set itself
            out = memory.out = np.empty(len(close))
        doubtful = kernel.crossing(average(int(values["fast"])), average(int(values["slow"])), TIE, out)
        return asked(chosen) if doubtful else out.reshape(panel.close.shape)

    return signals
