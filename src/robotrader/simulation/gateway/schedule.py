"""The two clocks of the gateway, what is to be done later on them, and the calendar of its resets."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, time, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Literal

from robotrader.model import NANOS_PER_SECOND
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.wire import ZONE, local, nanos

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIME_OF_DAY = r"([01]\d|2[0-3]):[0-5]\d"
TIME_OF_WEEK = f"({'|'.join(_DAYS)}) {TIME_OF_DAY}"

Action = Callable[[], None]
Step = Literal["bar", "open", "session"]
"""A bar; a bar, but first the open of its session, before anything trades there; or a whole session."""


class LockStep:
    """Clients' time requests are the clock: each lets one `step` pass, at most `speed` a second."""

    def __init__(self, market: Market, speed: float | None, advance: Callable[[int], None], *, step: Step) -> None:
        self._market, self._speed, self._advance, self._by = market, speed, advance, step
        self._pulls: deque[tuple[object, Action]] = deque()
        self._later: list[tuple[int, int, Action]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._started = market.now

    def start(self) -> None:
        self._started = self._market.now

    def close(self) -> None:
        self._pulls.clear()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def elapsed_s(self) -> float:
        return (self._market.now - self._started) / NANOS_PER_SECOND

    def catch_up(self) -> None:
        pass

    def after(self, seconds: float, action: Action) -> None:
        heappush(self._later, (self._market.now + int(seconds * NANOS_PER_SECOND), next(self._order), action))

    def away(self, seconds: float, action: Action) -> None:
        asyncio.get_running_loop().call_later(seconds, action)

    def _end(self) -> int | None:
        """Return when the next step ends; None at the end of the data."""
        end, opens = self._market.next_close if self._by == "session" else self._market.next_end, self._market.next_open
        return min(end, opens) if self._by == "open" and end is not None and opens is not None else end

    def pull(self, who: object, answer: Action) -> None:
        """Let a step pass for someone, then answer."""
        self._pulls.append((who, answer))
        if self._timer is None:
            self._step()

    def forget(self, who: object) -> None:
        """Let nothing more pass for someone who has left."""
        self._pulls = deque(pull for pull in self._pulls if pull[0] is not who)

    def _step(self) -> None:
        """Let one step pass for each who waits, no faster than `speed`."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._pulls:
            if (wait := self._due - loop.time()) > 0:
                self._timer = loop.call_later(wait, self._step)
                return
            _, answer = self._pulls.popleft()
            if (end := self._end()) is not None:
                self._advance(end)
                self._due = loop.time() + 1 / self._speed if self._speed else 0.0
                while self._later and self._later[0][0] <= self._market.now:
                    heappop(self._later)[2]()
            answer()


class Running:
    """A clock at `speed` times real time; the market is always open, or with `nights` as long as it is in truth."""

    def __init__(
        self, market: Market, advance: Callable[[int], None], *, speed: float, nights: bool, tick_s: float
    ) -> None:
        self._market, self._advance = market, advance
        self._speed, self._nights, self._tick_s = speed, nights, tick_s
        self._first = market.now
        self._started = self._clocked = self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._later: list[tuple[float, int, Action]] = []
        self._order = count()
        self._closed = False

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._started = self._clocked = loop.time()
        self._due = self._started + self._tick_s
        self._timer = loop.call_at(self._due, self._tick)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    @property
    def elapsed_s(self) -> float:
        return (asyncio.get_running_loop().time() - self._started) * self._speed

    def catch_up(self) -> None:
        """Move the market to where the clock has come."""
        now, before = asyncio.get_running_loop().time(), self._clocked
        self._clocked = now
        if self._nights:
            until = self._first + int((now - self._started) * self._speed * NANOS_PER_SECOND)
        else:
            until = self._market.after(int((now - before) * self._speed * NANOS_PER_SECOND))
        if until > self._market.now:
            self._advance(until)

    def after(self, seconds: float, action: Action) -> None:
        loop = asyncio.get_running_loop()
        heappush(self._later, (loop.time() + seconds / self._speed, next(self._order), action))
        loop.call_later(seconds / self._speed, self._do_next)

    away = after

    def _do_next(self) -> None:
        """Do what is due first; of one moment, what was asked for first."""
        *_, action = heappop(self._later)
        if not self._closed:
            self.catch_up()
            action()

    def _tick(self) -> None:
        """Look at the clock, at even times: what a look costs must not make the next one late."""
        self.catch_up()
        loop = asyncio.get_running_loop()
        self._due = max(self._due + self._tick_s, loop.time())
        self._timer = loop.call_at(self._due, self._tick)


def upcoming(when: str, after: int) -> int:
    """Return the first time of day (`HH:MM`) or of the week (`sun HH:MM`) in New York after a time; both ns UTC."""
    day, at, today = when[:-6], time.fromisoformat(when[-5:]), local(after).date()
    dates = (today + timedelta(days) for days in range(9))
    moments = (nanos(datetime.combine(date, at, ZONE)) for date in dates if day in {"", _DAYS[date.weekday()]})
    return next(moment for moment in moments if moment > after)
