"""One configured strategy in the trader: what it said last, and which of its targets must be sized anew."""

from collections.abc import Set

from robotrader.engine.exits import TimeExits
from robotrader.engine.strategy_sizing import Change, Mandate, StrategySizing
from robotrader.model import (
    BarsClosed,
    CorporateActionDue,
    CorporateActionKind,
    InstrumentId,
    Manifest,
    Resize,
    StrategyConfig,
    StrategyId,
)
from robotrader.portfolio.ledger import Book
from robotrader.strategy.contract import SignalSource


class StrategyRuntime:
    """One configured strategy with its last strengths."""

    __slots__ = ("again", "config", "ended", "exits", "manifest", "resize", "sizing", "source", "strengths")

    def __init__(self, config: StrategyConfig, manifest: Manifest, source: SignalSource) -> None:
        self.config = config
        self.manifest = manifest
        self.source = source
        self.sizing = StrategySizing(config)
        self.resize = (config.resize or manifest.resize) is Resize.EVERY_BAR
        self.strengths: list[float | None] = [None] * len(config.universe)
        self.again: set[int] = set()
        self.exits = TimeExits(config.time_exit)
        self.ended: set[int] = set()

    def changed(self, event: BarsClosed, book: Book) -> list[Change]:
        """Return (instrument, strength, strength before) where a target must be sized anew; NaN is no view.

        An exit that came to nothing is sized anew as well: no halt, refusal or crash may strand a position. One that
        was held for too long is to be closed, and stays so until the strength changes.
        """
        strengths = self.source.on_bars(event)
        if event.warmup:
            return []
        found: list[Change] = []
        before, overdue = self.strengths, self.exits.overdue(event.ts_event, book.held())
        for k, strength in enumerate(strengths):
            known = strength == strength  # noqa: PLR0124 - not NaN
            if not ((known and (strength != before[k] or self.resize)) or overdue or k in self.again):
                continue
            wanted = self._wanted(k, strength if known else None, overdue=self.config.universe[k] in overdue)
            if wanted is not None:
                found.append((self.config.universe[k], wanted, before[k]))
                before[k] = strength if known else before[k]
                self.again.discard(k)
        return self.sizing.widen(found, self._views(), event.bars) if found and self.sizing.sizer.constructs else found

    def _views(self) -> dict[InstrumentId, float]:
        """Return what is to be held long or short as the strategy last saw it."""
        views = enumerate(zip(self.config.universe, self.strengths, strict=True))
        return {iid: strength for k, (iid, strength) in views if strength and k not in self.ended}

    def _wanted(self, k: int, strength: float | None, *, overdue: bool) -> float | None:
        """Return the strength to size an instrument to, None for none; what ended by age is 0 until there is news."""
        if strength is not None and strength != self.strengths[k]:
            self.ended.discard(k)
            return strength
        if overdue:
            self.ended.add(k)
        if k in self.ended:
            return 0.0 if overdue or k in self.again else None
        return strength if k in self.again or self.resize else None

    def reasons(self, instrument: InstrumentId) -> dict[str, str]:
        """Return what beside its signals says how a target came about."""
        ended = self.config.universe.index(instrument) in self.ended
        return {"time_exit": str(self.config.time_exit)} if ended else {}

    def on_action(self, event: CorporateActionDue, stopped: Set[StrategyId]) -> None:
        """Go on in new units; a target whose order was in old ones is sized anew at the next bar."""
        if event.instrument not in self.config.universe:
            return
        if event.action.kind is CorporateActionKind.SPLIT:
            self.source.on_split(event.instrument, float(event.action.ratio), event.action.ex_at)
        if self.config.id in stopped:
            self.try_again(event.instrument)

    def entrust(self, mandate: Mandate) -> None:
        """Go on with another mandate: every target is sized anew at the next bar."""
        self.sizing.mandate = mandate
        self.again |= set(range(len(self.config.universe)))

    def try_again(self, instrument: InstrumentId) -> None:
        """Size an instrument anew at the next bar."""
        if instrument in self.config.universe:
            self.again.add(self.config.universe.index(instrument))
