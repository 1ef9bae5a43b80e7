"""Options that several commands share."""

from collections.abc import Sequence
from typing import Annotated

import typer

Strategy = Annotated[str, typer.Argument(metavar="STRATEGY", help="Library id, or path/to/file.py:ClassName.")]
Data = Annotated[str, typer.Option("--data", help="Dataset name (`robotrader data list`), file or folder.")]
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
