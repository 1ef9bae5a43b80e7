"""Rules for bars and quotes, once, as data: `data.inspection` judges files by them, `data.live_gate` live bars.

A test uses only `+ * < > == != | &`, which mean the same on numbers and on Polars expressions, and says when its
rule is *broken*. What a row is compared with (its session, the bar before it) are facts, computed before.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct

from robotrader.data.panel import VALUES
from robotrader.model import BarSpec, CorporateAction, CorporateActionKind


class Rule(StrEnum):
    """Rules a row can break. FIELD, TYPE and TIME are found while reading."""

    FIELD = "field"
    TYPE = "type"
    TIME = "time"
    FINITE = "finite"
    POSITIVE = "positive"
    SWAPPED = "swapped"
    RANGE = "range"
    VOLUME = "volume"
    SESSION = "session"
    GRID = "grid"
    ORDER = "order"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    JUMP = "jump"
    STALE = "stale"
    GAP = "gap"
    EXTENDED = "extended"
    DELAYED = "delayed"
    CROSSED = "crossed"


class Severity(StrEnum):
    """What a broken rule costs."""

    QUARANTINE = "quarantine"
    """The row is set aside until somebody releases it; live, its instrument takes no new risk."""
    IGNORE = "ignore"
    """The row says what another one says: it is left out and counted."""
    WARN = "warn"
    """The row stays; somebody should look at it."""
    FLAG = "flag"
    """The row stays; it carries the flag."""


class Facts(NamedTuple):
    """What the tests see of one bar: numbers, or Polars expressions of them."""

    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    session: Any = 0
    """Index of the bar's session in its table, extended hours included; -1 without one."""
    off_grid: Any = False
    """Whether the start is neither on the clock's nor on the session's grid."""
    extended: Any = False
    """Whether the bar begins before the open or not before the close."""
    late: Any = False
    """Whether an accepted bar of the instrument is as new or newer."""
    twin: Any = 0
    """0: no other bar has this key; 1: one with the same values; 2: one with others."""
    reference: Any = 0
    """Close of the bar before, after the splits and dividends known between them; the own open without one."""
    limit: Any = 0
    """Factor from `reference`, up or down, from which a price is a jump."""
    repeats: Any = 0
    """Number of bars just before with the same values."""
    patience: Any = 0
    """Value of `repeats` that makes a run stale."""
    missing: Any = 0
    """Number of bars that the calendar expects between the one before and this one."""
    delayed: Any = False
    """Whether the source says that its data are delayed."""


class Check(NamedTuple):
    """One rule: what breaking it costs, what was expected, and the test that tells it broken."""

    rule: Rule
    severity: Severity
    expected: str
    broken: Callable[[Any], Any]
    """Takes `Facts` or, for quotes, a `Quote`."""


def _swapped(f: Facts) -> Any:
    """Tell a row that only an exchange of two columns makes sane: high with low, or a price with the volume."""
    high_low = (f.high < f.low) & (f.high <= f.open) & (f.high <= f.close) & (f.low >= f.open) & (f.low >= f.close)
    inside = (f.low <= f.volume) & (f.volume <= f.high)
    close_volume = inside & (f.low <= f.open) & (f.open <= f.high) & (f.close > f.high)
    open_volume = inside & (f.low <= f.close) & (f.close <= f.high) & (f.open > f.high)
    tall = (f.volume >= f.open) & (f.volume >= f.close) & (f.volume <= 2 * f.low)  # the volume would be a good high
    return high_low | close_volume | open_volume | (tall & (f.high > 10 * f.volume))


def _outside(f: Facts) -> Any:
    return (f.low > f.open) | (f.low > f.close) | (f.high < f.open) | (f.high < f.close)


def _infinite(f: Facts) -> Any:
    return (f.open + f.high + f.low + f.close + f.volume) * 0 != 0  # of NaN and of the infinities


