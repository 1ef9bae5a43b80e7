"""What is recorded of every backtest, and what many of them leave of a Sharpe ratio.

All trials of a strategy, whatever its parameters, are one family, counted for ever. How alike they are is kept as
one vector over days: the sum of the trials' returns, each centred and scaled to length 1. Its squared length is the sum
of the correlations of all pairs of trials, on the days that both have, so that neither the number of trials nor
different windows make the count slow.
"""

import hashlib
import inspect
import marshal
from enum import StrEnum
from pathlib import Path
from types import FunctionType
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats, Times
from robotrader.model import StrategyConfig
from robotrader.research import significance
from robotrader.research.metrics import SESSIONS_PER_YEAR, daily_equity
from robotrader.research.significance import Moments

_DAY_NS = 86_400_000_000_000


class Purpose(StrEnum):
    """Why a trial was run."""

    BACKTEST = "backtest"
    SWEEP = "sweep"
    WALKFORWARD = "walkforward"
    MONTECARLO = "montecarlo"
    CHECK = "check"


class TrialSpec(Struct, frozen=True, kw_only=True):
    """What a trial is about to run: all that its result depends on.

    `config.id` is its family; `first` and `last` are the ends of the first and last bar, ns UTC; `parent` is the id of
    the sweep (or the like) that it belongs to.
    """

    config: StrategyConfig
    source_hash: str
    code_hash: str
    data_hash: str
    first: int
    last: int
    limits: str
    costs: dict[str, str]
    purpose: Purpose = Purpose.BACKTEST
    parent: str | None = None

    @property
    def parameters_hash(self) -> str:
        """Return the hash of the parameters."""
        return hashlib.sha256(msgspec.json.encode(self.config.parameters, order="sorted")).hexdigest()


class Evidence(Struct, frozen=True, kw_only=True):
    """What a check or a walk-forward found about a strategy: no trial, but what a tearsheet says of one.

    `parameters` are all that the strategy has; `found` is what the command answered.
    """

    kind: Purpose
    strategy: str
    source_hash: str
    parameters: dict[str, int | float]
    data_hash: str
    found: dict[str, Any]


class Outcome(Struct, frozen=True, kw_only=True):
    """What a trial came to; no `moments`: its returns never differed."""

    returns_hash: str
    moments: Moments | None


class Trial(Struct, frozen=True, kw_only=True):
    """One row of the ledger; without an `outcome` it never ended, and counts all the same."""

    number: int
    ts: int
    spec: TrialSpec
    outcome: Outcome | None


class Likeness(Struct, frozen=True, kw_only=True):
    """What the finished trials of a family have in common.

    `total` is the sum of their returns as unit vectors, from day `origin` on (days since 1970), one a calendar day;
    `z_sum` and `z_squares` are of their Sharpe ratios in standard errors, so that windows of any length compare.
    """

    count: int = 0
    z_sum: float = 0.0
    z_squares: float = 0.0
    origin: int = 0
    total: Any = np.zeros(0)

    def with_returns(self, days: Times, returns: Floats) -> "Likeness":
        """Return it with one more trial: its days, ascending, and returns; as it is where those say nothing."""
        if (found := significance.moments(returns)) is None:
            return self
        off = returns - returns.mean()
        z = found.sharpe * (found.count - 1) ** 0.5
        origin = min(self.origin, int(days[0])) if self.count else int(days[0])
        total = np.zeros(max(self.origin + len(self.total), int(days[-1]) + 1) - origin)
        total[self.origin - origin :][: len(self.total)] = self.total
        total[days - origin] += off / np.linalg.norm(off)
        return Likeness(
            count=self.count + 1, z_sum=self.z_sum + z, z_squares=self.z_squares + z * z, origin=origin, total=total
        )


class Deflation(Struct, frozen=True, kw_only=True):
    """A run's Sharpe ratio among the trials of its family.

    `minimum_backtest_years`: how long it takes until chance's best of so many trials shows less than this Sharpe ratio.
    None where the run's returns never differed, or its Sharpe ratio is not positive.
    """

    trials: int
    effective_trials: float
    deflated_sharpe: float | None
    minimum_backtest_years: float | None


def independent_trials(trials: int, alike: Likeness) -> float:
    """Return how many independent trials a family is worth (`significance.effective_trials`)."""
    pairs = trials * (trials - 1)
    correlation = (float(alike.total @ alike.total) - alike.count) / pairs if pairs else 0.0
    return significance.effective_trials(trials, correlation)


def deflate(returns: Floats, trials: int, alike: Likeness) -> Deflation:
    """Judge daily returns that are the outcome of one of `trials` trials.

    The variance of the trials' Sharpe ratios is the one found, yet at least what chance alone gives a Sharpe ratio of
    so many returns: few or like trials differ little, and that proves nothing.
    """
    found, effective = significance.moments(returns), independent_trials(trials, alike)
    if found is None:
        return Deflation(trials=trials, effective_trials=effective, deflated_sharpe=None, minimum_backtest_years=None)
    spread = (alike.z_squares - alike.z_sum**2 / alike.count) / (alike.count - 1) if alike.count > 1 else 1.0
    annual = found.sharpe * SESSIONS_PER_YEAR**0.5
    return Deflation(
        trials=trials, effective_trials=effective,
        deflated_sharpe=significance.deflated_sharpe(found, effective, max(spread, 1.0) / (found.count - 1)),
        minimum_backtest_years=significance.minimum_backtest_length(effective, annual) if annual > 0 else None,
    )  # fmt: skip


def daily_returns(ts: Times, equity: Floats, capital: float) -> tuple[Times, Floats]:
    """Return the days (since 1970) and returns of an equity curve that started with `capital`."""
    ends, daily = daily_equity(ts, equity)
    with np.errstate(divide="ignore", invalid="ignore"):  # after ruin there is nothing to say
        return ends // _DAY_NS, daily / np.concatenate(([capital], daily[:-1])) - 1


def source_hash(strategy: object) -> str:
    """Return the hash of the file that defines a strategy's class; of its compiled methods where there is no file."""
    cls = type(strategy)
    try:
        return hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()
    except (OSError, TypeError):  # a class of a notebook
        codes = [marshal.dumps(f.__code__) for _, f in sorted(vars(cls).items()) if isinstance(f, FunctionType)]
        return hashlib.sha256(b"".join(codes)).hexdigest()
