"""Which sets of parameters to try: a grid, some of it by chance, or where tree-structured Parzen estimators lead."""

import math
from collections.abc import Generator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any

import numpy as np

from robotrader.model import ConfigError

Number = int | float
Space = Mapping[str, Sequence[Number]]
"""The values of each parameter, in order."""
Search = Generator[list[dict[str, Number]], list[float], None]
"""Yields sets to try together, and is sent their scores, higher is better, NaN where there is none."""

MOST_SETS = 1_000_000
_BATCH = 8  # fixed, so that the same seed asks the same whatever the number of workers


def parse_space(pairs: Sequence[str] | None) -> dict[str, tuple[Number, ...]]:
    """Read `fast=5:50:5` (both ends count), `fast=5,10,20` or `fast=10`.

    Raises
    ------
    ConfigError
        A pair is none of these.
    """
    found = {}
    for pair in pairs or ():
        name, _, text = pair.partition("=")
        try:
            values = _range(*map(Decimal, text.split(":"))) if ":" in text else tuple(map(Decimal, text.split(",")))
            finite = all(v.is_finite() for v in values)
        except (InvalidOperation, TypeError, ValueError):
            values, finite = (), False
        if not name or not values or not finite:
            raise ConfigError(f"a range must be NAME=FIRST:LAST:STEP, NAME=A,B,C or NAME=VALUE; found {pair!r}")
        found[name] = tuple(int(v) if v == int(v) and "." not in text else float(v) for v in dict.fromkeys(values))
    return found


def _range(first: Decimal, last: Decimal, step: Decimal = Decimal(1)) -> tuple[Decimal, ...]:
    if step <= 0 or (last - first) / step >= MOST_SETS:
        raise ValueError
    return tuple(first + n * step for n in range(int((last - first) / step) + 1)) if last >= first else ()


def search(space: Space, method: str, *, trials: int, seed: int) -> Search:
    """Return the sets of a `grid`, all of them, or at most `trials` by `random` or `tpe`; equal seeds try the same.

    Raises
    ------
    ConfigError
        No such method, too many sets for a grid, or the extra is missing.
    """
    methods = {"grid": _grid, "random": _random, "tpe": _tpe}
    if method not in methods:
        raise ConfigError(f"search must be one of {', '.join(methods)}; found {method!r}")
    return methods[method](space, trials, np.random.default_rng(seed) if method == "random" else seed)


def _grid(space: Space, _trials: int, _seed: Any) -> Search:
    if (count := math.prod(map(len, space.values()))) > MOST_SETS:
        raise ConfigError(f"the grid has {count:,} sets, {MOST_SETS:,} at most: take --search random or wider steps")
    yield [dict(zip(space, chosen, strict=True)) for chosen in product(*space.values())]


def _random(space: Space, trials: int, random: Any) -> Search:
    """Draw without putting back, as far as there are enough."""
    drawn: dict[tuple[Number, ...], None] = {}
    most = min(trials, math.prod(map(len, space.values())))
    while len(drawn) < most:
        drawn[tuple(values[random.integers(len(values))] for values in space.values())] = None
    yield [dict(zip(space, chosen, strict=True)) for chosen in drawn]


def _tpe(space: Space, trials: int, seed: Any) -> Search:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("--search tpe needs the extra research: pip install robotrader[research]") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for first in range(0, trials, _BATCH):
        asked = [study.ask() for _ in range(min(_BATCH, trials - first))]
        scores = yield [{name: values[trial.suggest_int(name, 0, len(values) - 1)] for name, values in space.items()}
                        for trial in asked]  # fmt: skip
        for trial, score in zip(asked, scores, strict=True):
            if math.isfinite(score):
                study.tell(trial, score)
            else:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)  # taken for a bad one, not for an unknown one
