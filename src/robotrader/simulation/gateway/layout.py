"""Message layouts as data: one line of names says what a message holds at every server version.

The notation is that of the knowledge file `ibkr.md` 1.6. Tokens are separated by blanks:

    name          the value of that name
    name=text     always this text (`name=` is an empty field); the name is for the reader
    [170]token    only from that version; [<177]token only below; both may stand together
"""

import re
from collections.abc import Mapping
from functools import cache

from robotrader.simulation.gateway.wire import frame, text

_TOKEN = re.compile(r"((?:\[<?\d+\])*)(\w+)(?:=(\S*))?")
_GUARD = re.compile(r"\[(<?)(\d+)\]")


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


@cache
def _template(layout: str, version: int) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the message's pieces, constants filled in and joined, and which piece takes which value."""
    pieces: list[str] = []
    slots: list[tuple[int, str]] = []
    constants: list[str] = []
    for name, constant in names(layout, version):
        if constant is not None:
            constants.append(constant)
            continue
        if constants:
            pieces.append("\0".join(constants))
            constants = []
        slots.append((len(pieces), name))
        pieces.append("")
    if constants:
        pieces.append("\0".join(constants))
    return pieces, slots


def encode(layout: str, version: int, values: Mapping[str, object]) -> bytes:
    """Return the frame of a message; `values` must hold every name that the version asks for."""
    template, slots = _template(layout, version)
    pieces = template.copy()
    for at, name in slots:
        pieces[at] = text(values[name])
    return frame("\0".join(pieces) + "\0")
