"""An inbox that a test can wait on."""

import asyncio
from typing import TypeVar

from robotrader.ports import Arrival

A = TypeVar("A")


class Arrivals:
    """Keep all arrivals, in order."""

    def __init__(self) -> None:
        self.all: list[Arrival] = []
        self._news = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        """Append one arrival."""
        self.all.append(arrival)
        self._news.set()

    def of(self, kind: type[A]) -> list[A]:
        """Return the arrivals of one kind."""
        return [a for a in self.all if isinstance(a, kind)]

    async def next(self) -> None:
        """Wait until something arrives."""
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), 10)

    async def until(self, kind: type[A], count: int = 1) -> list[A]:
        """Wait until so many of a kind have arrived, and return them."""

        async def wait() -> list[A]:
            while len(found := self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
            return found

        return await asyncio.wait_for(wait(), 10)
