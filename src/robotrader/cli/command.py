"""What all commands share: common options, one JSON object or text, exit codes, plain errors."""

import asyncio
import functools
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

SCHEMA_VERSION = 1

OK, FAILED, USAGE, NOT_RUNNING, REFUSED, CONFIG, BROKER, DATA, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 130


class Stop(Exception):
    """A command ends here: an outcome of the command line, not a fault of the program."""

    code = FAILED


class Refused(Stop):
    """Safety says no."""

    code = REFUSED


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: `payload` for `--json`, `text` for people, and the exit code."""

    payload: Mapping[str, Any]
    text: str = ""
    code: int = OK


@dataclass(slots=True)
class Call:
    """The common options of one invocation."""

    state: Path
    state_named: bool = True
    config: Path | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    _bars: list[Any] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Print a message for people to stderr, unless `--quiet`."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the command line's voice

    def emit(self, answer: Answer) -> None:
        """Print an answer at once: processes that go on say first where they are."""
        if self.as_json:
            print(json.dumps({"schema_version": SCHEMA_VERSION, **plain(answer.payload)}), flush=True)  # noqa: T201
        elif answer.text:
            print(answer.text, flush=True)  # noqa: T201

    def progress(self, total: int, label: str) -> Callable[[int], None]:
        """Return a function that shows how much of `total` is done; silent when stderr is no terminal."""
        if self.quiet or not sys.stderr.isatty():
            return lambda _done: None
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True, no_color=not self.color), transient=True)
        task = bar.add_task(label, total=total)
        bar.start()
        self._bars.append(bar)
        return lambda done: bar.update(task, completed=done)

    def close(self) -> None:
        """Take progress bars away."""
        for bar in self._bars:
            bar.stop()


def default_state(config: Path | None) -> Path:
    """Return the state folder when `--state` names none: the environment's, else the configuration's."""
    if named := os.environ.get("ROBOTRADER_STATE"):
        return Path(named)
    from robotrader.config import Settings, load_settings
    from robotrader.model import ConfigError

    try:
        return load_settings(config)[0].state_dir
    except ConfigError:  # whoever needs the configuration says what is wrong with it; a halt must not
        return Settings().state_dir


_COMMON = {
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON object.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress.")],
    "verbose": Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks and debug messages.")],
    "no_color": Annotated[bool, typer.Option("--no-color", help="Plain text (also NO_COLOR).")],
    "state": Annotated[Path | None, typer.Option("--state", metavar="DIR", help="State folder of this run.")],
    "config": Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML).")],
}


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command: its first argument is the `Call`, its result an `Answer` or None.

    Coroutine functions are run to their end (Typer alone would not run them at all).
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(function).parameters.values())[1:]
        kind = inspect.Parameter.KEYWORD_ONLY
        common = [
            inspect.Parameter(key, kind, default=None if key in {"state", "config"} else False, annotation=hint)
            for key, hint in _COMMON.items()
        ]

        @functools.wraps(function)
        def wrapper(**arguments: Any) -> None:
            shared = {key: arguments.pop(key) for key in _COMMON}
            raise typer.Exit(_run(function, _call(shared), arguments))

        signature = inspect.Signature([p.replace(kind=kind) for p in own] + common)
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        app.command(name)(wrapper)
        return function

    return register


def _call(shared: Mapping[str, Any]) -> Call:
    named = shared["state"]
    return Call(
        state=Path(named or default_state(shared["config"])).absolute(), state_named=named is not None,
        config=shared["config"], as_json=shared["as_json"], quiet=shared["quiet"], verbose=shared["verbose"],
        color=not (shared["no_color"] or os.environ.get("NO_COLOR")),
    )  # fmt: skip


def _run(function: Callable[..., Any], call: Call, arguments: Mapping[str, Any]) -> int:
    from robotrader.model.errors import RoboTraderError  # not for `--help`: the vocabulary costs 50 ms

    try:
        found = function(call, **arguments)
        answer = asyncio.run(found) if inspect.iscoroutine(found) else found
    except (RoboTraderError, Stop, OSError) as error:
        return _fail(call, error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        call.note("interrupted")
        return INTERRUPTED
    finally:
        call.close()
    if answer is None:
        return OK
    call.emit(answer)
    return int(answer.code)


def _fail(call: Call, error: Exception) -> int:
    code = error.code if isinstance(error, Stop) else _code_of(error)
    if call.verbose:
        traceback.print_exception(error)
    print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
    if call.as_json:
        call.emit(Answer({"error": str(error), "kind": type(error).__name__, "exit_code": code}))
    return code


def _code_of(error: Exception) -> int:
    from robotrader.model.errors import BrokerUnavailable, ConfigError, DataError, InvariantViolation

    codes = ((ConfigError, CONFIG), (DataError, DATA), (BrokerUnavailable, BROKER), (InvariantViolation, REFUSED))
    return next((code for kind, code in codes if isinstance(error, kind)), FAILED)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: decimals and paths as text, structs as objects."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    return str(value)


def iso(ts: int | None) -> str | None:
    """Return ns UTC as ISO 8601, None for none."""
    if ts is None:
        return None
    moment = datetime.fromtimestamp(ts // 1_000_000_000, tz=UTC)
    nanos = ts % 1_000_000_000
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{nanos:09d}" if nanos else "") + "Z"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> str:
    """Return rows as aligned text, or the sentence for none."""
    if not rows:
        return empty
    cells = [[("" if c is None else _digits(c)) for c in row] for row in rows]
    widths = [max(len(name), *(len(r[k]) for r in cells)) for k, name in enumerate(columns)]
    lines = ["  ".join(name.ljust(w) for name, w in zip(columns, widths, strict=True)).rstrip()]
    lines += ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells]
    return "\n".join(lines)


def facts(pairs: Mapping[str, object]) -> str:
    """Return names and values, one a line; None reads as "not available", ratios have four digits."""
    width = max((len(name) for name in pairs), default=0)
    shown = {name: "not available" if value is None else _digits(value) for name, value in pairs.items()}
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown.items())


def _digits(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
