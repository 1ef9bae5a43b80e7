"""Markets of which the truth is known."""

import numpy as np

from robotrader.data.panel import Floats
from robotrader.research.trials import Deflation, Likeness, deflate

YEAR = 252
Random = np.random.Generator


def noise(random: Random, days: int, trials: int, *, alike: float = 0.0, groups: int = 1) -> Floats:
    """Draw returns of trials without skill, shape (days, trials); those of one group correlate by `alike`."""
    shared = np.repeat(random.standard_normal((days, groups)), trials // groups, axis=1)
    own = random.standard_normal((days, trials))
    returns: Floats = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own
    return returns


def drifting(noisy: Floats, sharpe: float) -> Floats:
    """Add a true annual Sharpe ratio to returns of unit deviation."""
    returns: Floats = noisy + sharpe / np.sqrt(YEAR)
    return returns


def sharpes(returns: Floats) -> Floats:
    """Return the Sharpe ratio of each column."""
    found: Floats = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    return found


def best(returns: Floats) -> Floats:
    """Return the trial that a researcher would show."""
    found: Floats = returns[:, sharpes(returns).argmax()]
    return found


def family(returns: Floats) -> Likeness:
    """Record all columns as finished trials."""
    alike, days = Likeness(), np.arange(len(returns))
    for column in returns.T:
        alike = alike.with_returns(days, column)
    return alike


def deflated(returns: Floats) -> Deflation:
    """Judge the best trial as the ledger would."""
    return deflate(best(returns), returns.shape[1], family(returns))


def persistent(random: Random, days: int, persistence: float) -> Floats:
    """Draw a first-order autoregression of unit deviation."""
    steps = random.standard_normal(days) * np.sqrt(1 - persistence**2)
    steps[0] = random.standard_normal()
    series = [steps[0]]
    for step in steps[1:]:
        series.append(persistence * series[-1] + step)
    return np.array(series)


def clustered(random: Random, days: int) -> Floats:
    """Draw returns of about unit deviation whose volatility comes in waves."""
    return random.standard_normal(days) * np.exp(0.6 * persistent(random, days, 0.97) - 0.36)
