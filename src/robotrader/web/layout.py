"""The page as text: panels of cells that a template writes at first and the browser updates later.

Templates and browser only place these texts: every number is formatted on this side, once.
"""

from typing import Literal

from msgspec import Struct

PanelState = Literal["live", "empty", "stale"]


class Cell(Struct, frozen=True):
    """One text, what hovering adds, and its tone: `gain`, `loss`, `warn`, `bad`, `open`, `muted`, `none` for absent."""

    text: str
    tone: str = ""
    title: str = ""


class Column(Struct, frozen=True):
    """One column; `kind` is how it is set: `num`, `mono`, `wide` or plain."""

    label: str
    kind: str = ""


class Row(Struct, frozen=True):
    """One row; `key` names it over updates."""

    key: str
    cells: tuple[Cell, ...]


class Table(Struct, frozen=True, kw_only=True):
    """A table; an empty one says why in `note` and what to do next."""

    title: str
    caption: str
    state: PanelState
    note: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


class Fact(Struct, frozen=True):
    """One number with its name and what it was measured against."""

    key: str
    label: str
    value: Cell
    hint: str


class Facts(Struct, frozen=True, kw_only=True):
    """The account's numbers."""

    title: str
    state: PanelState
    facts: tuple[Fact, ...]


class Chart(Struct, frozen=True, kw_only=True):
    """A curve: points of (seconds UTC, text), a summary in words, and its last points as a table."""

    title: str
    state: PanelState
    note: str
    points: tuple[tuple[int, str], ...]
    table: Table


class Page(Struct, frozen=True, kw_only=True):
    """All panels as of `seq`; `frame` is what stands around them, of which empty texts are not shown."""

    seq: int
    frame: dict[str, str | Cell]
    account: Facts
    equity: Chart
    data: Table
    positions: Table
    strategies: Table
    orders: Table
    fills: Table
    denials: Table
