"""What an operator may ask for here, and each of it once. The callable handed in does the writing."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct
from werkzeug.exceptions import Conflict

from robotrader.model import Action

KEPT_KEYS = 1_000


class RequestAck(Struct, frozen=True, kw_only=True):
    """The request is durable: as a row in the journal (`recorded`), or as the HALT flag file (`flagged`), or both."""

    request_id: str
    action: Action
    recorded: bool = True
    flagged: bool = False


SubmitRequest = Callable[[Action, str, str], RequestAck]
"""Take (action, reason, actor) and return when it is durable; may block, it is called in a thread."""


class RequestDesk:
    """Pass every request on once per idempotency key, however often it arrives."""

    def __init__(self, submit: Callable[[Action, str, str], Awaitable[RequestAck]]) -> None:
        self._submit = submit
        self._taken: dict[tuple[str, str], tuple[Action, str, asyncio.Future[RequestAck]]] = {}

    async def take(self, key: str, *, action: Action, reason: str, actor: str) -> RequestAck:
        """Submit the request, or give the answer of the first one with this actor and key.

        Raises `Conflict` if the key was used for another request.
        """
        known = self._taken.get((actor, key))
        if known is not None and known[:2] != (action, reason):
            raise Conflict("This Idempotency-Key belongs to another request.")
        if known is None or (known[2].done() and known[2].exception()):  # what failed may be tried again
            future = asyncio.ensure_future(self._submit(action, reason, actor))
            self._taken[actor, key] = known = (action, reason, future)
            while len(self._taken) > KEPT_KEYS:
                del self._taken[next(iter(self._taken))]
        return await asyncio.shield(known[2])  # a browser that goes away must not undo a halt