ROW_CHECKS = (  # the first one broken names the row
    Check(Rule.FINITE, Severity.QUARANTINE, "every price and the volume must be finite", _infinite),
    Check(Rule.POSITIVE, Severity.QUARANTINE, "prices must be above zero",
          lambda f: (f.open <= 0) | (f.high <= 0) | (f.low <= 0) | (f.close <= 0)),
    Check(Rule.SWAPPED, Severity.QUARANTINE,
          "two columns look exchanged (high with low, or a price with the volume): check the file's header", _swapped),
    Check(Rule.RANGE, Severity.QUARANTINE, "open and close must lie between low and high", _outside),
    Check(Rule.VOLUME, Severity.QUARANTINE, "volume must not be negative", lambda f: f.volume < 0),
    Check(Rule.SESSION, Severity.QUARANTINE, "the market had no session at that time", lambda f: f.session < 0),
    Check(Rule.GRID, Severity.QUARANTINE, "a bar must begin on the grid of its length", lambda f: f.off_grid),
)  # fmt: skip
KEY_CHECKS = (
    Check(Rule.CONFLICT, Severity.QUARANTINE, "one bar has one set of values, and there are others for this one",
          lambda f: f.twin > 1),
    Check(Rule.DUPLICATE, Severity.IGNORE, "this bar is already there, with the same values",
          lambda f: (f.twin == 1) & f.late),
    Check(Rule.ORDER, Severity.QUARANTINE, "its time must be after that of the last accepted row",
          lambda f: (f.twin == 0) & f.late),
)  # fmt: skip
CONTEXT_CHECKS = (
    Check(Rule.JUMP, Severity.WARN, "a price far from the close before must have a known corporate action",
          lambda f: (f.high > f.reference * f.limit) | (f.low * f.limit < f.reference)),
    Check(Rule.STALE, Severity.WARN, "a living market does not repeat the same bar",
          lambda f: f.repeats == f.patience),
    Check(Rule.GAP, Severity.WARN, "the calendar expects bars between the one before and this one",
          lambda f: f.missing > 0),
    Check(Rule.EXTENDED, Severity.FLAG, "regular hours", lambda f: f.extended),
    Check(Rule.DELAYED, Severity.FLAG, "live data", lambda f: f.delayed),
)  # fmt: skip
QUOTE_CHECKS = (  # on a `Quote`
    Check(Rule.FINITE, Severity.QUARANTINE, "both prices and sizes must be finite",
          lambda q: (q.bid + q.ask + q.bid_size + q.ask_size) * 0 != 0),
    Check(Rule.POSITIVE, Severity.QUARANTINE, "prices must be above zero", lambda q: (q.bid <= 0) | (q.ask <= 0)),
    Check(Rule.VOLUME, Severity.QUARANTINE, "sizes must not be negative",
          lambda q: (q.bid_size < 0) | (q.ask_size < 0)),
    Check(Rule.CROSSED, Severity.QUARANTINE, "the bid must not be above the ask", lambda q: q.bid > q.ask),
)  # fmt: skip

JUMP_FACTOR = {
    BarSpec.DAY: 1.3, BarSpec.HOUR: 1.2, BarSpec.MINUTE_15: 1.15, BarSpec.MINUTE_5: 1.1, BarSpec.MINUTE: 1.1,
    BarSpec.SECOND_5: 1.1,
}  # fmt: skip
STALE_RUN = {
    BarSpec.DAY: 4, BarSpec.HOUR: 6, BarSpec.MINUTE_15: 8, BarSpec.MINUTE_5: 10, BarSpec.MINUTE: 15,
    BarSpec.SECOND_5: 120,
}  # fmt: skip
"""Equal bars, one after the other, from which a run is stale."""


class Quarantined(Struct, frozen=True):
    """One row that was set aside: what was expected and what was found.

    `row` counts the data rows of `source`, the file's name, from 1 (a CSV's header is not counted).
    """

    row: int
    rule: Rule
    detail: str
    source: str = ""


class Finding(Struct, frozen=True):
    """One rule that a bar or a quote breaks; `row` as in `Quarantined`, 0 for a live one."""

    rule: Rule
    severity: Severity
    detail: str
    row: int = 0


def describe(check: Check, name: str, facts: Facts) -> str:
    """Say what was expected of the bar called `name`, and what was found."""
    found = " ".join(f"{value}={getattr(facts, value):.10g}" for value in VALUES)
    compared = COMPARED.get(check.rule)
    beside = f" {compared}={getattr(facts, compared):.10g}" if compared else ""
    return f"{name}: {check.expected}; found {found}{beside}"


COMPARED = {Rule.JUMP: "reference", Rule.STALE: "repeats", Rule.GAP: "missing"}


def reference_price(close: float, actions: Iterable[CorporateAction]) -> float:
    """Return what a close is worth after these actions, oldest first."""
    for action in actions:
        if action.kind is CorporateActionKind.SPLIT:
            close = close * action.old / action.new
        elif action.kind is CorporateActionKind.DIVIDEND and action.cash is not None:
            close -= float(action.cash)
    return close
