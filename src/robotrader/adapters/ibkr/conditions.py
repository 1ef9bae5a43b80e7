"""What the broker tells of an instrument beside its price: how fresh that is, what there is to borrow, and halts."""

from collections.abc import Iterator, Mapping

from msgspec import structs

from robotrader.model import (
    NANOS_PER_SECOND,
    BorrowReported,
    HaltCause,
    HaltReported,
    InstrumentId,
    MarketDataReported,
    MarketDataType,
)

_SHORTABLE, _HALTED, _SHARES = 46, 49, 89
_KINDS = {_SHORTABLE, _HALTED, _SHARES}
_SIDES = {1: -1, 2: -2}
"""Where it is kept whether a bid or an ask is past its limit."""
_PAST_LIMIT = 2
"""The bit of a price tick's attributes."""
_TYPES = dict(enumerate(MarketDataType, 1))
_CAUSES = {0: None, 1: HaltCause.GENERAL, 2: HaltCause.VOLATILITY}  # -1: the gateway does not know
_UNSET = 2.0**53
_REFRESH_NS = 300 * NANOS_PER_SECOND


class Conditions:
    """Keep the last of each kind, and tell what is news when the runner's clock moves: however much comes.

    IBKR sends a value when it changes. As long as anything else comes of the same subscription it stands, and is told
    again every five minutes, so that its age says how long nothing was heard. What an earlier process was told is told
    once more: it may have changed since.
    """

    def __init__(self) -> None:
        self._last: dict[InstrumentId, dict[int, float]] = {}
        self._heard: set[InstrumentId] = set()
        self._types: dict[InstrumentId, MarketDataReported] = {}
        self._typed: dict[InstrumentId, MarketDataReported] = {}
        self._halts: dict[InstrumentId, HaltReported] = {}
        self._told: dict[InstrumentId, tuple[int, BorrowReported]] = {}

    def hear(self, instrument: InstrumentId, kind: int, value: float, attributes: int | None = None) -> None:
        """Take a tick of any kind, a price with its attributes (TWS: 1 can be executed, 2 past limit, 4 pre-open)."""
        self._heard.add(instrument)
        if kind in _KINDS and 0 <= value < _UNSET:
            self._last.setdefault(instrument, {})[kind] = value
        if kind in _SIDES and attributes is not None:
            self._last.setdefault(instrument, {})[_SIDES[kind]] = attributes & _PAST_LIMIT

    def hear_type(self, instrument: InstrumentId, number: int) -> None:
        """Take the market data type of a subscription: 1 live, 2 frozen, 3 delayed, 4 both; others mean nothing."""
        if number in _TYPES:
            self._heard.add(instrument)
            self._types[instrument] = MarketDataReported(ts_event=0, ts_init=0, instrument=instrument,
                                                         data_type=_TYPES[number])  # fmt: skip

    def forget(self, instrument: InstrumentId) -> None:
        """Take what was told so far for history: a subscription begins anew."""
        self._last.pop(instrument, None)
        self._heard.discard(instrument)

    def news(self, now: int) -> Iterator[BorrowReported | HaltReported | MarketDataReported]:
        """Yield what is news at a time (ns UTC), without times: they are the inbox's."""
        for iid in sorted(self._heard):
            last = self._last.get(iid, {})
            if iid in self._types and self._typed.get(iid) != self._types[iid]:
                self._typed[iid] = self._types[iid]
                yield self._typed[iid]
            before = self._halts.get(iid)
            halt = _halt(before or HaltReported(ts_event=0, ts_init=0, instrument=iid, halted=False), last)
            if halt is not None and halt != before:
                self._halts[iid] = halt
                yield halt
            shares = last.get(_SHARES)
            borrow = BorrowReported(
                ts_event=0, ts_init=0, instrument=iid, level=last.get(_SHORTABLE),
                shares=None if shares is None else int(shares),
            )  # fmt: skip
            at, told = self._told.get(iid, (now, None))
            if last.keys() & {_SHORTABLE, _SHARES} and (borrow != told or now - at >= _REFRESH_NS):
                self._told[iid] = now, borrow
                yield borrow
        self._heard.clear()


def _halt(before: HaltReported, last: Mapping[int, float]) -> HaltReported | None:
    """Return how it stands, `before` where nothing newer was said; None where nothing was said at all."""
    code, sides = int(last.get(_HALTED, -1)), [last[side] for side in _SIDES.values() if side in last]
    if code not in _CAUSES and not sides:
        return None
    cause = _CAUSES.get(code, before.cause)
    return structs.replace(before, halted=cause is not None, cause=cause,
                           limit_state=any(sides) if sides else before.limit_state)  # fmt: skip
