"""What this machine lets trading be: a disk that fills up, a database that becomes slow."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from robotrader.model import NANOS_PER_SECOND, ConditionChanged, HostCondition, TradingState
from robotrader.ports import HostFacts

_Ratio = Annotated[float, Meta(ge=0, le=1)]
_Seconds = Annotated[float, Meta(ge=0)]


class HostLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on trading only reduces, and from where on it halts.

    By the free part of the disk, the time of one commit of the journal, and how far host's and broker's clocks are
    apart (judged by the link's supervisor). `clean_s`: what only reduces ends when it was better for so long.
    """

    reducing_disk_ratio: _Ratio = 0.10
    halted_disk_ratio: _Ratio = 0.03
    reducing_commit_s: _Seconds = 2.0
    halted_commit_s: _Seconds = 10.0
    reducing_clock_s: _Seconds = 0.5
    halted_clock_s: _Seconds = 2.0
    clean_s: _Seconds = 60.0

    def of_clocks(self, skew_s: float) -> TradingState:
        """Return what clocks that are so far apart let trading be."""
        return _state(abs(skew_s), self.reducing_clock_s, self.halted_clock_s)


class HostWatch:
    """Tell of a condition when it changes: at once when it becomes worse, and better only after a while."""

    def __init__(self, limits: HostLimits) -> None:
        self._limits = limits
        self._states: dict[HostCondition, TradingState] = {}
        self._as_bad: dict[HostCondition, int] = {}

    def look(self, facts: HostFacts, now: int) -> list[ConditionChanged]:
        """Return what has changed by what was measured at `now`, ns UTC."""
        changed = []
        for condition, state, detail in _judge(facts, self._limits):
            before = self._states.get(condition, TradingState.ACTIVE)
            if state.severity >= before.severity:
                self._as_bad[condition] = now
            elif now - self._as_bad[condition] < self._limits.clean_s * NANOS_PER_SECOND:
                continue
            if state is not before:
                self._states[condition] = state
                changed.append(
                    ConditionChanged(ts_event=now, ts_init=now, condition=condition, state=state, detail=detail)
                )
        return changed


def _judge(facts: HostFacts, limits: HostLimits) -> Iterator[tuple[HostCondition, TradingState, str]]:
    """Yield how each condition is that was measured, and in words."""
    if (free := facts.disk_free_ratio) is not None:
        state = _state(-free, -limits.reducing_disk_ratio, -limits.halted_disk_ratio)
        yield HostCondition.DISK, state, f"{free:.1%} of the disk is free"
    if (took_s := facts.commit_s) is not None:
        state = _state(took_s, limits.reducing_commit_s, limits.halted_commit_s)
        yield HostCondition.DATABASE, state, f"the journal took {took_s:.1f} s for a batch"


def _state(value: float, reducing: float, halted: float) -> TradingState:
    if value > halted:
        return TradingState.HALTED
    return TradingState.REDUCING if value > reducing else TradingState.ACTIVE
