"""One log: our records and everyone's in the same form, on one stream, without secrets."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from robotrader.monitoring.log import configure

CANARY = "c4nary-v4lue"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Logging belongs to the whole process: give it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail_with_a_secret_in_scope() -> None:
    password = connection = CANARY
    raise ValueError(f"no answer from {len(password + connection)} sides")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_an_exception_never_prints_what_was_in_scope(stream: io.StringIO) -> None:
    configure(stream=stream)
    try:
        fail_with_a_secret_in_scope()
    except ValueError:
        structlog.get_logger("ours").exception("failed")
        logging.getLogger("theirs").exception("failed too")
    text = stream.getvalue()
    assert CANARY not in text
    assert text.count("no answer from 24 sides") == 2
    assert text.count("fail_with_a_secret_in_scope") >= 2


def test_foreign_records_become_the_same_json() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger("ours").warning("link %s", "down", attempt=2)
    logging.getLogger("ib_async.client").warning("link %s", "down", extra={"attempt": 2})
    ours, theirs = records(stream)
    assert ours.keys() == theirs.keys() == {"event", "level", "logger", "timestamp", "attempt"}
    for record in (ours, theirs):
        assert (record["event"], record["level"], record["attempt"]) == ("link down", "warning", 2)
        assert record["timestamp"].endswith("Z")
    assert (ours["logger"], theirs["logger"]) == ("ours", "ib_async.client")


def test_records_of_both_kinds_are_masked() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info("login", password=CANARY, nested={"api_key": CANARY}, account="DU1234567")
    logging.getLogger("theirs").warning("token=%s for DU1234567", CANARY, extra={"secret": CANARY})
    assert CANARY not in stream.getvalue()
    assert "1234567" not in stream.getvalue()
    assert records(stream)[0]["account"] == "DU***67"


def test_one_record_is_one_line() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info('a\n{"event": "forged"}', value="b\x1b[2Jc")
    assert len(records(stream)) == 1
    assert "\x1b" not in stream.getvalue()


def test_context_reaches_both_kinds_of_records() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    with structlog.contextvars.bound_contextvars(run_id="r1"):
        structlog.get_logger("ours").info("a")
        logging.getLogger("theirs").info("b")
    structlog.get_logger("ours").info("c")
    assert [record.get("run_id") for record in records(stream)] == ["r1", "r1", None]


def test_a_record_that_cannot_be_written_does_not_print_its_arguments() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    logging.getLogger("theirs").info("%d sides", CANARY)
    assert records(stream)[0]["event"] == "log record lost"
    assert CANARY not in stream.getvalue()


def test_levels_hold_for_everyone_and_the_last_set_up_wins() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("INFO", stream=first)
    log = structlog.get_logger("ours")
    log.info("one")
    configure("WARNING", stream=second)
    log.info("two")
    log.warning("three")
    logging.getLogger("theirs").info("four")
    assert [r["event"] for r in records(first)] == ["one"]
    assert [r["event"] for r in records(second)] == ["three"]


def test_warnings_are_records() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old option", stacklevel=1)
    (record,) = records(stream)
    assert (record["logger"], record["level"]) == ("py.warnings", "warning")
    assert "old option" in record["event"]


def test_people_get_lines_and_machines_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, pipe, forced = Terminal(), io.StringIO(), io.StringIO()
    for stream, style in ((terminal, "auto"), (pipe, "auto"), (forced, "console")):
        configure(style=style, stream=stream)  # type: ignore[arg-type]
        structlog.get_logger("ours").info("hello", n=1)
    assert records(pipe)[0]["n"] == 1
    for lines in (terminal.getvalue(), forced.getvalue()):
        assert "hello" in lines
        assert "n=1" in lines
        assert "{" not in lines
        assert "\x1b" not in lines
