"""The order in which, and how fast, messages leave."""

import asyncio
from collections import deque
from collections.abc import Callable

Write = Callable[[], object]

_PER_SLICE = 4  # 40 a second in even slices; IBKR disconnects above 50 a second, and slow hosts choke on bursts
_SLICE_S = 0.1


class SendQueue:
    """Cancels first, then first come first served.

    Parameters
    ----------
    shaped : bool
        Send at most 4 messages in 100 ms. In lock-step nothing waits: the clock of the run stands still meanwhile.
    """

    def __init__(self, *, shaped: bool) -> None:
        self._shaped = shaped
        self._urgent: deque[tuple[Write, int | None]] = deque()
        self._normal: deque[tuple[Write, int | None]] = deque()
        self._slice_start = float("-inf")
        self._credit = 0
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._urgent) + len(self._normal)

    def put(self, write: Write, *, order_id: int | None = None) -> None:
        """Queue a message, `order_id` if it places that order."""
        self._normal.append((write, order_id))
        self._flush()

    def put_first(self, write: Write, *, order_id: int | None = None) -> None:
        """Queue a message before all others, but behind the placing of the order that it cancels.

        A cancel that overtook its order would be refused, and the order would then go live.
        """
        if order_id is not None:
            for entry in [e for e in self._normal if e[1] == order_id]:
                self._normal.remove(entry)
                self._urgent.append(entry)
        self._urgent.append((write, None))
        self._flush()

    def withdraw(self) -> list[int]:
        """Drop the placing of every order that waits, and return those orders' ids: provably, nothing of them left."""
        waiting = [*self._urgent, *self._normal]
        self._urgent = deque(e for e in self._urgent if e[1] is None)
        self._normal = deque(e for e in self._normal if e[1] is None)
        return [order_id for _, order_id in waiting if order_id is not None]

    def clear(self) -> list[int]:
        """Drop all that waits; return the orders as `withdraw` does."""
        orders = self.withdraw()
        self._urgent.clear()
        self._normal.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return orders

    def _flush(self) -> None:
        """Send what may leave now; the rest waits for the next slice, and what a write queues until that is done."""
        if self._timer is not None or self._writing:
            return
        if self._shaped and (now := asyncio.get_running_loop().time()) >= self._slice_start + _SLICE_S:
            self._slice_start, self._credit = now, _PER_SLICE
        while len(self) and (self._credit or not self._shaped):
            self._credit -= 1
            self._writing = True
            try:
                (self._urgent or self._normal).popleft()[0]()
            finally:
                self._writing = False
        if len(self):
            self._timer = asyncio.get_running_loop().call_at(self._slice_start + _SLICE_S, self._next_slice)

    def _next_slice(self) -> None:
        self._timer = None
        self._flush()
