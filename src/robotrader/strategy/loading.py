"""From a name and parameters to a strategy, with a clear error for each way to be wrong."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from robotrader.model import ConfigError, Instrument, Manifest, Parameter, StrategyConfig, StrategyId
from robotrader.strategy.contract import SignalSource, Strategy, TrailingWindow

LIBRARY = {
    name: f"robotrader.strategy.library.{name}:{name.title().replace('_', '')}"
    for name in (
        "breakout", "cross_sectional_momentum", "mean_reversion", "momentum", "pairs", "regime_trend",
        "sma_crossover", "time_series_momentum",
    )
}  # fmt: skip


_CLASSES: dict[str, type[Any]] = {}
"""Classes of this process, by the source that `register` gave them."""


def register(cls: type[Any]) -> str:
    """Return a source by which `load_strategy` finds a class in this process; a class defined anew gets another."""
    for source, known in _CLASSES.items():
        if known is cls:
            return source
    same = sum(known.__name__ == cls.__name__ for known in _CLASSES.values())
    source = f"class {cls.__name__}" + (f"~{same + 1}" if same else "")
    _CLASSES[source] = cls
    return source


def load_strategy(source: str, parameters: Mapping[str, int | float]) -> Strategy:
    """Return the strategy of a library id, `path/to/file.py:ClassName` or `register`, with its parameters set.

    Raises
    ------
    ConfigError
        Unknown strategy, file, class or parameter, or a value outside its range.
    """
    cls = _find(source)
    declared: dict[str, Parameter] | None = getattr(cls, "PARAMETERS", None)
    if declared is None or not callable(getattr(cls, "signals", None)):
        raise ConfigError(f"{source} is no strategy: it needs PARAMETERS, manifest and signals()")
    values = {name: p.default for name, p in declared.items()}
    for name, value in parameters.items():
        if name not in declared:
            raise ConfigError(f"{source} has no parameter {name!r}; it has: {', '.join(declared) or 'none'}")
        values[name] = _checked(f"{source}: {name}", value, declared[name])
    return cast(Strategy, cls(**values))


def id_of(source: str) -> StrategyId:
    """Return the id that a strategy has where nobody names it: the library's, or its class."""
    return StrategyId(source.rpartition(":")[2] if ".py:" in source else source)


def fingerprint(source: str) -> str:
    """Return the SHA-256 of a strategy's file, "" for what has none of its own: the library is the release's.

    A file that cannot be read has none either: `load_strategy` says what is wrong with it.
    """
    path = Path(source.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if ".py:" in source and path.is_file() else ""


def _find(source: str) -> Any:
    if ".py:" in source:
        path, _, name = source.rpartition(":")
        return _from_file(Path(path), name)
    if source in _CLASSES:
        return _CLASSES[source]
    if source not in LIBRARY:
        raise ConfigError(
            f"unknown strategy {source!r}; the library has: {', '.join(sorted(LIBRARY))}; or give path/to/file.py:Class"
        )
    module, _, name = LIBRARY[source].partition(":")
    return getattr(importlib.import_module(module), name)


def _from_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise ConfigError(f"strategy file {path} does not exist")
    spec = importlib.util.spec_from_file_location(f"robotrader_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"strategy file {path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError) as error:
        raise ConfigError(f"strategy file {path} cannot be loaded: {error}") from error
    if not hasattr(module, name):
        raise ConfigError(f"strategy file {path} has no class {name}")
    return getattr(module, name)


def _checked(label: str, value: int | float, parameter: Parameter) -> int | float:
    if isinstance(parameter.default, int) and float(value).is_integer():
        value = int(value)
    if isinstance(parameter.default, int) and not isinstance(value, int):
        raise ConfigError(f"{label} must be a whole number, found {value}")
    if not parameter.low <= value <= parameter.high:
        raise ConfigError(f"{label} must lie in [{parameter.low}, {parameter.high}], found {value}")
    return value


def trailing_source(config: StrategyConfig, instruments: tuple[Instrument, ...]) -> tuple[Manifest, SignalSource]:
    """Make a live source of a configured strategy."""
    strategy = load_strategy(config.source, config.parameters)
    return strategy.manifest, TrailingWindow(strategy, instruments)
