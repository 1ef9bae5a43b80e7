"""What the broker tells of an instrument beside its price: what there is to borrow, and whether trading is halted."""

from collections.abc import Iterator

from robotrader.model import NANOS_PER_SECOND, BorrowReported, HaltCause, HaltReported, InstrumentId

_SHORTABLE, _HALTED, _SHARES = 46, 49, 89
_KINDS = {_SHORTABLE, _HALTED, _SHARES}
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
        self._halts: dict[InstrumentId, int] = {}
        self._told: dict[InstrumentId, tuple[int, BorrowReported]] = {}

    def hear(self, instrument: InstrumentId, kind: int, value: float) -> None:
        """Take a tick of any kind."""
        self._heard.add(instrument)
        if kind in _KINDS and 0 <= value < _UNSET:
            self._last.setdefault(instrument, {})[kind] = value

    def forget(self, instrument: InstrumentId) -> None:
        """Take what was told so far for history: a subscription begins anew."""
        self._last.pop(instrument, None)
        self._heard.discard(instrument)

    def news(self, now: int) -> Iterator[BorrowReported | HaltReported]:
        """Yield what is news at a time (ns UTC), without times: they are the inbox's."""
        for iid in sorted(self._heard):
            last = self._last.get(iid, {})
            halted = int(last.get(_HALTED, -1))
            if halted in _CAUSES and self._halts.get(iid) != halted:
                self._halts[iid], cause = halted, _CAUSES[halted]
                yield HaltReported(ts_event=0, ts_init=0, instrument=iid, halted=cause is not None, cause=cause)
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
