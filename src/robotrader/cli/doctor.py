"""`doctor`: is everything here that a run needs, and what to do where it is not."""

import asyncio
import hashlib
import importlib
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from robotrader.cli.command import FAILED, OK, Answer, Call, command
from robotrader.cli.read import flag_reason, opened
from robotrader.cli.settings import load
from robotrader.model import RoboTraderError

if TYPE_CHECKING:
    from robotrader.config import Settings

_PACKAGES = (
    "alembic", "bokeh_sampledata", "hypercorn", "ib_async", "msgspec", "numba", "numpy", "pandas_market_calendars",
    "platformdirs", "polars", "quart", "quart_schema", "rich", "sqlalchemy", "structlog", "typer",
)  # fmt: skip
_MIN_FREE, _LOW_FREE = 200_000_000, 2_000_000_000
_HANDSHAKE_S = 5.0
_VERSIONS = b"v100..200"
_REINSTALL = "run `make install`, or install the package anew"


class _Finding(Exception):
    """What is not as it should be, and what to do about it."""

    def __init__(self, reason: str, fix: str, *, status: str = "fail") -> None:
        super().__init__(reason)
        self.status, self.fix = status, fix


_warning = partial(_Finding, status="warn")


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor")(doctor)


def doctor(call: Call) -> Answer:
    """Check everything that a run needs; each line says pass, warn or fail, why, and what to do."""
    todo = list(_checks(call))
    done = call.progress(len(todo), "checking")
    checks = []
    for n, (name, look) in enumerate(todo):
        done(n)
        checks.append(_judge(name, look))
    ok = all(check["status"] != "fail" for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check['status']}  {check['name']:<14}  {check['reason']}")
        lines += [f"{'':<20}  -> {check['fix']}"] if check["fix"] else []
    lines.append("\neverything that a run needs is here" if ok else "\na run would fail: see the lines that say fail")
    return Answer({"ok": ok, "checks": checks}, "\n".join(lines), OK if ok else FAILED)


def _judge(name: str, check: Callable[[], str]) -> dict[str, str]:
    try:
        return {"name": name, "status": "pass", "reason": check(), "fix": ""}
    except _Finding as finding:
        return {"name": name, "status": finding.status, "reason": str(finding), "fix": finding.fix}


def _checks(call: Call) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "python", _python
    yield "packages", _packages
    yield "config", lambda: _config(call)
    yield "state folder", lambda: _writable(call.state)
    yield "disk", lambda: _disk(call.state)
    yield "journal", lambda: _journal(call.state)
    yield "halt flag", lambda: _flag(call.state)
    yield "time zones", _zones
    yield "calendar", _calendar
    yield "web assets", _assets
    yield "dashboard port", lambda: _configured(call, lambda settings, _: _port(settings))
    yield "broker", lambda: _configured(call, _broker)


def _python() -> str:
    version = sys.version.split()[0]
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise _Finding(version, "install Python 3.11, 3.12 or 3.13, then run `make install`")
    return version


def _packages() -> str:
    missing = []
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    if missing:
        raise _Finding(f"cannot be imported: {', '.join(missing)}", _REINSTALL)
    return f"all {len(_PACKAGES)} can be imported"


def _settings(call: Call) -> "tuple[Settings, str | None]":
    """Return the settings, and where they come from if there is a file."""
    try:
        settings, origins = load(call)
    except RoboTraderError as error:
        raise _Finding(str(error), "change the file until `robotrader config validate` is content") from error
    return settings, next((origin for origin in origins.values() if origin.startswith("file ")), None)


def _configured(call: Call, look: "Callable[[Settings, str | None], str]") -> str:
    try:
        settings, file = _settings(call)
    except _Finding as finding:
        raise _warning("not checked: the configuration cannot be read", finding.fix) from finding
    return look(settings, file)


def _config(call: Call) -> str:
    from robotrader.config import validate

    settings, file = _settings(call)
    if file is None:
        raise _warning("none, the defaults hold", "`robotrader init` writes one; demo and backtest need none")
    if reasons := validate(settings):
        raise _Finding("; ".join(reasons), "change the file until `robotrader config validate` is content")
    return file


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _writable(state: Path) -> str:
    folder = _existing(state)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return f"{state}{'' if folder == state else ', will be made'}"
    except OSError as error:
        raise _Finding(f"{folder}: {error.strerror}", "make it yours, or name another with --state") from error


