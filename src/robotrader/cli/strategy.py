"""Strategies: `strategy list`, `strategy new` and `strategy check`."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robotrader.cli import lifecycle
from robotrader.cli.command import FAILED, OK, Answer, Call, command, iso, plain
from robotrader.cli.options import Data, Parameters, Strategy, parse_parameters

if TYPE_CHECKING:
    from robotrader.model import Manifest
    from robotrader.strategy.checks import Difference, RuleResult

_SHOWN = {"passed": "pass", "failed": "FAIL", "not_applicable": "n/a"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Strategies: the library, and their checks.")
    command(group, "list")(listed)
    command(group, "new")(new)
    command(group, "check")(check)
    lifecycle.register(group)
    app.add_typer(group, name="strategy")


def listed(call: Call) -> Answer:
    """List the strategies of the last run with their stages, and the library: what each bets on, its parameters."""
    from robotrader import bootstrap

    found, staged = bootstrap.library(), lifecycle.staged(call)
    rows = [{"source": source, **plain(manifest)} for source, manifest in found.items()]
    lines = "\n".join(f"{row['id']:<24} {row['stage']:<9} {row['reason']}" for row in staged)
    text = "\n\n".join([*([lines] if lines else []), *(_described(*item) for item in found.items())])
    return Answer({"strategies": rows, "staged": staged}, text)


def _described(source: str, manifest: "Manifest") -> str:
    lines = [f"{source}  version {manifest.version}, bars of {manifest.bar_spec}, warm-up {manifest.warmup_bars}",
             f"  {manifest.hypothesis}"]  # fmt: skip
    for name, p in manifest.parameters.items():
        lines.append(f"  -p {f'{name}={p.default}':<18} {f'{p.low:g} to {p.high:g}':<14} {p.doc}".rstrip())
    return "\n".join(lines)


def new(
    _call: Call, name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, such as slow_trend.")], *,
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where to write it.")] = Path(),
) -> Answer:  # fmt: skip
    """Write a strategy that works, to be changed into yours, and its test."""
    from robotrader.strategy.starting import start_strategy

    started = start_strategy(name, folder)
    source = quote(started.source)
    following = [f"robotrader strategy check {source}", f"pytest {quote(str(started.files[1]))}",
                 f"robotrader backtest {source} --data sample:all"]  # fmt: skip
    text = "\n".join([*(f"wrote {file}" for file in started.files), "", "next:", *(f"  {line}" for line in following)])
    return Answer({"strategy": started.source, "files": started.files, "next": following}, text)


def check(call: Call, strategy: Strategy, *, data: Data = "sample:all", p: Parameters = None) -> Answer:
    """Check a strategy for self-deception: look-ahead, warm-up, repeatability, speed; exit 1 when a rule fails."""
    from robotrader import bootstrap
    from robotrader.strategy.checks import RULES

    chosen = parse_parameters(p)
    progress = call.progress(len(RULES), "checking")
    manifest, found = bootstrap.check_strategy((strategy, chosen), data, call.state, progress=progress)
    failed = [result.rule for result in found if result.outcome == "failed"]
    rules = [{**plain(r), "first": _dated(r.first) if r.first else None} for r in found]
    payload = {
        "strategy": strategy, "version": manifest.version, "parameters": chosen, "data": data, "passed": not failed,
        "rules": rules,
    }  # fmt: skip
    unseen = "".join(f", but {result.rule} could not look" for result in found if result.outcome == "not_applicable")
    verdict = f"do not trust its backtests: it fails {', '.join(failed)}" if failed else f"it passes{unseen}"
    lines = [f"{strategy} on {data}, and on seeded bars of the same instruments", "",
             *(line for result in found for line in _lines(result)), "", verdict]  # fmt: skip
    return Answer(payload, "\n".join(lines), FAILED if failed else OK)


def _dated(first: "Difference") -> dict[str, Any]:
    return {**plain(first), "ts": iso(first.ts), "cut": iso(first.cut)}


def _lines(result: "RuleResult") -> Iterator[str]:
    indent = " " * 20
    yield f"{_SHOWN[result.outcome]:<4}  {result.rule:<12}  {result.found}"
    if first := result.first:
        said = ["no view" if value is None else f"{value:g}" for value in (first.full, first.found)]
        yield f"{indent}first {first.instrument} at {iso(first.ts)} ({first.data}): expected {said[0]}, found {said[1]}"
    if result.hint:
        yield f"{indent}-> {result.hint}"
