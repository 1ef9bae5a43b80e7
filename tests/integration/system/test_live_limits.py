"""All 26 checks of the profile `live` on a running trader: an ordinary entry passes, a missing fact denies it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import cache
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from msgspec import structs

from robotrader import bootstrap
from robotrader.adapters.calendar import session_table
from robotrader.config import BrokerSettings, DataSettings, RiskSettings, Settings, load_settings
from robotrader.data.seeded import SeedSpec, generate
from robotrader.engine import runner
from robotrader.engine.response import respond
from robotrader.engine.trader import Trader
from robotrader.model import (
    AccountReported,
    AnyCommand,
    AnyEvent,
    BarsClosed,
    BarSpec,
    BorrowReported,
    Deny,
    HaltReported,
    LinkChanged,
    MarginPreviewed,
    MarketDataReported,
    MarketDataType,
    OrderAccepted,
    OrderCanceled,
    OrderSending,
    OrderSuspended,
    RiskCheck,
    RunStarted,
    Side,
    Stage,
    StrategyConfig,
    StrategyId,
    Submit,
    decode_event,
)
from robotrader.simulation.gateway import GatewayConfig
from robotrader.simulation.gateway.faults import Fault, FaultScript
from robotrader.strategy.loading import trailing_source
from tests.virtual.loop import VirtualLoop, run

SESSIONS = session_table("2024-01-02", "2024-03-28")
SECOND = 10**9
SHIPPED = Path(__file__).resolve().parents[3] / "config"
HOLD, SHORT = (f"{Path(__file__).with_name('hold.py')}:{name}" for name in ("Hold", "HoldShort"))
BEFORE_S = 600
"""The trader starts so long before a bar closes."""

Change = Callable[[AnyEvent], AnyEvent | None]


TROUBLE = {
    "limit state": Fault(do="limit-state", at=60, symbol="AAA", seconds=3_600),
    "nothing to borrow": Fault(do="lend", at=60, symbol="AAA", quantity=50),
}


class Trial(NamedTuple):
    """A trader that decides on one bar, within its session or at its close, after at least 21 sessions."""

    source: str = HOLD
    sizer: str = "fixed:100"
    spec: BarSpec = BarSpec.MINUTE_15
    capital: int = 1_000_000
    risk: RiskSettings = RiskSettings(profile="live")
    trouble: str = ""
    after_s: int = 45


@cache
def heard(trial: Trial) -> Sequence[AnyEvent]:
    """Return the events of a trader on the gateway simulator; its time is virtual."""
    bars, first = (650, 590) if trial.spec is BarSpec.MINUTE_15 else (50, 32)
    panel = generate(SeedSpec(seed=11, symbols=("AAA",), spec=trial.spec, bars=bars), SESSIONS)
    start = int(panel.ts[first]) - BEFORE_S * SECOND
    faults = (TROUBLE[trial.trouble],) if trial.trouble else ()
    strategy = StrategyConfig(id=StrategyId("hold"), source=trial.source, universe=panel.ids, sizer=trial.sizer,
                              capital=Decimal(trial.capital), stage=Stage.LIVE)  # fmt: skip

    async def live(loop: VirtualLoop, state: Path) -> list[AnyEvent]:
        def now() -> int:
            return start + round(loop.time() * SECOND)

        stop = asyncio.Event()
        config = GatewayConfig(nights=True, start=start, tick_s=1.0, initial_cash=Decimal(trial.capital),
                               faults=FaultScript(faults=faults))  # fmt: skip
        async with bootstrap.serving(panel, bootstrap.Costs(), config) as port:
            settings = Settings(
                broker=BrokerSettings(port=port, account="DU1234567", restart_at="02:00", borrow_rate=0.01),
                data=DataSettings(universe=panel.ids, bar_spec=trial.spec), risk=trial.risk, strategies=(strategy,),
            )  # fmt: skip
            task = loop.create_task(bootstrap.trade(settings, state, stop=stop, now=now))
            await asyncio.sleep(BEFORE_S + trial.after_s)
            stop.set()
            await task
        return [decode_event(r.payload) for r in await bootstrap.journal_rows(state) if r.kind == "event"]

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "WATCH_S", 60.0)
        return run(lambda loop: live(loop, Path(folder)), latency_s=0.002)


def decided(events: Iterable[AnyEvent]) -> Submit | Deny:
    """Return what a trader that hears these events, up to the first send, makes of its entry."""
    trader, commands = Trader(trailing_source), list[AnyCommand]()
    for event in takewhile(lambda e: not isinstance(e, OrderSending), events):
        commands += respond(trader, event).commands
    [found] = [c for c in commands if isinstance(c, Submit | Deny)]
    return found


def shipped(name: str, spec: BarSpec) -> Trial:
    """Return the trial of a shipped configuration: its limits, its capital, its sizes."""
    settings, _ = load_settings(SHIPPED / f"{name}.toml", environ={})
    [strategy] = settings.strategies
    return Trial(spec=spec, sizer=strategy.sizer, capital=int(strategy.capital), risk=settings.risk)


LONG, LARGE, SHORT_SALE = "within the session", "at the next open, with a margin preview", "a short sale"
ENTRIES = {
    LONG: Trial(),
    LARGE: Trial(sizer="percent:0.03", spec=BarSpec.DAY),
    SHORT_SALE: Trial(source=SHORT),
    "config/live.toml": shipped("live", BarSpec.DAY),
    "config/live.toml, within the session": shipped("live", BarSpec.MINUTE_15),
    "config/paper.toml": shipped("paper", BarSpec.DAY),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_ordinary_entry_passes_all_checks_and_reaches_the_broker(entry: str) -> None:
    trial = ENTRIES[entry]
    events = heard(trial)
    found = decided(events)
    assert isinstance(found, Submit), found
    assert found.order.side is (Side.SELL if entry == SHORT_SALE else Side.BUY)
    assert found.verdict.limits.removesuffix("+overrides") == trial.risk.profile
    assert {c.check for c in found.verdict.checks} == set(RiskCheck)
    assert [e.order_id for e in events if isinstance(e, OrderAccepted)] == [found.order.id]
    assert any(isinstance(e, MarginPreviewed) for e in events) is trial.sizer.startswith("percent:")


def without(kind: type[AnyEvent]) -> Change:
    return lambda event: None if isinstance(event, kind) else event


def but(kind: type[AnyEvent], **changes: object) -> Change:
    return lambda event: structs.replace(event, **changes) if isinstance(event, kind) else event


def of_stage(stage: Stage) -> Change:
    def changed(event: AnyEvent) -> AnyEvent:
        if not isinstance(event, RunStarted):
            return event
        return structs.replace(event, strategies=tuple(structs.replace(s, stage=stage) for s in event.strategies))

    return changed


def without_history(event: AnyEvent) -> AnyEvent | None:
    """Leave out the warm-up but for its last bars."""
    return None if isinstance(event, BarsClosed) and event.warmup and event.ts_event < LATE else event


LATE = SESSIONS.opens[15]
C = RiskCheck
MISSING: dict[str, tuple[str, Change, set[RiskCheck]]] = {
    "limit state": (SHORT_SALE, but(HaltReported, limit_state=None), {C.LULD}),
    "in a limit state": (SHORT_SALE, but(HaltReported, limit_state=True), {C.LULD}),
    "halted": (SHORT_SALE, but(HaltReported, halted=True), {C.SESSION}),
    "market data type": (SHORT_SALE, without(MarketDataReported), {C.DATA_FITNESS}),
    "delayed": (SHORT_SALE, but(MarketDataReported, data_type=MarketDataType.DELAYED), {C.DATA_FITNESS}),
    "frozen": (SHORT_SALE, but(MarketDataReported, data_type=MarketDataType.FROZEN), {C.DATA_FITNESS}),
    "clock": (SHORT_SALE, but(LinkChanged, skew_s=None), {C.DATA_FITNESS}),
    "clock is wrong": (SHORT_SALE, but(LinkChanged, skew_s=-2.1), {C.DATA_FITNESS}),
    "quote": (SHORT_SALE, but(BarsClosed, quotes=()), {C.DATA_FITNESS}),
    "borrow fee": (SHORT_SALE, but(RunStarted, borrow_rate=None), {C.BORROW}),
    "dear borrow": (SHORT_SALE, but(RunStarted, borrow_rate=0.11), {C.BORROW}),
    "borrow": (SHORT_SALE, without(BorrowReported), {C.BORROW}),
    "sessions": (SHORT_SALE, but(RunStarted, sessions=None), {C.SESSION}),
    "account": (SHORT_SALE, without(AccountReported), {C.BUYING_POWER, C.EXPOSURE}),
    "link": (SHORT_SALE, without(LinkChanged), {C.TRADING_STATE, C.DATA_FITNESS}),
    "stage": (SHORT_SALE, of_stage(Stage.RESEARCH), {C.AUTHORITY}),
    "daily volume": (SHORT_SALE, without_history, {C.MAX_ORDER_QUANTITY, C.POSITION_LIMIT}),
    "margin preview": (LARGE, but(MarginPreviewed, equity_after=None, error="no answer"), {C.BUYING_POWER}),
    "market data type, at the next open": (LARGE, without(MarketDataReported), {C.DATA_FITNESS}),
}


@pytest.mark.parametrize("fact", MISSING)
def test_what_is_not_known_or_not_well_denies_it(fact: str) -> None:
    entry, change, checks = MISSING[fact]
    events = [changed for event in heard(ENTRIES[entry]) if (changed := change(event)) is not None]
    found = decided(events)
    assert isinstance(found, Deny)
    assert set(found.verdict.reasons) == checks


@pytest.mark.parametrize(("before", "checks"), [
    (None, {C.DATA_FITNESS, C.LULD, C.TRADING_STATE}),
    (but(HaltReported, halted=True, limit_state=True), {C.DATA_FITNESS, C.LULD, C.TRADING_STATE, C.SESSION}),
])  # fmt: skip
def test_a_new_run_takes_nothing_for_well_that_an_earlier_one_was_told(
    before: Change | None, checks: set[RiskCheck]
) -> None:
    events = [before(e) if before else e for e in heard(Trial())]
    [start] = [e for e in events if isinstance(e, RunStarted)]
    bars = next(n for n, e in enumerate(events) if isinstance(e, BarsClosed) and not e.warmup)
    found = decided(e for e in [*events[:bars], structs.replace(start, run_id="again"), *events[bars:]] if e)
    assert isinstance(found, Deny)
    assert set(found.verdict.reasons) == checks


def test_a_limit_state_at_the_exchange_reaches_the_gate_over_the_wire() -> None:
    found = decided(heard(Trial(trouble="limit state")))
    assert isinstance(found, Deny)
    assert found.verdict.reasons == (C.LULD,)
    assert isinstance(decided(heard(Trial())), Submit)


@pytest.mark.parametrize("limit", [None, 120.0])
def test_a_short_sale_that_the_broker_finds_no_shares_for_is_canceled_after_a_while_if_wanted(
    limit: float | None,
) -> None:
    risk = RiskSettings(profile="paper", max_locate_s=limit)
    events = heard(Trial(source=SHORT, risk=risk, trouble="nothing to borrow", after_s=420))
    [held, *_] = [e for e in events if isinstance(e, OrderSuspended)]
    assert held.locating
    ends = [e for e in events if isinstance(e, OrderCanceled) and e.order_id == held.order_id]
    assert [120 <= (e.ts_init - held.ts_init) / SECOND <= 420 for e in ends] == ([] if limit is None else [True])
