"""Who asked for what: some things take several people."""

from collections.abc import Hashable

from robotrader.model import NANOS_PER_SECOND

_VALID_NS = 900 * NANOS_PER_SECOND


class Approvals:
    """Count the different people who asked for the same thing within a quarter of an hour."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, dict[str, int]] = {}

    def ask(self, what: Hashable, actor: str, ts: int, *, needed: int) -> bool:
        """Note who asks, ns UTC, and tell whether enough people did; then it counts anew."""
        asked = self._asked.setdefault(what, {})
        asked[actor] = ts
        if sum(at > ts - _VALID_NS for at in asked.values()) < needed:
            return False
        del self._asked[what]
        return True

    def forget(self, *whats: Hashable) -> None:
        """Forget who asked for these things."""
        for what in whats:
            self._asked.pop(what, None)
