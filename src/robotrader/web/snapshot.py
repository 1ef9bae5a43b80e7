"""What is known of the trader, read from the journal in one go: rows only, nothing computed."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from msgspec import Struct

from robotrader import ports
from robotrader.execution.lifecycle import OPEN
from robotrader.model import BarSpec, ConditionChanged, InstrumentId, LinkChanged
from robotrader.web.formatting import utc

OPEN_STATES = tuple(sorted(OPEN))
MARKET_ZONE = ZoneInfo("America/New_York")  # a trading day ends where the market is, not at midnight UTC
_DAY = 86_400_000_000_000
_LOOK_BACK = 10 * _DAY  # longer than any closure of the exchange


class StatusRows(Struct, frozen=True, kw_only=True):
    """What is known of the trader; `previous` is the last mark of an earlier trading day."""

    seq: int
    run: ports.RunRow | None
    states: Sequence[ports.TradingStateRow]
    link: LinkChanged | None
    conditions: Sequence[ConditionChanged]
    requests: Sequence[ports.RequestRow]
    account: ports.AccountRow
    previous: ports.MarkRow | None
    positions: Sequence[ports.PositionRow]
    open_orders: Sequence[ports.OrderRow]
    bar_times: dict[InstrumentId, int]
    bar_specs: dict[InstrumentId, BarSpec]


class SnapshotReader:
    """Read whole snapshots; what cannot change any more is read once (one thread at a time)."""

    def __init__(self, reader: ports.JournalReader) -> None:
        self.reader = reader
        self._specs: dict[InstrumentId, BarSpec] = {}
        self._previous: tuple[str, ports.MarkRow | None] = ("", None)

    def status(self) -> StatusRows:
        """Read what is known of the trader."""
        reader, seq = self.reader, self.reader.head()  # seq first: rows may only be newer than it says
        account, bar_times = reader.account(), reader.last_bar_times()
        return StatusRows(
            seq=seq,
            run=reader.run(),
            states=reader.trading_state(),
            link=reader.link(),
            conditions=reader.conditions(),
            requests=reader.requests(limit=20),
            account=account,
            previous=self._previous_day(account.mark),
            positions=reader.positions(),
            open_orders=reader.orders(states=OPEN_STATES, limit=1_000),
            bar_times=bar_times,
            bar_specs=self._bar_specs(bar_times),
        )

    def _previous_day(self, mark: ports.MarkRow | None) -> ports.MarkRow | None:
        """Return the last mark of the trading day before that of `mark`; it stands until the day changes."""
        if mark is None:
            return None
        today = _trading_day(mark.ts)
        if self._previous[0] != today:
            recent = self.reader.equity(since=mark.ts - _LOOK_BACK, max_points=1_000_000)
            earlier = [m for m in recent if _trading_day(m.ts) < today]
            self._previous = (today, earlier[-1] if earlier else None)
        return self._previous[1]

    def _bar_specs(self, bar_times: dict[InstrumentId, int]) -> dict[InstrumentId, BarSpec]:
        for instrument in bar_times.keys() - self._specs.keys():
            bars = self.reader.bars(instrument, limit=1)
            if bars:
                self._specs[instrument] = bars[-1].spec
        return self._specs


def _trading_day(ns: int) -> str:
    return utc(ns).astimezone(MARKET_ZONE).date().isoformat()
