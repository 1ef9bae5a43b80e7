"""Configuration: `config show`, `config validate`, `config schema`, and `init`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from robotrader.cli.command import CONFIG, OK, Answer, Call, Refused, command, plain, table

if TYPE_CHECKING:
    from robotrader.config import Origins, Settings

PRIVATE = 0o600


def register(app: typer.Typer) -> None:
    """Add the commands."""
    config = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The configuration.")
    for function in (show, validate, schema):
        command(config, function.__name__)(function)
    app.add_typer(config, name="config")
    command(app, "init")(init)


def load(call: Call) -> "tuple[Settings, Origins]":
    """Return the settings as the trader would have them, with the origins of what is no default."""
    from robotrader.config import load_settings

    return load_settings(call.config, overrides={"state": str(call.state)} if call.state_named else None)


def show(call: Call) -> Answer:
    """Show every effective value with where it comes from; secrets and accounts masked."""
    from robotrader import config

    rows = config.show(*load(call))
    shown = [(row.key, _text(row.value), row.origin) for row in rows]
    return Answer({"settings": rows}, table(("key", "value", "origin"), shown, empty="no settings"))


def _text(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(plain(value))


def validate(call: Call) -> Answer:
    """Say whether a trader would start with this configuration, and if not, why."""
    from robotrader import config

    reasons = config.validate(load(call)[0])
    text = "\n".join(("the trader would refuse to start:", *(f"  {reason}" for reason in reasons)))
    return Answer({"ok": not reasons, "reasons": reasons}, text if reasons else "valid", CONFIG if reasons else OK)


def schema(_call: Call) -> Answer:
    """Print the JSON schema of a configuration file, for editors."""
    from robotrader import config

    found = config.schema()
    return Answer({"schema": found}, json.dumps(found, indent=2))


def init(call: Call) -> Answer:
    """Write a commented configuration to begin with; an existing file is left alone."""
    from robotrader.config import LOCAL_FILE, starter_config

    file = (call.config or Path(LOCAL_FILE)).expanduser().absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        raise Refused(f"{file} is there already and stays as it is; --config names another") from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(starter_config())
    text = f"wrote {file} (mode 0600)\nset your account in it, then: robotrader doctor --config {file}"
    return Answer({"file": file, "mode": f"{PRIVATE:04o}"}, text)
