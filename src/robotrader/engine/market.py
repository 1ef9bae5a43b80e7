"""Last prices and volumes per instrument: what sizing and risk checks need to know of the market."""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from msgspec import structs

from robotrader.model import (
    NANOS_PER_SECOND,
    Bar,
    CorporateActionDue,
    CorporateActionKind,
    Instrument,
    InstrumentId,
    Quote,
)
from robotrader.portfolio.short import price_test
from robotrader.portfolio.sizing import ATR_BARS, CLOSES, Returns, annual_returns, average_true_range
from robotrader.risk.facts import Market

ADV_SESSIONS = 20
QUOTE_MAX_AGE_NS = 5 * NANOS_PER_SECOND
_DAY_NS = 86_400 * NANOS_PER_SECOND
SESSION_NS = 23_400 * NANOS_PER_SECOND  # 09:30 to 16:00
_SESSIONS_A_YEAR = 252


class Reference(NamedTuple):
    """A price to check an order against, how long ago it was seen, and how long a bar lasts (ns)."""

    price: Decimal
    age_ns: int
    spec_ns: int


class _Facts:
    """The recent bars of one instrument and its volume by UTC day (US sessions lie within one)."""

    __slots__ = ("bars", "before", "close", "day", "days", "last", "low", "quote", "volume", "volumes")

    def __init__(self) -> None:
        self.last: Bar | None = None
        self.close: Decimal | None = None  # the last bar's, once somebody has asked
        self.quote: Quote | None = None
        self.bars: deque[Bar] = deque(maxlen=CLOSES)
        self.day = -1
        self.days: deque[tuple[float, float]] = deque(maxlen=2)  # lows and closes of the days before
        self.low = self.before = self.volume = 0.0
        self.volumes: deque[float] = deque(maxlen=ADV_SESSIONS)


