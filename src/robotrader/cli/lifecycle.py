"""Stages of strategies: `strategy promote`, `demote` and `history`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotrader.cli.command import FAILED, OK, Answer, Call, command, iso, plain
from robotrader.cli.control import TAKE_TIMEOUT_S, operator, poll
from robotrader.cli.read import opened
from robotrader.cli.settings import load
from robotrader.model import Action, ConfigError, Criterion, Stage, StageFacts, StageJudged, StrategyId

if TYPE_CHECKING:
    from robotrader.model import LifecycleRules, StrategyConfig

Name = Annotated[str, typer.Argument(metavar="ID", help="A strategy of the configuration.")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for function in (promote, demote, history):
        command(group, function.__name__)(function)


def staged(call: Call) -> list[dict[str, Any]]:
    """Return where each strategy of the last run stands, and why."""
    with opened(call.state) as reader:
        run, judged = reader.run(), {j.strategy: j for j in reader.commands(StageJudged)}
    return [
        {"id": c.id, "source": c.source, "stage": judged[c.id].stage if c.id in judged else c.stage,
         "share": judged[c.id].share if c.id in judged else None,
         "reason": judged[c.id].reason if c.id in judged else "as configured"}
        for c in (run.started.strategies if run else ())
    ]  # fmt: skip


def promote(
    call: Call, strategy: Name, *,
    to: Annotated[str | None, typer.Option("--to", metavar="STAGE", help="The stage that is meant.")] = None,
    data: Annotated[str, typer.Option("--data", help="What research judges it on, as of backtest.")] = "sample:all",
) -> Answer:  # fmt: skip
    """Ask the gate that leads on; from RESEARCH, gather the evidence first. Exit 1 when something is missing."""
    from robotrader.bootstrap.promotion import as_change, research_dossier
    from robotrader.strategy.gates import judge

    config, rules = _configured(call, strategy)
    stage = next((Stage(row["stage"]) for row in staged(call) if row["id"] == strategy), config.stage)
    if to is not None and to.upper() != (meant := judge(stage, StageFacts(), None, rules).stage):
        raise ConfigError(f"{strategy} is in {stage}: the next stage is {meant}, found --to {to}")
    dossier = research_dossier(config, data, call.state) if stage is Stage.RESEARCH else None
    told = _decided(call, Action.PROMOTE, strategy, None if dossier is None else as_change(dossier))
    if told is not None:
        return _answer(told)
    found = judge(stage, StageFacts(), dossier, rules)
    text = "no trader runs: its next start takes the request"
    if dossier is None:
        return Answer({"strategy": strategy, "stage": stage, "taken": False}, text)
    payload = {"strategy": strategy, "stage": stage, "gate": found.gate, "met": found.met, "taken": False,
               "criteria": _rows(found.criteria)}  # fmt: skip
    text += f", and this is what it will find\n{_lines(found.criteria)}"
    return Answer(payload, text, OK if found.met else FAILED)


def demote(
    call: Call, strategy: Name, *, reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    retire: Annotated[bool, typer.Option("--retire", help="For good: not even a virtual book goes on.")] = False,
) -> Answer:  # fmt: skip
    """Take a strategy back to SHADOW; its position ends as its exit policy says."""
    told = _decided(call, Action.DEMOTE, strategy, Stage.RETIRED if retire else None, reason=reason)
    if told is None:
        return Answer({"strategy": strategy, "taken": False}, "no trader runs: its next start takes the request")
    answer = _answer(told)
    return Answer(answer.payload, answer.text, OK)


def history(call: Call, strategy: Name) -> Answer:
    """Show every decision on a strategy's stage: the gate or guard, what it looked at, who asked."""
    with opened(call.state) as reader:
        found = [judged for judged in reader.commands(StageJudged) if judged.strategy == strategy]
    rows = [{**plain(j), "ts": iso(j.ts_event), "criteria": _rows(j.criteria)} for j in found]
    lines = [f"{iso(j.ts_event)}  {j.gate:<8} {_course(j)} ({j.actor})" for j in found]
    return Answer({"strategy": strategy, "history": rows}, "\n".join(lines) or f"nothing was decided on {strategy} yet")


def _configured(call: Call, strategy: str) -> "tuple[StrategyConfig, LifecycleRules]":
    settings = load(call)[0]
    config = next((c for c in settings.strategies if c.id == strategy), None)
    if config is None:
        names = ", ".join(c.id for c in settings.strategies) or "none"
        raise ConfigError(f"expected one of the configured strategies, {names}; found {strategy}")
    if settings.lifecycle is None:
        raise ConfigError("expected a [lifecycle] section in the configuration, with the capital of its envelope")
    return config, settings.lifecycle


def _decided(
    call: Call, action: Action, strategy: str, change: str | None, *, reason: str = "operator"
) -> StageJudged | None:
    """Make the request durable; return what the trader decided, None where none runs."""
    from robotrader import bootstrap

    bootstrap.migrate(call.state)  # without a journal it would be lost
    with opened(call.state) as reader:
        before = len(reader.commands(StageJudged))

        def decided() -> StageJudged | None:
            return next((j for j in reversed(reader.commands(StageJudged)[before:]) if j.strategy == strategy), None)

        bootstrap.request(call.state, action, reason, operator(), strategy=StrategyId(strategy),
                          limit=(change or "", None))  # fmt: skip
        if bootstrap.trader_pid(call.state) is None:
            return None
        poll(lambda: decided() is not None, TAKE_TIMEOUT_S)
        return decided()


def _answer(judged: StageJudged) -> Answer:
    moved = judged.stage is not judged.before or judged.reason.endswith("is met")
    payload = {**plain(judged), "taken": True, "met": moved, "criteria": _rows(judged.criteria)}
    text = f"{judged.strategy}: {_course(judged)}\n{_lines(judged.criteria)}"
    return Answer(payload, text.rstrip(), OK if moved else FAILED)


def _course(judged: StageJudged) -> str:
    where = judged.stage if judged.stage is judged.before else f"{judged.before} -> {judged.stage}"
    return f"{where} {judged.share:.0%}: {judged.reason}"


def _rows(criteria: Sequence[Criterion]) -> list[dict[str, Any]]:
    return [{**plain(c), "met": c.met} for c in criteria]


def _lines(criteria: Sequence[Criterion]) -> str:
    """Return a line for each criterion: met or missing, with its numbers."""
    return "\n".join(
        f"{'met    ' if c.met else 'MISSING'}  {c.name:<24} {'unknown' if c.value is None else f'{c.value:.6g}':>12} "
        f"{'>=' if c.at_least else '<='} {c.bound:<8g} {c.detail}".rstrip()
        for c in criteria
    )
