"""The trader with the lifecycle of its strategies: each in its stage, with its virtual book, on the same bars."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import nan

from msgspec import structs

from robotrader.engine.stage_record import StageRecord
from robotrader.engine.stages import VIRTUAL, Stages
from robotrader.engine.trader import Trader
from robotrader.engine.virtual_book import HEARD, VirtualBook
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BarsClosed,
    Instrument,
    InstrumentId,
    Manifest,
    RequestReceived,
    RunStarted,
    SignalsComputed,
    Stage,
    StageJudged,
    StrategyConfig,
    StrategyError,
    StrategyId,
    TradingState,
    VirtualTraded,
)
from robotrader.risk.triggers import Trip
from robotrader.strategy.contract import SignalSource, SourceFactory
from robotrader.strategy.hosted import HostedRows


class _Shared:
    """What one strategy says, for its real and its virtual book: it is asked once.

    One that breaks its contract has no view from then on; `fault` says why.
    """

    def __init__(self, source: SignalSource, width: int) -> None:
        self._source = source
        self._none = (nan,) * width
        self.fault = ""
        self._ts = -1
        self._split: tuple[object, ...] = ()
        self.said: Sequence[float] = ()

    def hear(self, event: SignalsComputed) -> None:
        """Take in what a process of its own says of the bars that come next."""
        if isinstance(self._source, HostedRows):
            self._source.hear(event)

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        """Return the strengths at these bars."""
        if event.ts_event != self._ts:
            self._ts = event.ts_event
            try:
                self.said = self._none if self.fault else self._source.on_bars(event)
            except StrategyError as error:  # its own bug: the others go on
                self.said, self.fault = self._none, error.message
        return self.said

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Go on in new units, once."""
        if (instrument, ratio, ex_at) != self._split:
            self._split = instrument, ratio, ex_at
            self._source.on_split(instrument, ratio, ex_at)

    def compared(self) -> tuple[int, int]:
        """Return how many signals were computed anew since the last time, and how many came out otherwise."""
        return (0, 0) if self.fault else self._source.compared()


class StagedTrader(Trader):
    """The core that a running trader has; a backtest, and a virtual book, need no stages."""

    def __init__(self, source: SourceFactory) -> None:
        self._make = source
        self._shared: dict[StrategyId, tuple[object, Manifest, _Shared]] = {}
        self._run: RunStarted | None = None
        super().__init__(self._share)
        self.stages = Stages()

    def _share(self, config: StrategyConfig, instruments: tuple[Instrument, ...]) -> tuple[Manifest, SignalSource]:
        """Return the source of a strategy for one of its books: the same for all, while its configuration is.

        One in a process of its own starts anew with other code; of one in this process, a replay has seen it all.
        """
        hosted = self._run.manifests.get(config.id) if self._run else None
        code = self._run.sources.get(config.id) if self._run and hosted else None
        key, width = (structs.replace(config, stage=Stage.PAPER), hosted, code), len(config.universe)
        if config.id not in self._shared or self._shared[config.id][0] != key:
            manifest, source = (hosted, HostedRows(width)) if hosted else self._make(config, instruments)
            self._shared[config.id] = key, manifest, _Shared(source, width)
        return self._shared[config.id][1:]

    def handle(self, event: AnyEvent) -> Sequence[AnyCommand]:
        """Take one event in: first what it means for stages, then for the real books, then for the virtual ones."""
        if isinstance(event, SignalsComputed):
            self._shared[event.strategy][2].hear(event)
            return ()
        self._run = event if isinstance(event, RunStarted) else self._run
        judged = self._judged(event)
        if judged:
            self._entrust()
        commands = super().handle(event)
        if isinstance(event, RunStarted):
            self._follow(event)
        commands = [*commands, *self._quarantined(event)] if isinstance(event, BarsClosed) else commands
        self.stages.hear(event, commands)
        played = [told for record in self.stages.records.values() for told in self._play(record, event)]
        return [*judged, *commands, *played] if judged or played else commands

    def _judged(self, event: AnyEvent) -> Sequence[StageJudged]:
        match event:
            case BarsClosed():
                return [*self.stages.on_bars(event, self._closing)]
            case RequestReceived():
                return self.stages.request(event)
            case _:
                return ()

    def _quarantined(self, event: BarsClosed) -> Iterator[AnyCommand]:
        """Let the positions of a strategy that broke its contract only become smaller; the others go on."""
        for strategy, (_, _, shared) in self._shared.items():
            record = self.stages.records.get(strategy)
            if shared.fault and record is not None and not record.faults:
                record.faults.append(shared.fault)
                trip = Trip(TradingState.REDUCING, f"quarantined: {shared.fault}")
                yield from self.control.tighten(event, trip, strategy)

    def _closing(self, record: StageRecord) -> tuple[Decimal, tuple[int, int]]:
        """Return what a strategy's real book made in all, and how its signals compare with those computed anew."""
        book = self.ledger.book(record.config.id)
        made = self.ledger.mark(book, self._values.price).equity - book.capital
        return made, self._shared[record.config.id][2].compared()

    def _follow(self, run: RunStarted) -> None:
        """Take over a run's strategies, each with the virtual book that its stage, or a later one, needs."""
        self.stages.begin(run)
        for record in self.stages.records.values():
            if record.virtual is None and (run.lifecycle is not None or record.stage is Stage.SHADOW):
                record.virtual = VirtualBook(self._share)
            if record.virtual is not None:
                record.virtual.begin(run, record.config)
            if not self._shared[record.config.id][2].fault:  # it is other code by now
                record.faults.clear()
        self._entrust()

    def _entrust(self) -> None:
        """Let every strategy trade as its stage allows."""
        for runtime in self._runtimes:
            record = self.stages.records[runtime.config.id]
            self._briefing.stages[record.config.id] = self._crossing.stages[record.config.id] = record.stage
            mandate = self.stages.mandate(record)
            if mandate != runtime.sizing.mandate:
                runtime.entrust(mandate)

    def _play(self, record: StageRecord, event: AnyEvent) -> Sequence[VirtualTraded]:
        """Let a strategy's virtual book follow; it only watches where the stage has none."""
        if record.virtual is None or not isinstance(event, HEARD):
            return ()
        if isinstance(event, BarsClosed) and not event.warmup:
            record.on_bars(event, self._shared[record.config.id][2].said)
            if record.stage not in VIRTUAL:
                event = structs.replace(event, warmup=True)
        return record.virtual.handle(event)
