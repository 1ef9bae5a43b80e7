"""Questions for the broker's time: the runner's clock in lock-step, and the proof that the link lives."""

import asyncio
from collections.abc import Callable


class TimeRequests:
    """Call `ask` for one question at a time, and `on_silence` when its answer takes longer than `answer_timeout_s`.

    `beat_s` is the time between questions of our own; None: the runner's are the only ones.
    """

    def __init__(
        self, ask: Callable[[], None], on_silence: Callable[[], None], *, answer_timeout_s: float, beat_s: float | None
    ) -> None:
        self._ask = ask
        self._on_silence = on_silence
        self._answer_timeout_s = answer_timeout_s
        self._beat_s = beat_s
        self._asked = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat, on a new session."""
        if self._beat_s is not None:
            self.request()
            self._beat = asyncio.get_running_loop().call_later(self._beat_s, self.start)

    def stop(self) -> None:
        """Expect nothing any more."""
        for timer in (self._deadline, self._beat):
            if timer is not None:
                timer.cancel()
        self._deadline = self._beat = None

    def request(self) -> None:
        """Ask, unless a question is open."""
        if self._deadline is None:
            self._ask()
            loop = asyncio.get_running_loop()
            self._asked = loop.time()
            self._deadline = loop.call_later(self._answer_timeout_s, self._on_silence)

    def answered(self) -> float | None:
        """Return how long the answer took, s; None: nobody asked."""
        if self._deadline is None:
            return None
        self._deadline.cancel()
        self._deadline = None
        return asyncio.get_running_loop().time() - self._asked
