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
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from msgspec import Struct

from robotrader.cli.command import FAILED, OK, Answer, Call, command
from robotrader.cli.read import flag_reason, opened
from robotrader.cli.settings import load
from robotrader.model import ConfigError, RoboTraderError

if TYPE_CHECKING:
    from robotrader.config import Settings

_PYTHON = ((3, 11), (3, 14))
_PACKAGES = (
    "alembic", "bokeh_sampledata", "empyrical", "hypercorn", "ib_async", "msgspec", "numpy", "pandas_market_calendars",
    "platformdirs", "polars", "quart", "quart_schema", "rich", "sqlalchemy", "structlog", "typer",
)  # fmt: skip
_MIN_FREE, _LOW_FREE = 200_000_000, 2_000_000_000
_HANDSHAKE_S = 5.0
_VERSIONS = b"v100..200"


class Check(Struct, frozen=True, kw_only=True):
    """One line of the report; `fix` says what to do where `status` is not pass."""

    name: str
    status: Literal["pass", "warn", "fail"]
    reason: str
    fix: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor")(doctor)


def doctor(call: Call) -> Answer:
    """Check everything that a run needs; each line says pass, warn or fail, why, and what to do."""
    checks = list(_checks(call))
    ok = all(check.status != "fail" for check in checks)
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.status}  {check.name.ljust(width)}  {check.reason}")
        if check.fix:
            lines.append(f"      {' ' * width}  -> {check.fix}")
    lines.append("everything that a run needs is here" if ok else "a run would fail: see the lines that say fail")
    return Answer({"ok": ok, "checks": checks}, "\n".join(lines), OK if ok else FAILED)


def _checks(call: Call) -> Iterator[Check]:
    yield _python()
    yield _packages()
    settings, check = _config(call)
    yield check
    yield _state(call.state)
    yield _disk(call.state)
    yield _journal(call.state)
    yield _zone()
    yield _calendar()
    yield _assets()
    yield _flag(call.state)
    if settings is not None:
        yield _port(settings)
        yield asyncio.run(_broker(settings, configured=check.status == "pass"))


def _python() -> Check:
    found = sys.version_info[:2]
    good = _PYTHON[0] <= found < _PYTHON[1]
    return Check(name="python", status="pass" if good else "fail", reason=sys.version.split()[0],
                 fix="" if good else "install Python 3.11, 3.12 or 3.13 and run `make install`")  # fmt: skip


def _packages() -> Check:
    missing = []
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    if missing:
        return Check(name="packages", status="fail", reason=f"cannot be imported: {', '.join(missing)}",
                     fix="run `make install`, or `pip install robotrader` anew")  # fmt: skip
    return Check(name="packages", status="pass", reason=f"all {len(_PACKAGES)} can be imported")


def _config(call: Call) -> "tuple[Settings | None, Check]":
    from robotrader.config import validate

    fix = "robotrader config validate, then change the file"
    try:
        settings, origins = load(call)
    except ConfigError as error:
        return None, Check(name="config", status="fail", reason=str(error), fix=fix)
    file = next((origin for origin in origins.values() if origin.startswith("file ")), None)
    if file is None:
        made = "robotrader init writes one; demo and backtest need none"
        return settings, Check(name="config", status="warn", reason="no configuration, the defaults hold", fix=made)
    reasons = validate(settings)
    if reasons:
        return settings, Check(name="config", status="fail", reason="; ".join(reasons), fix=fix)
    return settings, Check(name="config", status="pass", reason=file)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _state(state: Path) -> Check:
    folder = _existing(state)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(name="state folder", status="fail", reason=f"{folder} cannot be written: {error.strerror}",
                     fix="give yourself the folder, or name another with --state")  # fmt: skip
    new = "" if folder == state else ", will be made"
    return Check(name="state folder", status="pass", reason=f"{state}{new}")


def _disk(state: Path) -> Check:
    free = shutil.disk_usage(_existing(state)).free
    reason = f"{free / 1e9:.1f} GB free"
    if free >= _LOW_FREE:
        return Check(name="disk", status="pass", reason=reason)
    return Check(name="disk", status="fail" if free < _MIN_FREE else "warn", reason=reason,
                 fix="free space, or move the state folder: a full disk halts trading")  # fmt: skip


