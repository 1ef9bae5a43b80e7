"""What every driver shares: write down callbacks and log lines as plain JSON. Standard library only.

A driver reads scripts from stdin, each `{"port", "steps": [{"who", "calls": [[method, argument, ...], ...]}]}`,
performs them with the client of its own environment and prints for each `{"version", "steps": [{who: [[callback,
argument, ...], ...]}], "errors"}`: for every step and connection what arrived until a fence (a request for the next
id, whose answer comes last) came back.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

WAIT_S = 20.0
FENCE = "nextValidId"
_UNSET = {2**31 - 1, 2**63 - 1}
_UNSET_FLOAT = 1e30
"""No price or quantity is so large: some clients show unset as the largest float, some as the largest of 128 bits."""
_SILENT = {"connectAck", "connectionClosed", "setEventsDone"}


class NoAnswerError(Exception):
    """What a step waits for has not come."""


class Recorder:
    """Every callback of one connection, in order; `fence` counts the answers to requests for the next id."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls: list[list[Any]] = []
        self.fences = 0
        self.notify: Callable[[], None] = lambda: None

    def take(self, name: str, *values: object) -> None:
        """Write one callback down, with copies of its values."""
        with self.changed:
            if name not in _SILENT:
                self.calls.append([name, *map(plain, values)])
            self.fences += name == FENCE
            self.changed.notify_all()
        self.notify()

    def drain(self) -> list[list[Any]]:
        """Return what came in this step, without the answer to the fence that ended it."""
        with self.changed:
            last = max(i for i, call in enumerate(self.calls) if call[0] == FENCE)
            step, self.calls = self.calls[:last], self.calls[last + 1 :]
        return step


class Log(logging.Handler):
    """The lines that a client logs as errors, and exceptions that it lets through."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        logging.getLogger().addHandler(self)
        threading.excepthook = lambda raised: self.lines.append(f"uncaught: {raised.exc_value!r}")

    def close(self) -> None:
        """Listen no longer."""
        logging.getLogger().removeHandler(self)
        threading.excepthook = lambda _raised: None
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        problem = f": {record.exc_info[1]!r}" if record.exc_info else ""
        self.lines.append(f"{record.name}: {record.getMessage()}{problem}")


def plain(value: object) -> Any:
    """Return a value as JSON has it: unset numbers are None, times epoch seconds, objects dictionaries."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return None if value in _UNSET else value
    if isinstance(value, float | Decimal):
        number = float(value)
        return number if abs(number) < _UNSET_FLOAT else None
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list | set):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in _attributes(value).items() if not callable(item)}


def _attributes(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple):
        return {name: getattr(value, name) for name in value._fields}  # type: ignore[attr-defined] # it is a named one
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return vars(value)


def read_scripts() -> list[dict[str, Any]]:
    """Return the scripts from stdin."""
    scripts: list[dict[str, Any]] = json.load(sys.stdin)
    return scripts


def print_all(found: Iterable[dict[str, Any]]) -> None:
    """Print what the sessions found."""
    json.dump(list(found), sys.stdout)


def arguments(values: list[Any], make: Callable[[str, dict[str, Any]], list[Any]]) -> list[Any]:
    """Return a call's arguments: `{"Order": {...}}` becomes what `make` makes of it, everything else is as it is."""
    found: list[Any] = []
    for value in values:
        found += make(*next(iter(value.items()))) if isinstance(value, dict) else [value]
    return found


def built(kind: type, values: dict[str, Any]) -> Any:
    """Return an object of the client's own class with these attributes; each must exist."""
    made: Any = kind()
    for name, value in values.items():
        if not hasattr(made, name):
            raise AttributeError(f"{kind.__name__} has no {name}")
        setattr(made, name, value)
    return made
