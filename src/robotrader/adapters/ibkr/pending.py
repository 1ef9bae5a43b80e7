"""Questions put to the gateway that still wait for their End marker."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from robotrader.model import InvariantViolation, RoboTraderError


class Question(StrEnum):
    """What can be asked as a whole; the answer is complete at its End marker, never before."""

    OPEN_ORDERS = "open orders"
    COMPLETED_ORDERS = "completed orders"
    EXECUTIONS = "executions"
    COMMISSIONS = "commissions"
    POSITIONS = "positions"
    ACCOUNT = "account values"
    NEXT_ID = "next order id"


FIRST_REQUEST_ID = 10_000_000
"""Ids of our requests; order ids stay below, so that an error's id says what it is about."""

Key = int | Question
"""A request id, or the question itself where the protocol gives its answer no id."""


class PendingRequests:
    """Collect the parts of answers; a part or End nobody waits for is nobody's: a late one is never another's."""

    def __init__(self) -> None:
        self._waiting: dict[Key, tuple[list[Any], Callable[[Any], object], asyncio.Future[list[Any]]]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def open(self, key: Key, take: Callable[[Any], object] | None = None) -> "asyncio.Future[list[Any]]":
        """Start collecting; the result are the parts, once the End has come.

        With `take` each part goes there at once instead: such a stream ends with an error only.
        """
        if key in self._waiting:  # the answers could not be told apart
            raise InvariantViolation(f"{key} was asked twice at once", key=key)
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda f: f.cancelled() or f.exception())  # one that nobody awaits any more is no news
        parts: list[Any] = []
        self._waiting[key] = (parts, take or parts.append, answer)
        return answer

    def add(self, key: Key, part: object) -> bool:
        """Append one part; tell whether somebody waits for it."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting[1](part)
        return waiting is not None

    def end(self, key: Key, error: RoboTraderError | None = None) -> None:
        """Complete an answer, or end it with an error."""
        waiting = self._waiting.pop(key, None)
        if waiting is None or waiting[2].done():
            return
        parts, _, answer = waiting
        if error is None:
            answer.set_result(parts)
        else:
            answer.set_exception(error)

    def fail_all(self, error: RoboTraderError) -> None:
        """End every question: the link is gone."""
        for key in list(self._waiting):
            self.end(key, error)
