"""One log for everything: structlog's records and the standard library's become the same lines on stderr.

structlog brings rich and costs a quarter of a second: import this module when a command starts to work, not for
`--help`.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Literal, TextIO

import structlog
from structlog.processors import ExceptionRenderer, TimeStamper
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor, WrappedLogger

from robotrader.monitoring.redact import clean

Format = Literal["auto", "json", "console"]


def configure(level: str = "INFO", style: Format = "auto", stream: TextIO | None = None) -> None:
    """Send all logs of this process to one stream; calling it again replaces the earlier set-up.

    `level` is for our records and everyone's; `style` one JSON object a line, or lines for people, `auto` these on a
    terminal; `stream` by default stderr: stdout belongs to results.
    """
    out = stream or sys.stderr
    human = style == "console" or (style == "auto" and out.isatty())
    color = out.isatty() and not os.environ.get("NO_COLOR")
    before: Sequence[Processor] = (  # run on both kinds of records
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        TimeStamper(fmt="iso", utc=True),
    )
    handler = _Handler(out)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[ProcessorFormatter.remove_processors_meta, *_ends(human=human, color=color)],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a second configure must reach loggers that are already in use
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def _ends(*, human: bool, color: bool) -> list[Processor]:
    """Return the last steps: exceptions as text without locals, then the mask, then the line."""
    if human:
        return [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=color, exception_formatter=structlog.dev.plain_traceback),
        ]
    # show_locals is on by default and would print every secret in scope
    exceptions = ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=30))
    return [exceptions, redact, structlog.processors.JSONRenderer(sort_keys=True)]


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets and accounts in a record, drop control characters, bound its size."""
    return {str(key): clean(value, str(key)) for key, value in event.items()}


class _Handler(logging.StreamHandler[TextIO]):
    """Writes records; one that cannot be written is named in one line, without its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Keep the library from printing a traceback with all arguments of the failed record."""
        try:
            lost = {"event": "log record lost", "level": "error", "logger": record.name, "line": record.lineno}
            self.stream.write(json.dumps(lost) + "\n")
        except (OSError, ValueError):
            return  # the stream itself is gone
