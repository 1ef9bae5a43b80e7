"""Stages of strategies: `strategy promote`, `demote`, `history` and `compare`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotrader.cli.command import FAILED, OK, Answer, Call, command, iso, plain
from robotrader.cli.control import TAKE_TIMEOUT_S, operator, poll
from robotrader.cli.read import opened
from robotrader.cli.settings import load
from robotrader.model import (
    Action,
    ConfigError,
    Criterion,
    LifecycleRules,
    PortfolioMarked,
    Stage,
    StageFacts,
    StageJudged,
    StrategyId,
)

if TYPE_CHECKING:
    from robotrader.model import StrategyConfig

_DAY_NS = 86_400 * 10**9

Name = Annotated[str, typer.Argument(metavar="ID", help="A strategy of the configuration.")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for function in (promote, demote, history, compare):
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

    config, configured = _configured(call, strategy)
    rules = configured or LifecycleRules(capital=config.capital)
    stage = next((Stage(row["stage"]) for row in staged(call) if row["id"] == strategy), config.stage)
    if to is not None and to.upper() != (meant := judge(stage, StageFacts(), None, rules).stage):
        raise ConfigError(f"{strategy} is in {stage}: the next stage is {meant}, found --to {to}")
    dossier = research_dossier(config, data, call.state) if stage is Stage.RESEARCH else None
    told = _decided(call, Action.PROMOTE, strategy, None if dossier is None else as_change(dossier))
    if told is not None:
        return _answer(told)
    found = judge(stage, StageFacts(), dossier, rules)
    text = "no trader runs: its next start takes the request"
    if configured is None:
        text += "; without a [lifecycle] section in its configuration nobody is promoted"
    if dossier is not None:
        text += f", and this is what it will find\n{_lines(found.criteria)}"
    payload = {"strategy": strategy, "stage": stage, "gate": found.gate, "met": found.met, "taken": False,
               "criteria": _rows(found.criteria) if dossier is not None else []}  # fmt: skip
    return Answer(payload, text, OK if configured and (found.met or dossier is None) else FAILED)


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


def compare(call: Call, a: Name, b: Name) -> Answer:
    """Compare two strategies session by session, as often as you like: b less a, on capital, at equal times."""
    import numpy as np

    from robotrader.research.experiment import Registration, judge

    with opened(call.state) as reader:
        marks = reader.commands(PortfolioMarked)
    made = {name: _session_returns(marks, name) for name in (a, b)}
    if absent := [name for name, found in made.items() if not found]:
        raise ConfigError(f"expected two strategies with books in {call.state}, found nothing of {', '.join(absent)}")
    days = sorted(made[a].keys() & made[b].keys())
    apart = np.trim_zeros(np.array([made[b][day] - made[a][day] for day in days]), "f")  # before either traded
    plan = Registration(id=f"{a}-{b}", arms=(a, b), metric="daily_return", direction="superior", allocation="paired",
                        minimum_effect=_WORTH, maximum_sessions=max(len(apart), _LEAST))  # fmt: skip
    found = judge(plan, apart)
    payload = {**plain(found), "a": a, "b": b, "metric": plan.metric, "registered": False, "decision": "not_registered"}
    said = "unknown" if found.effect is None else f"{found.effect * 1e4:+.2f} bps a session"
    held = f"{found.interval[0] * 1e4:+.2f} to {found.interval[1] * 1e4:+.2f}" if found.interval else "unknown"
    text = (f"{b} less {a}: {said}, always valid interval {held}, {found.n} sessions of {found.n_needed or 'unknown'}\n"
            "nobody registered this test before it began: look at it, and decide nothing by it")  # fmt: skip
    return Answer(payload, text)


_WORTH, _LEAST = 0.0005, 60


def _session_returns(marks: "Sequence[PortfolioMarked]", strategy: str) -> dict[int, float]:
    """Return what a strategy's book made each day (since 1970), of its equity at the end of the day before."""
    last = {m.ts_event // _DAY_NS: float(book.equity) for m in marks for book in m.books if book.strategy == strategy}
    days = sorted(last)
    return {day: last[day] / last[before] - 1 for before, day in pairwise(days) if last[before] > 0}


def _configured(call: Call, strategy: str) -> "tuple[StrategyConfig, LifecycleRules | None]":
    """Return a strategy and the rules of the last run, or where there was none, of the configuration."""
    with opened(call.state) as reader:
        run = reader.run()
    known, rules = (run.started.strategies, run.started.lifecycle) if run else ((), None)
    if not known:
        settings = load(call)[0]
        known, rules = settings.strategies, settings.lifecycle
    config = next((c for c in known if c.id == strategy), None)
    if config is None:
        names = ", ".join(c.id for c in known) or "none"
        raise ConfigError(f"expected one of the configured strategies, {names}; found {strategy}")
    return config, rules


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
