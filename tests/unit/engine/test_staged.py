"""Strategies in their stages: who sends, with how much, who lets them on and what takes them back."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import structs

from robotrader.engine.staged import StagedTrader
from robotrader.engine.virtual_broker import VirtualBroker
from robotrader.model import (
    Action,
    AnyCommand,
    Dossier,
    Exit,
    Gate,
    LifecycleRules,
    RequestReceived,
    RunStarted,
    Side,
    Stage,
    StageJudged,
    Submit,
    VirtualTraded,
)
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue
from tests import builders as make
from tests.fakes import Script, ScriptedSource

RULES = LifecycleRules(capital=Decimal(100_000), sessions=22, ramp_sessions=22, fewest_orders=20)
GOOD = Dossier(
    strategy=make.TREND, version="1", source_hash="", data="d", data_hash="h", drawdown_band=0.5, edge_bps=50.0,
    figures={
        **{f"rule_{rule}": 1.0
           for rule in ("time_budget", "contract", "determinism", "truncation", "future_noise", "warm_up", "lag")},
        "deflated_sharpe": 0.99, "overfitting": 0.05, "spa_p": 0.01, "length_ratio": 2.0, "oos_is": 0.8,
        "return_costs_x2": 0.3, "capacity_ratio": 5.0,
    },
)  # fmt: skip


def evidence(**changed: Any) -> str:
    figures = {**GOOD.figures, **changed.pop("figures", {})}
    return msgspec.json.encode(structs.replace(GOOD, figures=figures, **changed)).decode()


class _Parity(ScriptedSource):
    """A source whose signals come out alike, but for so many in each session."""

    otherwise = 0

    def compared(self) -> tuple[int, int]:
        return 1, self.otherwise


class Desk:
    """A staged trader whose real orders fill at a venue, at the next open."""

    def __init__(self, script: Script, stage: Stage, rules: LifecycleRules | None = RULES, **changed: Any) -> None:
        self.source = _Parity(script, 2)
        manifest = make_manifest()
        self.trader = StagedTrader(lambda _config, _instruments: (manifest, self.source))
        self.commands: list[AnyCommand] = []
        self.broker = VirtualBroker(self.trader, Venue({i.id: i for i in (make.SPY, make.QQQ)}, cost_model("none")),
                                    keep=self.commands.append)  # fmt: skip
        self.run = structs.replace(run(stage, rules), **changed)
        self.broker.carry_out(self.trader.handle(self.run), make.T0)
        self.day = -1

    def ask(self, action: Action, change: str | None = None) -> None:
        now = make.T0 + self.day * make.DAY
        self.broker.carry_out(self.trader.handle(RequestReceived(
            ts_event=now, ts_init=now, request_id=f"{action}-{self.day}", action=action, reason="test", actor="me",
            strategy=make.TREND, change=change,
        )), now)  # fmt: skip

    def days(self, count: int, closes: Iterable[float] = ()) -> None:
        prices = iter(closes)
        for _ in range(count):
            self.day += 1
            event = make.bars_closed(self.day, next(prices, 100.0), 50.0)
            self.broker.match(event.bars, event.ts_event - make.SESSION)
            self.broker.expire(event.ts_event)
            self.broker.carry_out(self.trader.handle(event), event.ts_event)

    def told(self, kind: type[Any]) -> list[Any]:
        return [c for c in self.commands if isinstance(c, kind)]

    @property
    def stage(self) -> tuple[Stage, float]:
        record = self.trader.stages.records[make.TREND]
        return record.stage, record.share

    @property
    def held(self) -> int:
        return self.trader.ledger.book(make.TREND).quantity(make.SPY.id)


def make_manifest() -> Any:
    from robotrader.model import BarSpec, Manifest

    return Manifest(id=make.TREND, version="1", hypothesis="", bar_spec=BarSpec.DAY, warmup_bars=1)


def run(stage: Stage, rules: LifecycleRules | None) -> RunStarted:
    started = make.run_started()
    strategy = structs.replace(started.strategies[0], stage=stage, sizer="fixed:100")
    return structs.replace(started, strategies=(strategy,), lifecycle=rules, sessions=None)


FLIPS: Script = {day: (float(day % 2 == 0), float("nan")) for day in range(400)}
HOLDS: Script = {day: (1.0, float("nan")) for day in range(400)}


def test_in_shadow_a_full_book_is_kept_and_nothing_is_sent() -> None:
    desk = Desk(FLIPS, Stage.SHADOW, None)
    desk.days(10)
    assert desk.told(Submit) == []
    fills = [fill for told in desk.told(VirtualTraded) for fill in told.fills]
    assert [fill.side for fill in fills[:2]] == [Side.BUY, Side.SELL]
    assert [fill.quantity for fill in fills] == [100] * 9
    assert desk.held == 0


def test_in_research_not_even_a_virtual_order_is_made() -> None:
    desk = Desk(FLIPS, Stage.RESEARCH)
    desk.days(5)
    assert desk.told(Submit) == desk.told(VirtualTraded) == []


def test_good_evidence_leads_into_shadow() -> None:
    desk = Desk(FLIPS, Stage.RESEARCH)
    desk.ask(Action.PROMOTE, evidence())
    judged = desk.told(StageJudged)[-1]
    assert (judged.gate, judged.before, judged.stage, judged.actor) == (
        Gate.RESEARCH,
        Stage.RESEARCH,
        Stage.SHADOW,
        "me",
    )
    assert {c.name for c in judged.criteria} >= {"deflated_sharpe", "overfitting", "spa_p"}
    desk.days(3)
    assert desk.told(VirtualTraded)


@pytest.mark.parametrize(("figures", "gate", "missing"), [
    ({"rule_truncation": 0.0}, Gate.CODE, "rule_truncation"),
    ({"deflated_sharpe": 0.5}, Gate.RESEARCH, "deflated_sharpe"),
    ({"spa_p": None}, Gate.RESEARCH, "spa_p"),
])  # fmt: skip
def test_what_a_gate_misses_keeps_a_strategy_in_research(figures: dict[str, Any], gate: Gate, missing: str) -> None:
    desk = Desk(FLIPS, Stage.RESEARCH)
    desk.ask(Action.PROMOTE, evidence(figures=figures))
    judged = desk.told(StageJudged)[-1]
    assert (judged.gate, judged.stage) == (gate, Stage.RESEARCH)
    assert judged.reason == f"{gate} misses {missing}"
    assert desk.stage == (Stage.RESEARCH, 0.0)


@pytest.mark.parametrize(("change", "reason"), [
    (evidence(strategy="other"), "its evidence is of other"),
    (evidence(source_hash="edited since"), "its evidence is of other code than runs here"),
    ("not even json", "its evidence cannot be read: "),
    ('{"strategy": "trend"}', "its evidence cannot be read: "),
])  # fmt: skip
def test_what_is_no_evidence_is_refused_by_name_and_stops_nothing(change: str, reason: str) -> None:
    desk = Desk(FLIPS, Stage.RESEARCH, sources={make.TREND: "as it is"})
    desk.ask(Action.PROMOTE, change)
    judged = desk.told(StageJudged)[-1]
    assert judged.reason.startswith(reason)
    assert desk.stage == (Stage.RESEARCH, 0.0)
    desk.ask(Action.PROMOTE, evidence(source_hash="as it is"))
    assert desk.stage[0] is Stage.SHADOW


def risen(desk: Desk) -> list[tuple[Stage, float]]:
    return [(judged.stage, judged.share) for judged in desk.told(StageJudged) if judged.before is not judged.stage
            or (judged.gate is Gate.RAMP and "is met" in judged.reason)]  # fmt: skip


def test_a_strategy_that_keeps_its_word_goes_all_the_way_without_being_asked() -> None:
    desk = Desk(FLIPS, Stage.RESEARCH)
    desk.ask(Action.ARM)
    desk.ask(Action.PROMOTE, evidence())
    desk.days(160)
    assert risen(desk) == [(Stage.SHADOW, 0.0), (Stage.PAPER, 1.0), (Stage.CANARY, 0.05), (Stage.LIVE, 0.25),
                           (Stage.LIVE, 0.5), (Stage.LIVE, 1.0)]  # fmt: skip
    sizes = [s.order.quantity for s in desk.told(Submit)]
    assert set(sizes) == {100, 5, 25, 50}
    assert all(judged.gate and judged.criteria for judged in desk.told(StageJudged))


def test_without_an_armed_envelope_no_real_money_is_touched() -> None:
    desk = Desk(FLIPS, Stage.RESEARCH)
    desk.ask(Action.PROMOTE, evidence())
    desk.days(80)
    assert desk.stage == (Stage.PAPER, 1.0)
    last = desk.told(StageJudged)[-1]
    assert (last.gate, last.reason) == (Gate.PAPER, "G3 misses armed")


def test_an_envelope_that_is_too_small_lets_nobody_in() -> None:
    desk = Desk(FLIPS, Stage.RESEARCH, structs.replace(RULES, capital=Decimal(4_999)))
    desk.ask(Action.ARM)
    desk.ask(Action.PROMOTE, evidence())
    desk.days(80)
    assert desk.stage[0] is Stage.PAPER
    assert "envelope_capital" in desk.told(StageJudged)[-1].reason


def falling(desk: Desk) -> None:
    desk.ask(Action.PROMOTE, evidence(drawdown_band=0.005))
    desk.days(4, [100, 100, 100, 90])


@pytest.mark.parametrize("stage", [Stage.PAPER, Stage.CANARY, Stage.LIVE])
def test_a_drawdown_beyond_its_band_takes_a_strategy_back_and_ends_its_position(stage: Stage) -> None:
    desk = Desk(HOLDS, stage)
    falling(desk)
    assert desk.held > 0
    desk.days(2, [90, 90])
    judged = desk.told(StageJudged)[-1]
    assert (judged.gate, judged.before, judged.stage, judged.share) == (Gate.GUARD, stage, Stage.SHADOW, 0.0)
    assert [c.name for c in judged.criteria] == ["drawdown"] or "drawdown" in judged.reason
    assert desk.held == 0


def test_a_position_may_be_worked_out_as_the_strategy_ends_it() -> None:
    script: Script = {**HOLDS, **{day: (0.0, float("nan")) for day in range(8, 400)}}
    desk = Desk(script, Stage.PAPER, structs.replace(RULES, exit=Exit.WORK_OUT))
    falling(desk)
    desk.days(2, [90, 90])
    assert desk.stage[0] is Stage.SHADOW
    assert desk.held == 100
    desk.days(4)
    assert desk.held == 0


def test_after_a_guard_only_new_evidence_leads_on() -> None:
    desk = Desk(HOLDS, Stage.PAPER)
    falling(desk)
    desk.days(60, [90] * 60)
    assert desk.stage[0] is Stage.SHADOW
    assert "evidence" in desk.told(StageJudged)[-1].reason
    assert not [j for j in desk.told(StageJudged) if j.stage is Stage.PAPER and j.before is Stage.SHADOW]


def test_signals_that_come_out_otherwise_take_a_strategy_back() -> None:
    desk = Desk(HOLDS, Stage.PAPER)
    desk.days(3)
    assert not desk.told(StageJudged)
    desk.source.otherwise = 1
    desk.days(1)
    assert desk.stage[0] is Stage.SHADOW
    assert desk.told(StageJudged)[-1].reason == "beyond its guard: parity"


def test_orders_that_the_gate_denies_keep_a_strategy_in_shadow() -> None:
    desk = Desk(FLIPS, Stage.SHADOW)
    desk.run = structs.replace(desk.run, run_id="run-2", limits=structs.replace(desk.run.limits, max_order_quantity=50))
    desk.broker.carry_out(desk.trader.handle(desk.run), make.T0)
    desk.ask(Action.PROMOTE, evidence())
    desk.days(60)
    assert desk.stage[0] is Stage.SHADOW
    assert "virtual_denied" in desk.told(StageJudged)[-1].reason


def test_an_operator_takes_a_strategy_back_or_retires_it() -> None:
    desk = Desk(HOLDS, Stage.LIVE, None)
    desk.days(3)
    assert desk.held == 100
    desk.ask(Action.DEMOTE)
    desk.days(2)
    assert (desk.stage, desk.held) == ((Stage.SHADOW, 0.0), 0)
    desk.ask(Action.DEMOTE, Stage.RETIRED)
    assert desk.stage[0] is Stage.RETIRED


@pytest.mark.parametrize("stage", [Stage.RESEARCH, Stage.SHADOW, Stage.RETIRED])
def test_what_trades_nothing_cannot_be_taken_back_into_shadow(stage: Stage) -> None:
    desk = Desk(HOLDS, stage)
    desk.ask(Action.DEMOTE)
    assert desk.told(StageJudged)[-1].reason == f"{stage} trades nothing"
    assert desk.stage == (stage, 0.0)


def test_a_stage_outlives_the_run_and_the_envelope_does_not() -> None:
    desk = Desk(FLIPS, Stage.RESEARCH)
    desk.ask(Action.ARM)
    desk.ask(Action.PROMOTE, evidence())
    desk.broker.carry_out(desk.trader.handle(structs.replace(desk.run, run_id="run-2")), make.T0)
    assert desk.stage[0] is Stage.SHADOW
    assert not desk.trader.stages.armed
