"""Frames and fields of the TWS socket protocol (text form, server versions 157 to 200).

A frame is a 4-byte big-endian length and that many bytes: fields, each ended by NUL. See the
knowledge file `ibkr.md` 1.2; nothing here knows what the fields mean.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

from robotrader.model import NANOS_PER_SECOND

MIN_VERSION = 157
MAX_VERSION = 200
HELLO = b"API\0"
MAX_FRAME = 1 << 20
"""Longer frames do not exist in this protocol: whoever announces one does not speak it."""

ZONE_NAME = "US/Eastern"
ZONE = ZoneInfo(ZONE_NAME)

UNSET_DOUBLE = "1.7976931348623157E308"
UNSET_INTEGER = "2147483647"
_UNSET = frozenset({"", UNSET_DOUBLE, "1.7976931348623157e+308", UNSET_INTEGER, "9223372036854775807"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DIGITS = 15
_VERSIONS = re.compile(r"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?", re.DOTALL)


class Malformed(ValueError):
    """A peer sent bytes or fields that this protocol does not have."""


def text(value: object) -> str:
    """Return a value as field text: None is empty, booleans 0 or 1, floats by repr (they survive exactly)."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else _not_finite(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return ""
    return "Infinity" if value > 0 else "-Infinity"


def escaped(message: str) -> str:
    r"""Return text in ASCII with `\uXXXX` escapes, as error texts and long names travel."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in message)


def local(ts: int) -> datetime:
    """Return a time (ns UTC) in the exchange's zone."""
    return datetime.fromtimestamp(ts // NANOS_PER_SECOND, ZONE)


def nanos(moment: datetime) -> int:
    """Return a time as ns UTC (whole seconds)."""
    return int(moment.timestamp()) * NANOS_PER_SECOND


@lru_cache(4096)  # a session's times are asked for again and again
def stamp(ts: int, version: int) -> str:
    """Return a time as text: with its zone from version 174, exchange time with two spaces below."""
    return local(ts).strftime(f"%Y%m%d %H:%M:%S {ZONE_NAME}" if version >= 174 else "%Y%m%d  %H:%M:%S")


@lru_cache(4096)
def day(ts: int) -> str:
    """Return the exchange day of a time, `20260413`."""
    return local(ts).strftime("%Y%m%d")


def frame(body: str) -> bytes:
    """Return one frame around fields that are already joined and ended by NUL."""
    data = body.encode()
    return len(data).to_bytes(4, "big") + data


def fields_frame(*values: object) -> bytes:
    """Return one frame of these values."""
    return frame("".join(text(v) + "\0" for v in values))


class FrameBuffer:
    """Cut a byte stream into frames, however the network split it."""

    def __init__(self) -> None:
        self._data = bytearray()

    def hello(self) -> bool:
        """Take the four bytes that open a connection; False while there are fewer.

        Raises
        ------
        Malformed
            The peer opens with something else (the protocol of before 2013, or none at all).
        """
        if not HELLO.startswith(self._data[: len(HELLO)]):
            raise Malformed("the connection does not open with API")
        if len(self._data) < len(HELLO):
            return False
        del self._data[: len(HELLO)]
        return True

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        self._data += data

    def frames(self) -> Iterator[str]:
        """Yield the complete frames as text, without their lengths.

        Raises
        ------
        Malformed
            A length is impossible: the stream cannot be read any further.
        """
        data, start = self._data, 0
        try:
            while len(data) - start >= 4:
                size = int.from_bytes(data[start : start + 4], "big")
                if size > MAX_FRAME:
                    raise Malformed(f"bad message length {size}")
                end = start + 4 + size
                if len(data) < end:
                    return
                body, start = data[start + 4 : end], end
                yield body.decode("utf-8", "backslashreplace")
        finally:
            del data[:start]


def split(body: str) -> list[str]:
    """Return the fields of a frame's text."""
    return body.split("\0")[:-1]


def negotiate(greeting: str, server_version: int) -> int:
    """Return the version both sides speak, from the client's `v<min>..<max>`.

    Raises
    ------
    Malformed
        It is no greeting, or there is no common version from 157 on.
    """
    match = _VERSIONS.fullmatch(greeting.rstrip("\0"))
    if match is None:
        raise Malformed(f"expected a version range v<min>..<max>, found {greeting[:40]!r}")
    low, high = int(match[1]), int(match[2] or match[1])
    version = min(high, server_version)
    if version < max(low, MIN_VERSION):
        raise Malformed(f"no common version: client {low} to {high}, server {MIN_VERSION} to {server_version}")
    return version


class Fields:
    """Read a message's fields in order; every form of "unset" reads as None."""

    __slots__ = ("_at", "_fields")

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    def text(self) -> str:
        """Return the next field as it is."""
        at = self._at
        if at >= len(self._fields):
            raise Malformed(f"field {at + 1} is missing")
        self._at = at + 1
        return self._fields[at]

    def skip(self, count: int = 1) -> None:
        """Leave out fields that do not matter here."""
        self._at += count

    def integer(self) -> int | None:
        """Return the next field as a whole number."""
        found = self.text()
        if found in _UNSET:
            return None
        if not _INTEGER.fullmatch(found):
            raise Malformed(f"field {self._at}: expected a whole number, found {found[:40]!r}")
        return int(found)

    def required(self) -> int:
        """Return the next field as a whole number that must be there."""
        found = self.integer()
        if found is None:
            raise Malformed(f"field {self._at}: a number is missing")
        return found

    def flag(self) -> bool:
        """Return the next field as a truth value; unset is false."""
        return self.text() not in {"", "0", "false", "False"}

    def decimal(self) -> Decimal | None:
        """Return the next field as an exact number."""
        found = self.text()
        if found in _UNSET:
            return None
        try:
            value = Decimal(found)
        except InvalidOperation:
            raise Malformed(f"field {self._at}: expected a number, found {found[:40]!r}") from None
        if not value.is_finite() or abs(value.adjusted()) > _DIGITS:
            raise Malformed(f"field {self._at}: no quantity or price is {found[:40]!r}")
        return value
