"""What is seen of one strategy since its stage began: the facts that gates and guards judge."""

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import islice

import numpy as np

from robotrader.engine.slippage import Slippages
from robotrader.engine.virtual_book import VirtualBook
from robotrader.model import (
    STRENGTH_BINS,
    BarsClosed,
    BarSpec,
    BreakOpened,
    Dossier,
    Event,
    OrderFilled,
    OrderRejected,
    SessionTable,
    Stage,
    StageFacts,
    StrategyConfig,
    Submit,
    TradingHalted,
)
from robotrader.strategy.gates import counted

_ZERO = Decimal(0)
_SESSIONS_KEPT = 250


class StageRecord:
    """One strategy in its stage: what it may use, what research said of it, and what was seen since `since`."""

    def __init__(self, config: StrategyConfig, share: float) -> None:
        self.config = config
        self.stage, self.share = config.stage, share
        self.evidence: Dossier | None = None
        self.virtual: VirtualBook | None = None
        self.told = ""  # what was missing when that was last recorded
        self.closed = 0
        self._made: deque[Decimal] = deque(maxlen=_SESSIONS_KEPT)
        self._real = _ZERO
        self._said = np.zeros(len(STRENGTH_BINS) + 1, dtype=np.int64)
        self.faults: list[str] = []  # they outlast a stage: only other code takes them away
        self.start(0)

    def start(self, ts: int) -> None:
        """Count from now on, ns UTC: a stage, or a step of the ramp, begins."""
        self.since, self.told = ts, ""
        self.sessions = self.sections = self.sections_due = self.bars = 0
        self.signals = self.differing = self.orders = self.rejected = self.breaches = self.breaks = 0
        self.decided = self.refused = 0
        self.slippages = Slippages()
        self._said[:] = 0
        self._returns: list[float] = []
        self._virtual_returns: list[float] = []
        self._start = self._real
        if self.virtual is not None:
            self.virtual.slippages = Slippages()
            self.decided, self.refused = self.virtual.decided, self.virtual.refused

    @property
    def trades(self) -> bool:
        """Tell whether its orders go to a broker."""
        return self.stage in {Stage.PAPER, Stage.CANARY, Stage.LIVE}

    @property
    def capital(self) -> Decimal:
        """Return what its orders may use, in account currency; 0 where none go to a broker."""
        return self.config.capital * Decimal(repr(self.share)) if self.trades else _ZERO

    def hear(self, event: Event, commands: Iterable[object]) -> None:
        """Count what happened to its orders, and what broke."""
        match event:
            case OrderFilled(fill=fill):
                self.slippages.filled(fill)
            case OrderRejected() if event.order_id in self.slippages:
                self.rejected += 1
            case BreakOpened():
                self.breaks += 1
            case TradingHalted():
                self.breaches += 1
            case _:
                pass
        for command in commands:
            if isinstance(command, Submit) and command.order.strategy == self.config.id:
                self.slippages.sent(command.order, event)
                self.orders += 1

    def on_bars(self, event: BarsClosed, said: Sequence[float]) -> None:
        """Count a cross-section, its bars, and what the strategy said."""
        self.sections += 1
        self.bars += sum(bar.instrument in self.config.universe for bar in event.bars)
        self._said += counted(np.asarray(said, dtype=np.float64))

    def close_session(self, ts: int, real: Decimal, compared: tuple[int, int], *, due: int | None) -> None:
        """Take in a session that ended at `ts`: what the `real` book made in all, signals computed anew, and otherwise.

        `due` cross-sections should have come; None: nobody knows.
        """
        self.sessions += 1
        self.closed = ts
        self.sections_due = self.sections if due is None else self.sections_due + due
        self.signals, self.differing = self.signals + compared[0], self.differing + compared[1]
        virtual, before = self.virtual.profit if self.virtual else _ZERO, self._made[-1] if self._made else _ZERO
        if self.capital:
            self._returns.append(float((real - self._real) / self.capital))
            self._virtual_returns.append(float((virtual - before) / self.config.capital))
        self._real = real
        self._made.append(virtual)

    def facts(self) -> StageFacts:
        """Return what was seen."""
        own, virtual = self.slippages.bps(), self.virtual.slippages.bps() if self.virtual else {}
        return StageFacts(
            sessions=self.sessions, sections=self.sections, sections_due=self.sections_due, bars=self.bars,
            bars_due=self.sections_due * len(self.config.universe), signals=self.signals,
            signals_differing=self.differing,
            virtual_orders=self.virtual.decided - self.decided if self.virtual else 0,
            virtual_denied=self.virtual.refused - self.refused if self.virtual else 0,
            orders=self.orders, rejected=self.rejected, breaches=self.breaches, breaks=self.breaks,
            slippage_bps=tuple(own.values()),
            slippage_excess_bps=tuple(own[intent] - virtual[intent] for intent in own if intent in virtual),
            returns=tuple(self._returns), virtual_returns=tuple(self._virtual_returns), drawdown=self._drawdown(),
            loss=max(self._start - self._real, _ZERO), capital=self.capital,
            strengths=tuple(self._said.tolist()), faults=tuple(self.faults),
        )  # fmt: skip

    def _drawdown(self) -> float:
        """Return how far the virtual book is at its deepest below its best, within the sessions of the band."""
        span = self.evidence.band_sessions if self.evidence else 0
        best, deepest = None, _ZERO
        for made in islice(self._made, max(len(self._made) - span - 1, 0), None):
            best = made if best is None else max(best, made)
            deepest = max(deepest, best - made)
        return float(deepest / self.config.capital) if self.config.capital else 0.0


def sections_due(sessions: SessionTable | None, spec: BarSpec, since: int, until: int) -> int | None:
    """Return how many cross-sections were due after `since` and up to `until`, ns UTC; None where nobody knows."""
    if sessions is None:
        return None
    due = 0
    for opened, closed in zip(sessions.opens, sessions.closes, strict=True):
        first, last = max(opened, since), min(closed, until)
        if last > first:
            due += 1 if spec is BarSpec.DAY else -(-(last - first) // spec.nanos)
    return due
