"""The runner's single entrance: an ordered queue that is drained in batches.

Market data cannot make it grow under a slow runner: bars come only when the runner lets time pass, quotes with them,
and time that nobody has looked at yet is overtaken by later time. Messages about orders wait in full, however many.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from robotrader.ports import Arrival, TimeAdvanced


class Inbox:
    """First in, first out; `put` is called from the loop's callbacks and never blocks."""

    def __init__(self) -> None:
        self._items: deque[Arrival] = deque()
        self._some = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        """Append one arrival; time takes the place of the time before it."""
        last = self._items[-1] if self._items else None
        if isinstance(arrival, TimeAdvanced) and isinstance(last, TimeAdvanced) and not last.ended:
            self._items.pop()
        self._items.append(arrival)
        self._some.set()

    def drop(self, messages: Sequence[Arrival]) -> None:
        """Forget these very messages, where they wait."""
        dropped = {id(message) for message in messages}
        self._items = deque(arrival for arrival in self._items if id(arrival) not in dropped)

    def wake(self) -> None:
        """Let `take` return, even with nothing."""
        self._some.set()

    def __len__(self) -> int:
        """Return how many arrivals wait."""
        return len(self._items)

    async def take(self) -> list[Arrival]:
        """Wait for at least one arrival, or a `wake`, and return all that are there."""
        await self._some.wait()
        self._some.clear()
        taken = list(self._items)
        self._items.clear()
        return taken
