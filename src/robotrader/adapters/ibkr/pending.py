"""Questions put to the gateway that still wait for their End marker."""

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


Key = int | Question
"""A request id, or the question itself where the protocol gives its answer no id."""

Answered = Callable[[list[Any], RoboTraderError | None], None]
"""Called once with the parts of the answer and None, or with what came so far and the error."""


class PendingRequests:
    """Collect the parts of answers; a part or End that nobody waits for is nobody's."""

    def __init__(self) -> None:
        self._waiting: dict[Key, tuple[list[Any], Answered]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def open(self, key: Key, answered: Answered) -> None:
        """Start collecting.

        Raises
        ------
        InvariantViolation
            The same question is under way: its answers could not be told apart.
        """
        if key in self._waiting:
            raise InvariantViolation(f"{key} was asked twice at once", key=key)
        self._waiting[key] = ([], answered)

    def add(self, key: Key, part: object) -> bool:
        """Append one part; tell whether somebody waits for it."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return False
        waiting[0].append(part)
        return True

    def end(self, key: Key, error: RoboTraderError | None = None) -> None:
        """Complete an answer, or end it with an error."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            parts, answered = waiting
            answered(parts, error)

    def forget(self, key: Key) -> None:
        """Stop waiting; a late answer is nobody's and can never be taken for another one."""
        self._waiting.pop(key, None)

    def fail_all(self, error: RoboTraderError) -> None:
        """End every question: the link is gone."""
        for key in list(self._waiting):
            self.end(key, error)
