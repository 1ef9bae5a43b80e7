"""What the trader and the process of a strategy say to each other: msgpack, each frame after its length."""

from enum import StrEnum

import msgspec
from msgspec import Struct

from robotrader.model import BarsClosed, Instrument, InstrumentId, Manifest

LENGTH_BYTES = 4
LONGEST_REPLY = 1 << 20
DETAIL_CHARACTERS = 500


class HostLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the process of a strategy may use.

    Attributes
    ----------
    start_s, bar_s : float
        Wall time to load, and to decide on one bar; processor time is limited by the kernel to a second more.
    memory_bytes : int
        Address space beyond what Python and NumPy take; MemoryError where it ends.
    open_files, file_bytes : int
        Files open at once, and the largest that can be written in its scratch folder.
    """

    start_s: float = 30.0
    bar_s: float = 1.0
    memory_bytes: int = 1 << 30
    open_files: int = 64
    file_bytes: int = 16 << 20


class Fault(StrEnum):
    """Why a strategy was quarantined."""

    CRASHED = "crashed"
    RAISED = "raised"
    CONTRACT = "contract"
    MALFORMED = "malformed"
    SLOW = "slow"


class Start(Struct, frozen=True, kw_only=True, tag=True):
    """Load a strategy; what decides nothing (its capital, its limits) is not told."""

    source: str
    parameters: dict[str, int | float]
    instruments: tuple[Instrument, ...]
    limits: HostLimits


class Ask(Struct, frozen=True, kw_only=True, tag=True):
    """Decide on a cross-section."""

    event: BarsClosed


class Split(Struct, frozen=True, kw_only=True, tag=True):
    """Go on in new units, as `SignalSource.on_split`; it has no reply."""

    instrument: InstrumentId
    ratio: float
    ex_at: int


class Ready(Struct, frozen=True, kw_only=True, tag=True):
    """It is loaded; `no_network`: the kernel gave the process a network of its own, without a way out."""

    manifest: Manifest
    no_network: bool


class Row(Struct, frozen=True, kw_only=True, tag=True):
    """The strengths at `ts_event`, NaN = no view; `compared` as `SignalSource.compared`, on a new day's first bars."""

    ts_event: int
    strengths: tuple[float, ...]
    compared: tuple[int, int] = (0, 0)


class Failed(Struct, frozen=True, kw_only=True, tag=True):
    """It could not be loaded, or could not decide."""

    fault: Fault
    detail: str


Question = Start | Ask | Split
Reply = Ready | Row | Failed

QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_ENCODER = msgspec.msgpack.Encoder()


def packed(frame: Question | Reply) -> bytes:
    """Return a frame as bytes, its length first."""
    body = _ENCODER.encode(frame)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
