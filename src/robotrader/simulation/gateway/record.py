"""The gateway's log: every input, every execution, one JSON object a line; and a reader of it.

The log is what survives a restart: the state is rebuilt by running the inputs again. It is also
the independent witness of what a trader really sent: `GatewayRecord` needs nothing but the file.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from robotrader.data.panel import Panel
from robotrader.model import ConfigError, Instrument, InstrumentId, Side
from robotrader.simulation.gateway.requests import PlaceOrder

LOG_NAME = "gateway.jsonl"


class Header(Struct, frozen=True, kw_only=True, tag="gateway", tag_field="kind"):
    """First line: what the rest of the log depends on."""

    data: str
    account: str
    initial_cash: Decimal
    lock_step: bool
    start: int
    instruments: tuple[Instrument, ...]
    v: int = 1


class Placement(Struct, frozen=True, kw_only=True, tag="place", tag_field="kind"):
    """One placeOrder as it was received; `code` is the error it was answered with, 0 when it was taken."""

    client_id: int
    order: PlaceOrder
    instrument: InstrumentId | None
    perm_id: int
    modify: bool
    code: int

    @property
    def order_id(self) -> int:
        """Return the client's order id."""
        return self.order.req_id

    @property
    def order_ref(self) -> str:
        """Return the order's `orderRef`."""
        return self.order.order_ref

    @property
    def side(self) -> str:
        """Return BUY or SELL, as it was sent."""
        return self.order.action

    @property
    def quantity(self) -> Decimal | None:
        """Return the quantity, as it was sent."""
        return self.order.quantity


class Cancellation(Struct, frozen=True, kw_only=True, tag="cancel", tag_field="kind"):
    """One cancelOrder as it was received; no order id: a global cancel."""

    client_id: int
    order_id: int | None


class Advance(Struct, frozen=True, kw_only=True, tag="advance", tag_field="kind"):
    """The market moved to `ts`, ns UTC."""

    ts: int


class Execution(Struct, frozen=True, kw_only=True, tag="execution", tag_field="kind"):
    """One execution with its commission; `realized` is None when it only opens a position."""

    exec_id: str
    client_id: int
    order_id: int
    perm_id: int
    order_ref: str
    instrument: InstrumentId
    side: Side
    quantity: int
    price: Decimal
    ts: int
    commission: Decimal
    realized: Decimal | None
    cumulative: int
    average: Decimal


Input = Placement | Cancellation | Advance
Line = Header | Input | Execution

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def fingerprint(panel: Panel) -> str:
    """Return a hash of all market data in a panel."""
    digest = hashlib.blake2b(panel.spec.encode(), digest_size=16)
    for column in (panel.opened, panel.ts, panel.open, panel.high, panel.low, panel.close, panel.volume):
        digest.update(column.tobytes())
    return digest.hexdigest()


def read_lines(path: Path) -> tuple[list[Line], int]:
    """Return the complete lines of a log and the length of their bytes; a torn last line is left out.

    Raises
    ------
    ConfigError
        A complete line is not one of a gateway log.
    """
    data = path.read_bytes()
    complete = data[: data.rfind(b"\n") + 1]
    lines: list[Line] = []
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            lines.append(_DECODER.decode(text))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}:{number} is not a line of a gateway log: {error}", path=str(path)) from error
    return lines, len(complete)


class GatewayLog:
    """Append to the log; without a path, remember nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None

    def open(self, header: Header) -> Sequence[Line]:
        """Open the log for appending and return the lines after its header.

        Raises
        ------
        ConfigError
            The log belongs to other data or another configuration.
        """
        if self._path is None:
            return ()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines, size = read_lines(self._path) if self._path.exists() else ([], 0)
        if lines and lines[0] != header:
            raise ConfigError(
                f"{self._path} belongs to other market data or another configuration of the gateway simulator: "
                "use the same --data, account and mode, or another state folder",
                path=str(self._path),
            )
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._file, size)
        if not lines:
            self.write((header,))
        return lines[1:]

    def write(self, lines: Iterable[Line]) -> None:
        """Append lines at once; nothing that depends on them may be sent before."""
        if self._file is not None:
            os.write(self._file, b"".join(_ENCODER.encode(line) + b"\n" for line in lines))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class GatewayRecord(Struct, frozen=True, kw_only=True):
    """What a gateway saw and did, read from its log alone.

    Attributes
    ----------
    placements : tuple of Placement
        Every placeOrder received, in order, also modifications and refused ones.
    positions : dict
        Signed units by instrument at the end, zeros left out; from the executions.
    cash : Decimal
        Cash at the end; from the executions.
    now : int
        Market time at the end, ns UTC.
    """

    placements: tuple[Placement, ...]
    executions: tuple[Execution, ...]
    positions: dict[InstrumentId, int]
    cash: Decimal
    now: int

    @classmethod
    def read(cls, state: Path) -> Self:
        """Read the record of a state folder.

        Raises
        ------
        ConfigError
            There is no gateway log, or the file is not one.
        """
        path = state / LOG_NAME
        if not path.exists():
            raise ConfigError(f"there is no gateway log at {path}: start the gateway with this state folder first")
        lines, _ = read_lines(path)
        header = lines[0] if lines else None
        if not isinstance(header, Header):
            raise ConfigError(f"{path} does not begin with a gateway header")
        multiplier = {i.id: i.multiplier for i in header.instruments}
        executions = tuple(line for line in lines if isinstance(line, Execution))
        positions: dict[InstrumentId, int] = {}
        cash = header.initial_cash
        for e in executions:
            positions[e.instrument] = positions.get(e.instrument, 0) + e.side.sign * e.quantity
            cash -= e.side.sign * e.quantity * e.price * multiplier[e.instrument] + e.commission
        return cls(
            placements=tuple(line for line in lines if isinstance(line, Placement)),
            executions=executions,
            positions={iid: quantity for iid, quantity in positions.items() if quantity},
            cash=cash,
            now=max((line.ts for line in lines if isinstance(line, Advance)), default=header.start),
        )
