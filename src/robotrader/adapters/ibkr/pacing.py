"""When a question for history may be put: IBKR's pacing windows, and a gate that keeps to them.

Source: `ibkr.md` 3.4 in the project's knowledge base.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

from robotrader.model import PacingLimit

T = TypeVar("T")

_MAX_OPEN = 50
_MARGIN_S = 0.2  # the gateway counts arrivals, and what leaves evenly may arrive closer together
_PENALTIES_S = (15.0, 30.0, 60.0)


class HistoryRequest(Struct, frozen=True):
    """What pacing goes by: `contract` names contract and exchange, `terms` all else that makes requests identical."""

    contract: str
    what: str
    terms: str = ""


def _weight(request: HistoryRequest) -> int:
    return 2 if request.what == "BID_ASK" else 1


class _Window(NamedTuple):
    length_s: float
    most: int
    scope: Callable[[HistoryRequest], object]  # what is counted together
    weight: Callable[[HistoryRequest], int]


_WINDOWS = (
    _Window(600.0, 60, lambda _: None, _weight),
    _Window(2.0, 5, lambda r: (r.contract, r.what), _weight),
    _Window(15.0, 1, lambda r: r, lambda _: 1),
)
LONGEST_S = 600.0 + _MARGIN_S

Sent = tuple[float, HistoryRequest]


def earliest(request: HistoryRequest, now: float, sent: Sequence[Sent]) -> float:
    """Return when the request may be put, `now` or later (s), after what was `sent`, oldest first."""
    return max(now, *(_free(window, request, reversed(sent)) for window in _WINDOWS))


def _free(window: _Window, request: HistoryRequest, newest_first: Iterable[Sent]) -> float:
    """Return since when a window has room: the youngest request that leaves too little of it has left it by then."""
    room = window.most - window.weight(request)
    for at, other in newest_first:
        if window.scope(other) == window.scope(request):
            room -= window.weight(other)
            if room < 0:
                return at + window.length_s + _MARGIN_S
    return float("-inf")


class HistoryGate:
    """Let questions for history through as the windows allow, 50 of them open at most.

    Refused for pacing all the same, everything waits 15 s, 30 s, then 60 s; the fourth refusal is final. In lock-step
    (`paced` false) nothing waits for time: the clock of the run stands still meanwhile.
    """

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._turn = asyncio.Semaphore(_MAX_OPEN)
        self._sent: deque[Sent] = deque()
        self._blocked = float("-inf")

    def remember(self, before: Iterable[Sent]) -> None:
        """Count what an earlier process put, oldest first, at negative times (s): so long ago."""
        now = asyncio.get_running_loop().time()
        self._sent.extend((now + at, request) for at, request in before)

    def expected_s(self, requests: Iterable[HistoryRequest], answer_s: float) -> float:
        """Return how long it would take to put these one after the other, each answered in `answer_s`."""
        began = now = asyncio.get_running_loop().time()
        sent = deque(self._sent, maxlen=_WINDOWS[0].most)  # what came before has left every window
        for request in requests:
            now = earliest(request, now, sent)
            sent.append((now, request))
            now += answer_s
        return now - began

    async def ask(self, request: HistoryRequest, question: Callable[[], Awaitable[T]]) -> T:
        """Put the question when it may be put; PacingLimit when the gateway still refuses it."""
        for penalty in _PENALTIES_S if self._paced else ():
            try:
                return await self._ask(request, question)
            except PacingLimit:
                self._blocked = asyncio.get_running_loop().time() + penalty
        return await self._ask(request, question)

    async def _ask(self, request: HistoryRequest, question: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            if self._paced:
                await self._wait(request)
            return await question()

    async def _wait(self, request: HistoryRequest) -> None:
        clock = asyncio.get_running_loop().time
        while (wait_s := max(self._blocked, earliest(request, clock(), self._sent)) - clock()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait_s)  # not an event but a time, and meanwhile another may have gone first
        self._sent.append((clock(), request))
        while self._sent[0][0] < clock() - LONGEST_S:
            self._sent.popleft()
