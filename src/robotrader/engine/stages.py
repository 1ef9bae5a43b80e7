"""The lifecycle of the strategies: gates let them on, guards take them back, each time with the numbers.

Judged once a session, before the first decision of the next one, and when an operator asks. Without rules, only
operators change stages.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

import msgspec

from robotrader.engine.control import TRADER
from robotrader.engine.stage_record import StageRecord, sections_due
from robotrader.engine.strategy_sizing import WHOLE, Mandate
from robotrader.model import (
    Action,
    BarsClosed,
    BarSpec,
    Criterion,
    Dossier,
    Event,
    Exit,
    Gate,
    LifecycleRules,
    RequestReceived,
    RunStarted,
    SessionTable,
    Stage,
    StageJudged,
    StrategyConfig,
    StrategyId,
)
from robotrader.strategy.gates import Judged, guards, judge

_DAY_NS = 86_400 * 10**9
_REAL = frozenset({Stage.CANARY, Stage.LIVE})
VIRTUAL = frozenset({Stage.SHADOW, Stage.PAPER, Stage.CANARY, Stage.LIVE})
_DOSSIER = msgspec.json.Decoder(Dossier)

Closing = Callable[[StageRecord], tuple[Decimal, tuple[int, int]]]
"""What a strategy's real book made in all, and how many signals were computed anew, how many otherwise."""


