"""RoboTrader: research, run and operate systematic trading strategies on Interactive Brokers.

`import robotrader as rt` gives notebooks and scripts what `robotrader.api` has, imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {"Costs", "Data", "Result", "Sweep", "backtest", "load", "report", "sweep", "trials"}
"""What `robotrader.api` has: any other name is looked for here first, too, when a module of ours is imported."""


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'robotrader' has no attribute {name!r}")
    return getattr(import_module("robotrader.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
