"""The gateway's log: every input, every execution, one JSON object a line; and a reader of it.

The log is what survives a restart: the state is rebuilt by running the inputs again. It is also
the independent witness of what a trader really sent: `GatewayRecord` needs nothing but the file.
"""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import msgspec
from msgspec import Struct

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
    modify: bool
    code: int

    @property
    def order_ref(self) -> str:
        """Return the order's `orderRef`."""
        return self.order.order_ref


class Cancellation(Struct, frozen=True, kw_only=True, tag="cancel", tag_field="kind"):
    """One cancelOrder as it was received; no order id: a global cancel."""

    client_id: int
    order_id: int | None


class Advance(Struct, frozen=True, kw_only=True, tag="advance", tag_field="kind"):
    """The market moved to `ts`, ns UTC."""

    ts: int


class Execution(Struct, frozen=True, kw_only=True, tag="execution", tag_field="kind", omit_defaults=True):
    """One execution with its commission; `realized` is None when it only opens a position.

    A correction has the same `exec_id` with a higher last part, and replaces what came before; 0 shares: it is void.
    """

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
    liquidation: bool = False


class Intervention(Struct, frozen=True, kw_only=True, tag="intervention", tag_field="kind", omit_defaults=True):
    """What happens to orders and executions without any client's request, and client 0's wish to bind manual orders.

    `instrument`, `quantity`, `price`, `exec_id`, `order`, `new` for `old` units and the ids name what it is about, as
    far as the deed needs them: see `interventions`. The `quantity` of a halt is tick 49's value, 0 ends it and a
    limit state.
    """

    deed: Literal[
        "bind", "correct", "expire", "fill late", "halt", "lend", "limit state", "liquidate", "locate",
        "order manually", "renumber", "restart", "roll back", "split", "vanish",
    ]  # fmt: skip
    client_id: int = 0
    order_id: int = 0
    exec_id: str = ""
    instrument: InstrumentId = InstrumentId("")
    quantity: int | None = None
    price: Decimal | None = None
    order: PlaceOrder | None = None
    new: int = 1
    old: int = 1


Line = Header | Placement | Cancellation | Advance | Execution | Intervention

_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def effective(executions: Iterable[Execution]) -> dict[str, Execution]:
    """Return the latest revision of every execution by the stem of its id, oldest first."""
    return {e.exec_id.rpartition(".")[0]: e for e in executions}


def read_lines(path: Path) -> tuple[list[Line], int]:
    """Return the complete lines of a log and the length of their bytes; a torn last line is left out."""
    data = path.read_bytes() if path.exists() else b""
    complete = data[: data.rfind(b"\n") + 1]
    lines: list[Line] = []
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            lines.append(_DECODER.decode(text))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}:{number} is not a line of a gateway log: {error}", path=str(path)) from error
    return lines, len(complete)


def after_split(held: int, split: Intervention) -> int:
    """Return the whole units after a split, rounded towards zero."""
    return abs(held) * split.new // split.old * (1 if held > 0 else -1)


def in_lieu(held: int, split: Intervention) -> Decimal:
    """Return the money, at multiplier 1, for the fraction that is left over: at the split's `price` a new unit."""
    rest = Decimal(held * split.new - after_split(held, split) * split.old) / split.old
    return rest * (split.price or 0)


class GatewayRecord(Struct, frozen=True, kw_only=True):
    """What a gateway saw and did, read from its log alone.

    Attributes
    ----------
    placements : tuple of Placement
        Every placeOrder received, in order, also modifications and refused ones.
    executions : tuple of Execution
        Every revision, in order.
    positions : dict
        Signed units by instrument at the end, zeros left out; from the executions.
    cash : Decimal
        Cash at the end; from the executions.
    """

    placements: tuple[Placement, ...]
    executions: tuple[Execution, ...]
    positions: dict[InstrumentId, int]
    cash: Decimal

    @classmethod
    def read(cls, state: Path) -> Self:
        """Read the record of a state folder.

        Raises
        ------
        ConfigError
            There is no gateway log, or the file is not one.
        """
        path = state / LOG_NAME
        lines, _ = read_lines(path)
        if not lines or not isinstance(header := lines[0], Header):
            raise ConfigError(f"there is no gateway log at {path}: start the gateway with this state folder first")
        multiplier = {i.id: i.multiplier for i in header.instruments}
        executions = tuple(line for line in lines if isinstance(line, Execution))
        latest = effective(executions)
        positions: dict[InstrumentId, int] = {}
        cash = header.initial_cash
        for line in lines:
            if isinstance(line, Intervention) and line.deed == "split":
                held = positions.get(line.instrument, 0)
                positions[line.instrument] = after_split(held, line)
                cash += in_lieu(held, line) * multiplier[line.instrument]
            elif isinstance(line, Execution) and (e := latest.pop(line.exec_id.rpartition(".")[0], None)) is not None:
                positions[e.instrument] = positions.get(e.instrument, 0) + e.side.sign * e.quantity
                cash -= e.side.sign * e.quantity * e.price * multiplier[e.instrument] + e.commission
        return cls(
            placements=tuple(line for line in lines if isinstance(line, Placement)),
            executions=executions,
            positions={iid: quantity for iid, quantity in positions.items() if quantity},
            cash=cash,
        )