class Stages:
    """Where each strategy stands, and what was seen of it there."""

    def __init__(self) -> None:
        self.records: dict[StrategyId, StageRecord] = {}
        self.rules: LifecycleRules | None = None
        self.armed = False
        self._live = False
        self._sources: dict[StrategyId, str] = {}
        self._sessions: SessionTable | None = None
        self._spec = BarSpec.DAY
        self._last = 0

    def begin(self, run: RunStarted) -> None:
        """Take over a run's strategies: each goes on in its stage; the envelope must be armed anew."""
        self.rules, self.armed, self._live = run.lifecycle, False, run.mode == "live"
        self._sessions, self._sources = run.sessions, run.sources
        known = self.records
        self.records = {c.id: known.get(c.id) or StageRecord(c, self._first_share(c)) for c in run.strategies}
        for config in run.strategies:
            self.records[config.id].config = config

    def _first_share(self, config: StrategyConfig) -> float:
        if self.rules is None or config.stage is Stage.PAPER:
            return 1.0
        return {Stage.CANARY: self.rules.canary, Stage.LIVE: self.rules.ramp[0]}.get(config.stage, 0.0)

    def mandate(self, record: StageRecord) -> Mandate:
        """Return what a strategy may hold: real money needs an armed envelope, and paper never meets real money."""
        unarmed = self._live and self.rules is not None and not self.armed
        if not record.trades or (self._live and record.stage is Stage.PAPER):
            works_out = self.rules is not None and self.rules.exit is Exit.WORK_OUT
            return Mandate(Decimal(1) if works_out else Decimal(0), reduces=True)
        if record.share == 1 and not unarmed:
            return WHOLE
        return Mandate(Decimal(repr(record.share)), reduces=unarmed)

    def request(self, event: RequestReceived) -> list[StageJudged]:
        """Carry out what an operator asks of a stage; an answer says what a gate found."""
        record = self.records.get(event.strategy or StrategyId(""))
        match event.action:
            case Action.ARM:
                self.armed = True
            case Action.DEMOTE if record is not None:
                return [self._demote(record, event)]
            case Action.PROMOTE if record is not None:
                return self._promote(record, event)
            case _:
                pass
        return []

    def _demote(self, record: StageRecord, event: RequestReceived) -> StageJudged:
        """Take a strategy back to shadow, or out of service; what trades nothing cannot be taken back."""
        retired = event.change == Stage.RETIRED
        if not retired and not record.trades:
            found = Judged(Gate.OPERATOR, (), record.stage, record.share)
            return _told(record, event, found, reason=f"{record.stage} trades nothing", actor=event.actor)
        back = Judged(Gate.OPERATOR, (), Stage.RETIRED if retired else Stage.SHADOW, 0.0)
        return self._move(record, event, back, reason=event.reason, actor=event.actor)

    def _promote(self, record: StageRecord, event: RequestReceived) -> list[StageJudged]:
        """Take new evidence in and ask the gate of the stage that the strategy is in."""
        if self.rules is None:
            found = Judged(Gate.OPERATOR, (), record.stage, record.share)
            return [_told(record, event, found, reason="there is no [lifecycle] section", actor=event.actor)]
        if event.change:
            evidence = self._evidence(record, event.change)
            if isinstance(evidence, str):
                found = Judged(Gate.OPERATOR, (), record.stage, record.share)
                return [_told(record, event, found, reason=evidence, actor=event.actor)]
            record.evidence = evidence
        found = self._asked(record, self.rules)
        if found.met:
            return [self._move(record, event, found, reason=f"{found.gate} is met", actor=event.actor)]
        return [_told(record, event, found, reason=f"{found.gate} misses {_missing(found)}", actor=event.actor)]

    def _evidence(self, record: StageRecord, text: str) -> Dossier | str:
        """Return the evidence that a request brings, or why it is none for this strategy with this code."""
        try:
            found = _DOSSIER.decode(text)
        except msgspec.MsgspecError as error:
            return f"its evidence cannot be read: {error}"
        if found.strategy != record.config.id:
            return f"its evidence is of {found.strategy}"
        code = self._sources.get(record.config.id, found.source_hash)
        return found if found.source_hash == code else "its evidence is of other code than runs here"

    def hear(self, event: Event, commands: Iterable[object]) -> None:
        """Count what happened."""
        for record in self.records.values():
            record.hear(event, commands)

    def on_bars(self, event: BarsClosed, closing: Closing) -> Iterator[StageJudged]:
        """Judge every strategy on the session that ended before these bars, if one did."""
        before, self._last = self._last, event.ts_event
        if event.warmup or not before:
            return
        self._spec = event.bars[0].spec if event.bars else self._spec
        if before // _DAY_NS == event.ts_event // _DAY_NS:
            return
        for record in self.records.values():
            due = sections_due(self._sessions, self._spec, max(record.since, record.closed), before)
            record.close_session(before, *closing(record), due=due)
            if self.rules is not None and record.stage in VIRTUAL:
                yield from self._judge(record, event, self.rules)

    def _judge(self, record: StageRecord, event: Event, rules: LifecycleRules) -> Iterator[StageJudged]:
        """Take back what a guard does not let pass, else ask the gate; what stays is told when its reasons change."""
        tripped = tuple(c for c in guards(record.facts(), record.evidence, rules) if not c.met)
        if tripped and record.trades:
            record.evidence = None  # only new research leads on from here
            back = Judged(Gate.GUARD, tripped, Stage.SHADOW, 0.0)
            yield self._move(record, event, back, reason=f"beyond its guard: {_missing(back)}", actor=TRADER)
            return
        found = self._asked(record, rules)
        missing = _missing(found)
        if found.met:
            yield self._move(record, event, found, reason=f"{found.gate} is met", actor=TRADER)
        elif "sessions" not in missing and missing != record.told:
            record.told = missing
            yield _told(record, event, found, reason=f"{found.gate} misses {missing}", actor=TRADER)

    def _asked(self, record: StageRecord, rules: LifecycleRules) -> Judged:
        """Return what the gate of a strategy's stage says; for real money, with the envelope."""
        found = judge(record.stage, record.facts(), record.evidence, rules, share=record.share)
        if found.stage not in _REAL or not found.criteria:
            return found
        others = sum((r.capital for r in self.records.values() if r is not record and r.stage in _REAL), Decimal(0))
        asked = float(others + record.config.capital * Decimal(repr(found.share)))
        return found._replace(criteria=(
            *found.criteria,
            Criterion(name="armed", value=float(self.armed), bound=1.0, at_least=True, detail="the envelope"),
            Criterion(name="envelope_capital", value=asked, bound=float(rules.capital), at_least=False,
                      detail="of all strategies in CANARY and LIVE"),
        ))  # fmt: skip

    def _move(self, record: StageRecord, event: Event, found: Judged, *, reason: str, actor: str) -> StageJudged:
        told = _told(record, event, found, reason=reason, actor=actor)
        record.stage, record.share = found.stage, found.share
        record.start(event.ts_event)
        return told


def _missing(found: Judged) -> str:
    return ", ".join(c.name for c in found.criteria if not c.met)


def _told(record: StageRecord, event: Event, found: Judged, *, reason: str, actor: str) -> StageJudged:
    """Return what was decided; a strategy of which a gate misses something stays where it is."""
    goes = found.met or found.gate in {Gate.GUARD, Gate.OPERATOR}
    return StageJudged(
        ts_event=event.ts_event, strategy=record.config.id, gate=found.gate, before=record.stage,
        stage=found.stage if goes else record.stage, share=found.share if goes else record.share,
        criteria=found.criteria, reason=reason, actor=actor,
    )  # fmt: skip
