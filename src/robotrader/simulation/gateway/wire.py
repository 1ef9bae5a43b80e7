"""Frames, fields, layouts and times of the TWS socket protocol (text form, server versions 157 to 200).

A frame is a 4-byte big-endian length and that many bytes: fields, each ended by NUL. A layout says in one
line of names what a message holds at every server version. Its tokens are separated by blanks:

    name          the value of that name
    name=text     always this text (`name=` is an empty field); the name is for the reader
    [170]token    only from that version; [<177]token only below; both may stand together

Source: the knowledge file `ibkr.md` 1.2 and 1.6.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from robotrader.model import NANOS_PER_SECOND

MIN_VERSION = 157
MAX_VERSION = 200
_MAX_FRAME = 1 << 20  # whoever announces a longer one does not speak this protocol

ZONE_NAME = "US/Eastern"
ZONE = ZoneInfo(ZONE_NAME)

UNSET_DOUBLE = "1.7976931348623157E308"
UNSET = frozenset({"", UNSET_DOUBLE, "1.7976931348623157e+308", "2147483647", "9223372036854775807"})
_VERSIONS = re.compile(r"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?", re.DOTALL)
_TOKEN = re.compile(r"((?:\[<?\d+\])*)(\w+)(?:=(\S*))?")
_GUARD = re.compile(r"\[(<?)(\d+)\]")


class Malformed(ValueError):
    """A peer sent bytes or fields that this protocol does not have."""


def text(value: object) -> str:
    """Return a value as field text: None is empty, booleans 0 or 1, floats by repr (they survive exactly)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def local(ts: int) -> datetime:
    """Return a time (ns UTC) in the exchange's zone."""
    return datetime.fromtimestamp(ts // NANOS_PER_SECOND, ZONE)


def nanos(moment: datetime) -> int:
    """Return a time as ns UTC (whole seconds)."""
    return int(moment.timestamp()) * NANOS_PER_SECOND


def utc(ts: int) -> str:
    """Return a time as text in UTC, `20240102-14:30:00`."""
    return datetime.fromtimestamp(ts // NANOS_PER_SECOND, UTC).strftime("%Y%m%d-%H:%M:%S")


@lru_cache(4096)  # a session's times are asked for again and again
def stamp(ts: int, version: int) -> str:
    """Return a time as text: with its zone from version 174, exchange time with two spaces below."""
    return local(ts).strftime(f"%Y%m%d %H:%M:%S {ZONE_NAME}" if version >= 174 else "%Y%m%d  %H:%M:%S")


def frame(body: str) -> bytes:
    """Return one frame around fields that are already joined and ended by NUL."""
    data = body.encode()
    return len(data).to_bytes(4, "big") + data


def fields_frame(*values: object) -> bytes:
    """Return one frame of these values."""
    return frame("".join(text(v) + "\0" for v in values))


def split(body: str) -> list[str]:
    """Return the fields of a frame's text."""
    return body.split("\0")[:-1]


async def read_frame(reader: asyncio.StreamReader) -> str:
    """Return the next frame's text, without its length; IncompleteReadError at the end of the stream."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > _MAX_FRAME:
        raise Malformed(f"bad message length {size}")
    return (await reader.readexactly(size)).decode("utf-8", "backslashreplace")


async def greeted(reader: asyncio.StreamReader, server_version: int) -> int:
    """Return the version both sides speak, from the client's `v<min>..<max>`; Malformed when there is none."""
    if await reader.readexactly(4) != b"API\0":
        raise Malformed("the connection does not open with API")
    greeting = await read_frame(reader)
    match = _VERSIONS.fullmatch(greeting.rstrip("\0"))
    if match is None:
        raise Malformed(f"expected a version range v<min>..<max>, found {greeting[:40]!r}")
    low, high = int(match[1]), int(match[2] or match[1])
    version = min(high, server_version)
    if version < max(low, MIN_VERSION):
        raise Malformed(f"no common version: client {low} to {high}, server {MIN_VERSION} to {server_version}")
    return version


@cache
def names(layout: str, version: int) -> tuple[tuple[str, str | None], ...]:
    """Return a layout's (name, constant or None) at a version, in order."""
    found: list[tuple[str, str | None]] = []
    for token in layout.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise ValueError(f"layout token {token!r} is not name, name=text or [n]name")
        guards, name, constant = match.groups()
        if all(version < int(n) if below else version >= int(n) for below, n in _GUARD.findall(guards)):
            found.append((name, constant))
    return tuple(found)


def encode(layout: str, version: int, values: Mapping[str, object]) -> bytes:
    """Return the frame of a message; `values` must hold every name that the version asks for."""
    fields = (text(values[name]) if constant is None else constant for name, constant in names(layout, version))
    return frame("\0".join(fields) + "\0")
