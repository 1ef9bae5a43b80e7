"""Orders and executions in this account that are not ours: another program's, a person's, the broker's own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs

from robotrader.adapters.ibkr.translate import instrument_id_of
from robotrader.model import (
    EXTERNAL,
    NANOS_PER_SECOND,
    AnyEvent,
    ExternalFill,
    ExternalOrder,
    Fill,
    Instrument,
    InstrumentId,
    OrderId,
    Side,
)

Fields = Mapping[str, Any]

SIDES = {"BOT": Side.BUY, "SLD": Side.SELL}
_ENDED = frozenset({"Cancelled", "ApiCancelled", "Filled", "Inactive"})


class Foreign:
    """They count, and are never touched."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self._instruments = instruments
        self._orders: dict[int, ExternalOrder] = {}

    def fill(self, fields: Fields, ts: int) -> ExternalFill | None:
        """Read an execution that no order of ours asked for; of what is not configured nothing is booked."""
        instrument = self._instruments.get(instrument_id_of(fields, self._instruments))
        if instrument is None:
            return None
        stem, revision = execution_id(fields)
        at = nanos(fields["time"])
        fill = Fill(
            exec_id=stem, revision=revision, order_id=OrderId(f"EXT-{fields['permId']}"), strategy=EXTERNAL,
            instrument=instrument.id, side=SIDES[fields["side"]], quantity=whole(fields["shares"]),
            price=instrument.price(fields["price"]), ts_event=at,
        )  # fmt: skip
        forced = bool(fields.get("liquidation"))
        return ExternalFill(ts_event=at, ts_init=ts, fill=fill, liquidation=forced)

    def order(self, fields: Fields, ts: int) -> Sequence[AnyEvent]:
        """Read an order that is not ours, so that it counts at worst case until its end."""
        perm_id, ended = fields["permId"], fields["status"] in _ENDED
        if "action" in fields and perm_id:
            iid = instrument_id_of(fields, self._instruments)
            self._orders[perm_id] = ExternalOrder(
                ts_event=ts, ts_init=ts, perm_id=perm_id, instrument=iid, side=Side(fields["action"]),
                remaining=0 if ended else whole(fields["totalQuantity"]),
            )  # fmt: skip
        order = self._orders.get(perm_id)
        if order is None or order.instrument not in self._instruments:
            return ()
        remaining = 0 if ended else whole(fields.get("remaining", order.remaining))
        return (structs.replace(order, ts_event=ts, ts_init=ts, remaining=remaining),)


def execution_id(fields: Fields) -> tuple[str, int]:
    """Return stem and revision: a correction has the same stem and a higher last part."""
    stem, dot, revision = fields["execId"].rpartition(".")
    if not (stem and dot):
        raise ValueError(f"execId {fields['execId']!r} has no revision")
    return stem, int(revision)


def whole(shares: float) -> int:
    """Return whole units; 0 is a bust, the correction of an execution to nothing."""
    if shares != int(shares) or shares < 0:
        raise ValueError(f"expected whole shares, found {shares}")
    return int(shares)


def nanos(text: str) -> int:
    """Return an ISO 8601 time with zone as ns UTC."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone")
    return int(at.timestamp()) * NANOS_PER_SECOND
