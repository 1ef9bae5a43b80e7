"""The two clocks of a runner: the broker's and the system's. The one file that reads the wall clock."""

import time
from collections.abc import Callable


class BrokerClock:
    """A clock that stands until a message carries time (simulator in lock-step).

    Parameters
    ----------
    pull : callable
        Asks the broker for the next time. It is called again only after the clock was advanced, or after
        `reconnected`.
    start : int
        First time, ns UTC.
    """

    def __init__(self, pull: Callable[[], None], start: int = 0) -> None:
        self._ask = pull
        self._now = start
        self._asked = False

    def now(self) -> int:
        """Return the time of the last message, ns UTC."""
        return self._now

    def advance(self, ts: int) -> None:
        """Take over `ts` unless it lies behind; the question is answered either way."""
        self._now = max(self._now, ts)
        self._asked = False

    def pull(self) -> None:
        """Ask for the next time, unless an earlier question is still open."""
        if self._asked:
            return
        self._asked = True
        try:
            self._ask()
        except BaseException:
            self._asked = False  # nothing was sent, so nothing will answer
            raise

    def reconnected(self) -> None:
        """Forget the open question: its answer was lost with the connection."""
        self._asked = False


class SystemClock:
    """The system's time, made monotonic: where the system clock is set back, it stands until that has passed."""

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._source = now
        self._now = 0

    def now(self) -> int:
        """Return the system's time, ns UTC."""
        self._now = max(self._now, self._source())
        return self._now

    def advance(self, ts: int) -> None:
        """Never fall behind `ts`."""
        self._now = max(self._now, ts)

    def pull(self) -> None:
        """Do nothing: the system's time moves by itself."""

    def reconnected(self) -> None:
        """Do nothing: no question was open."""
