"""An inbox, and a listener to the session, that a test can wait on."""

import asyncio
from typing import TypeVar

from robotrader.adapters.ibkr.connection import Listener
from robotrader.adapters.ibkr.errors import ErrorClass
from robotrader.ports import Arrival

A = TypeVar("A")


class Arrivals(Listener):
    """Keep all arrivals, and why sessions ended, in order."""

    def __init__(self) -> None:
        self.all: list[Arrival] = []
        self.downs: list[str] = []
        self.notices: list[tuple[ErrorClass, str]] = []
        self._news = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        """Append one arrival."""
        self.all.append(arrival)
        self._news.set()

    def down(self, reason: str) -> None:
        """Keep the reason."""
        self.downs.append(reason)
        self._news.set()

    def notice(self, kind: ErrorClass, text: str) -> None:
        """Keep what the gateway says of itself."""
        self.notices.append((kind, text))
        self._news.set()

    def of(self, kind: type[A]) -> list[A]:
        """Return the arrivals of one kind."""
        return [a for a in self.all if isinstance(a, kind)]

    async def next(self) -> None:
        """Wait until something arrives."""
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), 10)

    async def ended(self, count: int = 1) -> list[str]:
        """Wait until so many sessions have ended, and return why."""
        while len(self.downs) < count:
            await self.next()
        return self.downs

    async def noticed(self, kind: ErrorClass) -> None:
        """Wait until the gateway has said something of a kind."""
        while kind not in [k for k, _ in self.notices]:
            await self.next()

    async def until(self, kind: type[A], count: int = 1) -> list[A]:
        """Wait until so many of a kind have arrived, and return them."""

        async def wait() -> list[A]:
            while len(found := self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
            return found

        return await asyncio.wait_for(wait(), 10)
