"""IBKR's pacing limits on historical requests (knowledge file `ibkr.md` 3.4), applied to bars of every size."""

from collections import deque

_WINDOW_S, _IN_WINDOW = 600.0, 60
_IDENTICAL_S = 15.0
_SAME_SERIES_S, _OF_SAME_SERIES = 2.0, 5
_OPEN = 50


class Pacer:
    """Remember the requests that were taken in the last ten minutes."""

    def __init__(self) -> None:
        self._taken: deque[tuple[float, object, object, int]] = deque()

    def take(self, now: float, question: object, series: object, *, open_now: int, weight: int) -> bool:
        """Take a request, or tell that it comes too soon.

        `now` in seconds, `question` all that makes requests identical, `series` the contract and kind of data,
        `open_now` the requests that are still open, `weight` how often this one counts.
        """
        while self._taken and now - self._taken[0][0] >= _WINDOW_S:
            self._taken.popleft()
        allowed = (
            open_now < _OPEN
            and sum(w for *_, w in self._taken) + weight <= _IN_WINDOW
            and not any(q == question and now - at < _IDENTICAL_S for at, q, _, _ in self._taken)
            and sum(s == series and now - at < _SAME_SERIES_S for at, _, s, _ in self._taken) < _OF_SAME_SERIES
        )
        if allowed:
            self._taken.append((now, question, series, weight))
        return allowed