def _disk(state: Path) -> str:
    free = shutil.disk_usage(_existing(state)).free
    reason, fix = f"{free / 1e9:.1f} GB free", "free some: a full disk halts trading"
    if free < _LOW_FREE:
        raise _Finding(reason, fix, status="fail" if free < _MIN_FREE else "warn")
    return reason


def _journal(state: Path) -> str:
    from robotrader import bootstrap

    try:
        with opened(state) as reader:
            head, schema = reader.head(), bootstrap.stats(state).schema
    except RoboTraderError as error:
        raise _Finding(str(error), "`robotrader db migrate` if it is old, else restore a backup") from error
    return f"schema {schema}, {head:,} rows; `robotrader db verify` checks them" if schema else "none yet"


def _flag(state: Path) -> str:
    if (reason := flag_reason(state)) is not None:
        raise _warning(f"raised, nothing will be sent: {reason}", "`robotrader resume --reason ...` once it is safe")
    return "not raised"


def _zones() -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        summer = datetime(2024, 7, 1, tzinfo=UTC).astimezone(ZoneInfo("America/New_York")).utcoffset()
    except ZoneInfoNotFoundError as error:
        raise _Finding(str(error), "install the system's tzdata, or `pip install tzdata`") from error
    if summer != timedelta(hours=-4):
        raise _Finding(f"New York in July 2024 is at {summer}", "install the system's tzdata anew")
    return "America/New_York is known"


def _calendar() -> str:
    from robotrader import bootstrap

    today = datetime.fromtimestamp(time.time(), tz=UTC).date()
    try:
        coming = bootstrap.sessions(today.isoformat(), (today + timedelta(days=14)).isoformat()).dates
        early = bootstrap.sessions("2024-11-29", "2024-11-29").closes
    except RoboTraderError as error:
        raise _Finding(str(error), _REINSTALL) from error
    if not coming or early != (1_732_903_200_000_000_000,):  # the day after Thanksgiving ends at 13:00
        raise _Finding(f"next sessions {coming[:1]}, early close {early}", _REINSTALL)
    return f"next session {coming[0]}, early closes known"


def _assets() -> str:
    web = files("robotrader") / "web"
    stated = json.loads((web / "VENDOR.json").read_text(encoding="utf-8"))
    wrong = []
    for name, package in stated.items():
        for file, digest in package["files"].items():
            there = web / "static" / "vendor" / name / Path(file).name
            if not there.is_file() or hashlib.sha256(there.read_bytes()).hexdigest() != digest:
                wrong.append(f"{name}/{Path(file).name}")
    if wrong:
        raise _warning(f"missing or altered: {', '.join(wrong)}", "run `make assets`: the dashboard needs them")
    return f"{', '.join(stated)}, as VENDOR.json states"


def _port(settings: "Settings") -> str:
    host, port = settings.dashboard.host, settings.dashboard.port
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        fix = "fine if your dashboard runs there; else `robotrader dashboard --port N`"
        raise _warning(f"{host}:{port} is not free: {error.strerror}", fix) from error
    return f"{host}:{port} is free"


def _broker(settings: "Settings", file: str | None) -> str:
    """Speak the API's own handshake: a gateway takes bare connections badly, and this one takes no client id."""
    host, port = settings.broker.host, settings.broker.port
    if file is None:
        raise _warning("no gateway is configured", "`robotrader init`, then set [broker]")
    try:
        version = asyncio.run(asyncio.wait_for(_handshake(host, port), _HANDSHAKE_S))
    except (OSError, EOFError, ValueError) as error:
        why = str(error) or f"no answer within {_HANDSHAKE_S:g} s"
        fix = "start IB Gateway, log in, enable its API, and check [broker] host and port"
        raise _warning(f"{host}:{port} does not speak the API: {why}", fix) from error
    return f"{host}:{port} speaks the API, server version {version}"


async def _handshake(host: str, port: int) -> int:
    """Exchange versions as every API client does, and return the server's."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"API\0" + len(_VERSIONS).to_bytes(4, "big") + _VERSIONS)
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > 100:
            raise ValueError("what it answers is not the API's")
        return int((await reader.readexactly(size)).partition(b"\0")[0])
    finally:
        writer.close()
