"""Options that several commands share."""

from collections.abc import Sequence
from typing import Annotated

import typer

Strategy = Annotated[str, typer.Argument(metavar="STRATEGY", help="Library id, or path/to/file.py:ClassName.")]
Data = Annotated[str, typer.Option("--data", help="Dataset name (`robotrader data list`), file or folder.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="Bars and corporate actions of the lake as they were known then."),
]
Parameters = Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="A strategy parameter.")]


def parse_parameters(pairs: Sequence[str] | None) -> dict[str, int | float]:
    """Read `fast=10` pairs.

    Raises
    ------
    ConfigError
        A pair is not NAME=NUMBER.
    """
    from robotrader.model import ConfigError

    found: dict[str, int | float] = {}
    for pair in pairs or ():
        name, _, text = pair.partition("=")
        try:
            found[name] = int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            raise ConfigError(f"a parameter must be NAME=NUMBER, found {pair!r}") from None
    return found


def moment(text: str | None) -> int | None:
    """Read an ISO time as ns UTC: at the exchange where it names no zone; a date is its last microsecond there.

    Raises
    ------
    ConfigError
        It is neither, or not between the years 1900 and 2200.
    """
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    from robotrader.model import NANOS_PER_SECOND, ConfigError

    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or not 1900 <= time.year <= 2200:
        raise ConfigError(f"expected a time such as 2026-03-01T16:00 or a date, found {text!r}")
    time = time if time.tzinfo else time.replace(tzinfo=ZoneInfo("America/New_York"))
    if len(text) > len("2026-03-01"):
        return round(time.timestamp() * 1_000_000) * 1_000
    return int((time + timedelta(days=1)).timestamp()) * NANOS_PER_SECOND - 1_000
