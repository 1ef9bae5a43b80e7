"""Errors, named by what the operator must do.

    RoboTraderError
    ├── ConfigError           settings or manifest wrong: refuse to start
    ├── DataError             this datum is unfit: quarantine it, go on
    │   ├── StaleData
    │   ├── DataGap
    │   └── BadTick
    ├── BrokerUnavailable     temporary: back off, reconcile on return
    │   ├── ConnectionLost
    │   └── PacingLimit
    ├── StrategyError         user code raised or was too slow: quarantine that strategy
    └── InvariantViolation    state cannot be trusted: halt
        └── JournalFailure

Business outcomes (`Denied`, a rejected order) are values, never exceptions.
"""


class RoboTraderError(Exception):
    """Say what was expected, what was found and what to do, with the context as data.

    Parameters
    ----------
    message : str
        One sentence for the operator.
    context : object
        Named facts (paths, keys, numbers) for the log; never secrets.
    """

    runbook = "docs/runbooks/index.md"

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.context = context


class ConfigError(RoboTraderError):
    """Settings, a manifest or an argument are wrong: refuse to start."""


class DataError(RoboTraderError):
    """A datum is unfit: quarantine it and mark its instrument stale."""


class StaleData(DataError):
    """A bar or quote is missing at its end plus grace."""


class DataGap(DataError):
    """A stretch of expected bars is missing."""


class BadTick(DataError):
    """A price or size is not finite, not positive, or off its domain."""


class BrokerUnavailable(RoboTraderError):
    """The broker cannot be reached for now: back off, then reconcile."""


class ConnectionLost(BrokerUnavailable):
    """The connection ended or never came up."""


class PacingLimit(BrokerUnavailable):
    """The broker refuses more requests for now."""


class StrategyError(RoboTraderError):
    """Strategy code raised, or broke its contract."""


class InvariantViolation(RoboTraderError):
    """State cannot be trusted: halt, cancel entries, keep protection, page."""


class JournalFailure(InvariantViolation):
    """The journal does not take what is written: find out why (room, lock), then resume."""
