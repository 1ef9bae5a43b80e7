"""Events and commands as canonical JSON bytes, and back.

One encoder, deterministic field order, decimals as text: equal records have equal bytes.
"""

from decimal import Decimal

import msgspec

from robotrader.model.commands import AnyCommand
from robotrader.model.errors import DataError
from robotrader.model.events import AnyEvent

_ENCODER = msgspec.json.Encoder(order="sorted")
_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_COMMAND: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)

MONEY = Decimal("0.000001")
"""The one money quantum: six decimals of the currency."""


def money(value: Decimal) -> Decimal:
    """Round a money amount to the one quantum, so that equal amounts have equal text."""
    return value.quantize(MONEY)


def encode(record: AnyEvent | AnyCommand) -> bytes:
    """Encode one record; equal records give equal bytes."""
    return _ENCODER.encode(record)


def decode_event(data: bytes | str) -> AnyEvent:
    """Decode one event.

    Raises
    ------
    DataError
        The bytes are not an event that this version can read.
    """
    try:
        return _EVENT.decode(data)
    except msgspec.MsgspecError as error:
        raise DataError(f"journal row is not a known event: {error}") from error


def decode_command(data: bytes | str) -> AnyCommand:
    """Decode one command.

    Raises
    ------
    DataError
        The bytes are not a command that this version can read.
    """
    try:
        return _COMMAND.decode(data)
    except msgspec.MsgspecError as error:
        raise DataError(f"journal row is not a known command: {error}") from error
