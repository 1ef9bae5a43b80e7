"""A market's sessions as a value, so that the pure core needs no calendar library."""

from bisect import bisect_left, bisect_right

from msgspec import Struct


class SessionTable(Struct, frozen=True, kw_only=True):
    """Sessions of one market: parallel, ascending tuples of opens and closes (ns UTC) and ISO dates."""

    dates: tuple[str, ...]
    opens: tuple[int, ...]
    closes: tuple[int, ...]

    def close_of(self, date: str) -> int | None:
        """Return the close of the session of that ISO date, None if there is none."""
        i = bisect_left(self.dates, date)
        return self.closes[i] if i < len(self.dates) and self.dates[i] == date else None

    def last_closed(self, ts: int) -> int | None:
        """Return the index of the last session with close <= `ts`, None before the first."""
        i = bisect_right(self.closes, ts) - 1
        return i if i >= 0 else None

    def next_close(self, ts: int) -> int | None:
        """Return the first close after `ts`, None after the last: when a DAY order of that time ends."""
        i = bisect_right(self.closes, ts)
        return self.closes[i] if i < len(self.closes) else None

    def next_session(self, ts: int) -> tuple[int, int] | None:
        """Return open and close of the session that is open at `ts`, else of the next; None after the last."""
        i = bisect_right(self.closes, ts)
        return (self.opens[i], self.closes[i]) if i < len(self.closes) else None

    def coming(self, ts: int, count: int) -> "SessionTable":
        """Return the session that is open at `ts`, or the next, and those after it: so many."""
        i = bisect_right(self.closes, ts)
        part = slice(i, i + count)
        return SessionTable(dates=self.dates[part], opens=self.opens[part], closes=self.closes[part])

    def is_open(self, ts: int) -> bool:
        """Tell whether open <= `ts` < close of some session."""
        i = bisect_right(self.opens, ts) - 1
        return i >= 0 and ts < self.closes[i]


class SpecialDay(Struct, frozen=True, forbid_unknown_fields=True):
    """What a market does on one date: local hours as HH:MM, or closed where there is none."""

    date: str
    open: str | None = None
    close: str | None = None