class MarketFacts:
    """Take bars in, at almost no cost; compute on demand. `trading`: bars have come that were no warm-up."""

    def __init__(self) -> None:
        self.trading = False
        self._facts: dict[InstrumentId, _Facts] = {}
        self._instruments: dict[InstrumentId, Instrument] = {}

    def define(self, instruments: tuple[Instrument, ...]) -> None:
        """Make instruments known."""
        for instrument in instruments:
            self._instruments[instrument.id] = instrument
            self._facts.setdefault(instrument.id, _Facts())

    def update(self, bars: tuple[Bar, ...]) -> None:
        """Take closed bars in; bars of instruments that were not defined are ignored."""
        for bar in bars:
            facts = self._facts.get(bar.instrument)
            if facts is None:
                continue
            facts.last, facts.close = bar, None
            facts.bars.append(bar)
            day = bar.ts_event // _DAY_NS
            if day == facts.day:
                facts.volume += bar.volume
                facts.low = min(facts.low, bar.low)
            else:
                if facts.day >= 0:
                    facts.volumes.append(facts.volume)
                    facts.days.append((facts.low, facts.before))
                facts.day, facts.volume, facts.low = day, bar.volume, bar.low
            facts.before = bar.close

    def hear(self, quotes: Sequence[Quote]) -> None:
        """Take quotes in."""
        for quote in quotes:
            if quote.instrument in self._facts:
                self._facts[quote.instrument].quote = quote

    def convert(self, event: CorporateActionDue) -> None:
        """Bring the bars from before an action into new units; after a symbol change they are the successor's."""
        action, facts = event.action, self._facts.get(event.instrument)
        if facts is None or action.kind is CorporateActionKind.DELISTING:
            return
        ratio, facts.quote, facts.close = float(action.ratio), None, None
        facts.bars = deque((_in_new_units(b, ratio) if b.ts_event <= action.ex_at else b for b in facts.bars),
                           maxlen=facts.bars.maxlen)  # fmt: skip
        facts.last = facts.bars[-1] if facts.bars else None
        facts.days = deque(((low / ratio, close / ratio) for low, close in facts.days), maxlen=facts.days.maxlen)
        if facts.last is not None and facts.last.ts_event <= action.ex_at:
            facts.low, facts.before = facts.low / ratio, facts.before / ratio
        facts.volumes = deque((volume * ratio for volume in facts.volumes), maxlen=ADV_SESSIONS)
        if facts.last is not None and facts.last.ts_event <= action.ex_at:
            facts.volume *= ratio
        if event.successor is not None and not self.bars(event.successor.id):
            self._facts[event.successor.id] = facts

    def instrument(self, iid: InstrumentId) -> Instrument:
        """Return the instrument of that id."""
        return self._instruments[iid]

    def bars(self, iid: InstrumentId) -> Sequence[Bar]:
        """Return the last 63 closed bars or fewer, oldest first."""
        facts = self._facts.get(iid)
        return facts.bars if facts else ()

    def close(self, iid: InstrumentId) -> Decimal | None:
        """Return the last close as a price, None before the first bar."""
        facts = self._facts.get(iid)
        if facts is None or facts.last is None:
            return None
        if facts.close is None:
            facts.close = self._instruments[iid].price(facts.last.close)
        return facts.close

    def quoted(
        self, iid: InstrumentId, at: int, *, halted: bool, limit_state: bool | None, live: bool | None,
        clock_skew_s: float | None,
    ) -> Market:  # fmt: skip
        """Return the last quote, however old, and whether Rule 201 is in force by the bars of three sessions.

        Its age is that at a time; what is told beside is passed on.
        """
        facts, price, restricted = self._facts[iid], self._instruments[iid].price, None
        if facts.last is not None and len(facts.days) == facts.days.maxlen:
            (_, before), (low, close) = facts.days
            restricted = price_test(previous_close=price(close), low=price(facts.low), previous_low=price(low),
                                    close_before=price(before))  # fmt: skip
        quote, bid, ask, age = facts.quote, None, None, None
        if quote is not None:
            bid, ask, age = price(quote.bid), price(quote.ask), max(0, at - quote.ts_event)
        return Market(bid=bid, ask=ask, quote_age_ns=age, live=live, clock_skew_s=clock_skew_s, halted=halted,
                      limit_state=limit_state, short_restricted=restricted)  # fmt: skip

    def reference(self, iid: InstrumentId, now: int) -> Reference | None:
        """Return the middle of a quote of the last seconds, else the last close; None before the first bar."""
        facts, close = self._facts.get(iid), self.close(iid)
        if facts is None or facts.last is None or close is None:
            return None
        spec, quote = facts.last.spec.nanos, facts.quote
        if quote is not None and now - quote.ts_event <= QUOTE_MAX_AGE_NS:
            middle = self._instruments[iid].price((quote.bid + quote.ask) / 2)
            return Reference(middle, now - quote.ts_event, spec)
        return Reference(close, now - facts.last.ts_event, spec)

    def atr(self, iid: InstrumentId) -> Decimal | None:
        """Return ATR(14) in price units, None before there are 15 bars."""
        bars = self._facts[iid].bars
        if len(bars) <= ATR_BARS:
            return None
        return average_true_range([(b.high, b.low, b.close) for b in islice(bars, len(bars) - ATR_BARS - 1, None)])

    def returns(self, iid: InstrumentId) -> Returns | None:
        """Return mean and volatility a year of the returns between the last 63 closes, None before there are 63.

        A year has 252 sessions of 6.5 hours (US stocks); a night between two short bars counts as one bar.
        """
        bars = self._facts[iid].bars
        if len(bars) < CLOSES:
            return None
        a_session = max(SESSION_NS / bars[-1].spec.nanos, 1.0)
        return annual_returns([b.close for b in bars], _SESSIONS_A_YEAR * a_session)

    def average_daily_volume(self, iid: InstrumentId) -> float | None:
        """Return the mean volume of the last 20 complete days, in units; None before there are 20.

        The running day counts once its bar is a whole session (daily bars), else not.
        """
        facts = self._facts[iid]
        days = list(facts.volumes)
        if facts.last is not None and facts.last.spec.nanos == _DAY_NS:
            days = [*days, facts.volume][-ADV_SESSIONS:]
        return sum(days) / ADV_SESSIONS if len(days) == ADV_SESSIONS else None


def _in_new_units(bar: Bar, ratio: float) -> Bar:
    return structs.replace(
        bar, open=bar.open / ratio, high=bar.high / ratio, low=bar.low / ratio, close=bar.close / ratio,
        volume=bar.volume * ratio,
    )  # fmt: skip