def _journal(state: Path) -> Check:
    from robotrader import bootstrap

    try:
        with opened(state) as reader:
            head, schema = reader.head(), bootstrap.stats(state).schema
    except RoboTraderError as error:
        return Check(name="journal", status="fail", reason=str(error),
                     fix="robotrader db migrate if the schema is old, else restore a backup")  # fmt: skip
    if schema is None:
        return Check(name="journal", status="pass", reason="none yet: the first run makes it")
    return Check(name="journal", status="pass", reason=f"schema {schema}, {head:,} rows (`robotrader db verify` checks all)")


def _zone() -> Check:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    fix = "install the system's tzdata, or `pip install tzdata`"
    try:
        summer = datetime(2024, 7, 1, tzinfo=UTC).astimezone(ZoneInfo("America/New_York")).utcoffset()
    except ZoneInfoNotFoundError as error:
        return Check(name="time zones", status="fail", reason=str(error), fix=fix)
    if summer != timedelta(hours=-4):
        return Check(name="time zones", status="fail", reason=f"New York in July 2024 is UTC{summer}", fix=fix)
    return Check(name="time zones", status="pass", reason="America/New_York is known")


def _calendar() -> Check:
    from robotrader import bootstrap

    today = datetime.fromtimestamp(time.time(), tz=UTC).date()
    try:
        known = bootstrap.sessions("2024-11-29", "2024-11-29"), bootstrap.sessions(
            today.isoformat(), (today + timedelta(days=14)).isoformat()
        )
    except ConfigError as error:
        return Check(name="calendar", status="fail", reason=str(error), fix="run `make install`")
    early = known[0].closes == (1_732_903_200_000_000_000,)  # the day after Thanksgiving closes at 13:00
    if not early or not known[1].dates:
        return Check(name="calendar", status="fail", reason="sessions or early closes are missing", fix="run `make install`")
    return Check(name="calendar", status="pass", reason=f"next session {known[1].dates[0]}, early closes known")


def _assets() -> Check:
    web = files("robotrader") / "web"
    stated = json.loads((web / "VENDOR.json").read_text(encoding="utf-8"))
    folder = web / "static" / "vendor"
    wrong = [
        f"{name}/{file}"
        for name, package in stated.items()
        for file, digest in package["files"].items()
        if not _has(folder / name / Path(file).name, digest)
    ]
    if wrong:
        return Check(name="web assets", status="warn", reason=f"missing or altered: {', '.join(wrong)}",
                     fix="run `make assets`: without them the dashboard draws no charts")  # fmt: skip
    return Check(name="web assets", status="pass", reason=f"{', '.join(stated)} as stated")


def _has(file: Path, digest: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest


def _flag(state: Path) -> Check:
    reason = flag_reason(state)
    if reason is None:
        return Check(name="halt flag", status="pass", reason="not raised")
    return Check(name="halt flag", status="warn", reason=f"raised, nothing will be sent: {reason}",
                 fix="robotrader resume --reason ..., once it is safe")  # fmt: skip


def _port(settings: "Settings") -> Check:
    where = (settings.dashboard.host, settings.dashboard.port)
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return Check(name="dashboard port", status="warn", reason=f"{where[0]}:{where[1]} is not free: {error.strerror}",
                     fix="a dashboard may run already; else robotrader dashboard --port N")  # fmt: skip
    return Check(name="dashboard port", status="pass", reason=f"{where[0]}:{where[1]} is free")


async def _broker(settings: "Settings", *, configured: bool) -> Check:
    """Speak the API's own handshake: a gateway takes bare connections badly; this one takes no client id."""
    where, name = f"{settings.broker.host}:{settings.broker.port}", "broker"
    if not configured:
        return Check(name=name, status="warn", reason="no gateway is configured", fix="robotrader init, then set [broker]")
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            version = await _handshake(settings.broker.host, settings.broker.port)
    except (OSError, EOFError, ValueError) as error:
        why = str(error) or f"no answer within {_HANDSHAKE_S:g} s"
        return Check(name=name, status="warn", reason=f"{where} does not speak the API: {why}",
                     fix="start IB Gateway, log in, enable its API and check [broker] host and port")  # fmt: skip
    return Check(name=name, status="pass", reason=f"{where} speaks the API, server version {version}")


async def _handshake(host: str, port: int) -> int:
    """Exchange versions as any API client does, and return the server's."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"API\0" + len(_VERSIONS).to_bytes(4, "big") + _VERSIONS)
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > 100:
            raise ValueError("its answer is none of the API's")
        return int((await reader.readexactly(size)).partition(b"\0")[0])
    finally:
        writer.close()
