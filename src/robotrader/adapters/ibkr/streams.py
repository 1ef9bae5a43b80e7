"""What comes by itself for each instrument, kept coming over sessions."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.translate import Send
from robotrader.model import ConnectionLost, Instrument, RoboTraderError

_log = logging.getLogger(__name__)

_AGAIN_S = 60.0

Ended = asyncio.Future[list[Any]]
"""A subscription under way; it ends with an error only."""

Subscribe = Callable[[], Awaitable[Ended]]


class Stream(NamedTuple):
    """One kind of subscription: its messages, where what comes goes, and what it is called where there is none.

    `admit` sends a request when it may be sent.
    """

    watch: Callable[[int, Instrument], Send]
    drop: Callable[[int], Send]
    take: Callable[[Instrument, Any], object]
    admit: Callable[[Instrument, Subscribe], Awaitable[Ended]]
    without: str


class Streams:
    """Hold one subscription for each instrument in every session; one that fails is tried again each minute."""

    def __init__(
        self, connection: IbkrConnection, instruments: Sequence[Instrument], stream: Stream, *, name: str
    ) -> None:
        self._connection = connection
        self._instruments = instruments
        self._stream = stream
        self._open: dict[asyncio.Task[None], int] = {}
        connection.subscribe(name, lambda _client: self._start(), lambda _client: self._stop())

    def _start(self) -> None:
        """Begin anew: nothing of an earlier session goes on."""
        self._stop()
        for instrument in self._instruments:
            self._open[asyncio.ensure_future(self._keep(instrument))] = 0

    def _stop(self) -> None:
        for task, number in self._open.items():
            if task.cancel() and self._connection.connected:
                self._connection.pending.end(number)
                self._connection.send(self._stream.drop(number))
        self._open.clear()

    async def _keep(self, instrument: Instrument) -> None:
        """Hold a subscription until the session ends; why there is none is said once."""
        task, said = asyncio.current_task(), ""
        while task is not None:
            self._open[task] = number = self._connection.request_id()
            try:
                await (await self._stream.admit(instrument, partial(self._subscribe, instrument, number)))
            except ConnectionLost:
                return
            except RoboTraderError as error:
                if (reason := str(error)) != said:
                    _log.warning("%s %s: %s", instrument.id, self._stream.without, reason)
                    said = reason
            await asyncio.sleep(_AGAIN_S)

    async def _subscribe(self, instrument: Instrument, number: int) -> Ended:
        ended = self._connection.pending.open(number, partial(self._stream.take, instrument))
        self._connection.send(self._stream.watch(number, instrument))
        return ended
