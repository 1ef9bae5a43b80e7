"""Seeded synthetic bars: the same numbers on every machine and with every numpy, for ever.

numpy promises the raw 64-bit stream of PCG64 but not what it makes of it (NEP 19), and `exp`, `log` and `cos`
differ in the last bit between processors. So the state comes from sha256, and the rest from integers, `+ - * /` and
`sqrt`, which IEEE 754 fixes to the bit.
"""

import hashlib
import math
from datetime import datetime
from itertools import cycle
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from robotrader.data.frame import DAY_NS
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import VALUES, Floats, Panel, Times
from robotrader.model import (
    NANOS_PER_SECOND,
    BarSpec,
    ConfigError,
    CorporateAction,
    CorporateActionKind,
    DataError,
    Quote,
    SessionTable,
)

Raw = NDArray[np.uint64]

_SESSION_NS = 23_400 * 1_000_000_000  # 6.5 hours
_DRIFT, _SIGMA, _GAP = 0.0003, 0.014, 0.006  # of one session: mean, deviation, deviation from close to next open
_REGIMES = np.array([0.6, 0.8, 1.0, 1.8])  # volatility of a stretch of sessions, as multiple of _SIGMA
_REGIME_SESSIONS = 21
_FLOOR_CENTS = 100
_RATIOS = ((2, 1), (3, 1), (3, 2), (4, 1), (1, 5))
_ZONE = ZoneInfo("America/New_York")
_DRAWS = 13  # 64-bit words a bar: four normals of three, one uniform


class SeedSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seeded set is made from; all counts are for each symbol.

    Attributes
    ----------
    splits, jumps : int
        Raw prices change units at the first bar of as many sessions (`actions` tells them), or move by a quarter and
        more for no reason at as many bars.
    gaps, bad_ticks : int
        As many stretches of up to ten bars are missing; as many bars are such that the quality gate objects.
    """

    seed: int
    symbols: tuple[str, ...] = ("AAA", "BBB", "CCC")
    spec: BarSpec = BarSpec.DAY
    bars: int = 2_520
    splits: int = 0
    jumps: int = 0
    gaps: int = 0
    bad_ticks: int = 0

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a number out of range and for symbols that are empty or repeated."""
        if self.seed < 0 or self.bars < 1:
            raise ConfigError(f"expected seed >= 0 and bars >= 1, found seed {self.seed} and bars {self.bars}")
        for name in ("splits", "jumps", "gaps", "bad_ticks"):
            if not 0 <= getattr(self, name) <= self.bars // 20:
                raise ConfigError(
                    f"expected 0 to {self.bars // 20} {name} in {self.bars} bars, found {getattr(self, name)}"
                )
        if not self.symbols or not all(self.symbols) or len(set(self.symbols)) < len(self.symbols):
            raise ConfigError(f"expected different symbols, found {', '.join(self.symbols) or 'none'}")


def generate(spec: SeedSpec, sessions: SessionTable) -> Panel:
    """Walk prices in whole cents through the sessions, each symbol on its own random stream.

    A longer set begins with the shorter one while nothing disturbs it, and a symbol's bars do not depend on the other
    symbols. The last bar of a session ends at its close, however short. Where a bar is missing, all its cells are NaN.

    Raises
    ------
    DataError
        The sessions hold fewer bars than asked for.
    """
    opened, ts, session = _grid(spec, sessions)
    columns = [_walk(_words(spec, symbol), opened, ts, session) for symbol in spec.symbols]
    for column, symbol in zip(columns, spec.symbols, strict=True):
        _disturb(column, spec, symbol, session)
    stacked = np.stack(columns, axis=-1)  # (5, n_bars, n_instruments)
    cells = {name: np.ascontiguousarray(part) for name, part in zip(VALUES, stacked, strict=True)}
    instruments = tuple(instrument_of(s) for s in spec.symbols)
    return Panel(instruments=instruments, spec=spec.spec, opened=opened, ts=ts, **cells)


def actions(spec: SeedSpec, sessions: SessionTable) -> tuple[CorporateAction, ...]:
    """Return the splits of the set, each known for twenty sessions before."""
    _, _, session = _grid(spec, sessions)
    found = []
    for symbol in spec.symbols:
        for at, (new, old) in _splits(spec, symbol, session):
            day = int(session[at])
            midnight = datetime.fromisoformat(sessions.dates[day]).replace(tzinfo=_ZONE)
            found.append(CorporateAction(
                symbol=instrument_of(symbol).symbol, kind=CorporateActionKind.SPLIT, source=f"seed {spec.seed}",
                last_cum_day=sessions.dates[day - 1], ex_date=sessions.dates[day], new=new, old=old,
                ex_at=int(midnight.timestamp()) * NANOS_PER_SECOND, known_at=sessions.opens[max(0, day - 20)],
            ))  # fmt: skip
    return tuple(found)


def quotes(panel: Panel, seed: int, crossed: int = 0) -> tuple[Quote, ...]:
    """Return best bid and ask at the end of each bar, one to four cents apart; as many of each symbol are crossed."""
    made = []
    for k, instrument in enumerate(panel.instruments):
        rows = np.flatnonzero(~np.isnan(panel.close[:, k]))
        wide = 1 + (_stream(f"{seed} {instrument.symbol} quotes", len(rows)) % 4).astype(np.int64)
        wide[_spread(f"{seed} {instrument.symbol} crossed", crossed, len(rows))] = -1
        sizes = _stream(f"{seed} {instrument.symbol} sizes", 2 * len(rows)) % 20 * 100.0 + 100.0
        cents = np.rint(panel.close[rows, k] * 100).astype(np.int64) - wide // 2
        cells = (panel.ts[rows], cents / 100, (cents + wide) / 100, sizes[::2], sizes[1::2])
        made += [
            Quote(instrument=instrument.id, ts_event=ts, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size)
            for ts, bid, ask, bid_size, ask_size in zip(*(cell.tolist() for cell in cells), strict=True)
        ]
    return tuple(sorted(made, key=lambda quote: quote.ts_event))


def _grid(spec: SeedSpec, sessions: SessionTable) -> tuple[Times, Times, NDArray[np.int64]]:
    """Return start and end of each bar, ns UTC, and the index of its session."""
    opens, closes = np.array(sessions.opens, np.int64), np.array(sessions.closes, np.int64)
    step = DAY_NS if spec.spec is BarSpec.DAY else spec.spec.nanos
    counts = -(-(closes - opens) // step)
    if int(counts.sum()) < spec.bars:
        raise DataError(f"expected room for {spec.bars} bars of {spec.spec}, found {int(counts.sum())} in the calendar")
    session = np.repeat(np.arange(len(opens)), counts)[: spec.bars]
    nth = np.arange(spec.bars) - (np.cumsum(counts) - counts)[session]
    opened = opens[session] + nth * step
    return opened, np.minimum(opened + step, closes[session]), session


def _words(spec: SeedSpec, symbol: str) -> Raw:
    """Return the symbol's random words, shape (n_bars, _DRAWS), from a state that does not depend on numpy."""
    return _stream(f"{spec.seed} {symbol}", spec.bars * _DRAWS).reshape(spec.bars, _DRAWS)


def _stream(name: str, count: int) -> Raw:
    """Return words of the stream with that name."""
    digest = hashlib.sha256(f"robotrader seed {name}".encode()).digest()
    state, increment = int.from_bytes(digest[:16]), int.from_bytes(digest[16:]) | 1
    source = np.random.PCG64(0)
    source.state = {
        "bit_generator": "PCG64", "state": {"state": state, "inc": increment}, "has_uint32": 0, "uinteger": 0,
    }  # fmt: skip
    return source.random_raw(count)


def _spread(name: str, count: int, bars: int) -> NDArray[np.int64]:
    """Return as many bars, one in each of equal parts of the set but the first bar, drawn from the stream."""
    edges = 1 + np.arange(count + 1) * (bars - 1) // max(count, 1)
    return edges[:-1] + (_stream(name, count) % np.diff(edges).astype(np.uint64)).astype(np.int64)


def _splits(spec: SeedSpec, symbol: str, session: NDArray[np.int64]) -> list[tuple[int, tuple[int, int]]]:
    """Return the first bars after a split with units after and before; in sessions but the first."""
    starts = np.flatnonzero(np.diff(session, prepend=-1))
    if spec.splits >= len(starts):
        raise DataError(f"expected more than {spec.splits} sessions for as many splits, found {len(starts)}")
    name = f"{spec.seed} {symbol} splits"
    at = starts[_spread(name, spec.splits, len(starts))].tolist()
    kinds = _stream(f"{name} ratio", spec.splits) % len(_RATIOS)
    return [(bar, _RATIOS[kind]) for bar, kind in zip(at, kinds.tolist(), strict=True)]


def _disturb(column: Floats, spec: SeedSpec, symbol: str, session: NDArray[np.int64]) -> None:
    """Put splits, jumps, bad ticks and gaps into one symbol's bars, shape (5, n_bars), in place."""
    name = f"{spec.seed} {symbol}"
    for at, (new, old) in _splits(spec, symbol, session):
        column[:4, at:] = np.maximum(np.rint(column[:4, at:] * 100 * old / new), 1) / 100
        column[4, at:] = np.rint(column[4, at:] * new / old)
    jumps = _spread(f"{name} jumps", spec.jumps, spec.bars)
    for at, up in zip(jumps.tolist(), (_stream(f"{name} up", spec.jumps) % 2).tolist(), strict=True):
        column[:4, at:] = np.maximum(np.rint(column[:4, at:] * 100 * (7 if up else 3) / 5), 1) / 100
    for at, kind in zip(_spread(f"{name} ticks", spec.bad_ticks, spec.bars).tolist(), cycle(range(5))):
        _spoil(column[:, at], kind)
    gaps = _spread(f"{name} gaps", spec.gaps, spec.bars)
    for at, size in zip(gaps.tolist(), (1 + _stream(f"{name} sizes", spec.gaps) % 10).tolist(), strict=True):
        column[:, at : at + size] = np.nan


def _spoil(bar: Floats, kind: int) -> None:
    """Make one bar (open, high, low, close, volume) what feeds have sent before."""
    match kind:
        case 0:
            bar[1], bar[2] = bar[2] - 0.01, bar[1] + 0.01  # columns exchanged
        case 1:
            bar[2] = 0.0
        case 2:
            bar[3] = bar[1] * 10
        case 3:
            bar[4] = -bar[4]
        case _:
            bar[:4] *= 10  # the point one place to the right: only the bar before tells


def _normals(words: Raw) -> Floats:
    """Map three words to one number, nearly normal with mean 0 and variance 1, within ±6.

    Sum of twelve uniforms (Irwin-Hall), added as integers: exact, whatever the order.
    """
    twelfths = np.ascontiguousarray(words).view(np.uint16).reshape(len(words), 12)
    normals: Floats = (twelfths.sum(axis=1, dtype=np.int64) - 6 * 65_535) / 65_536.0
    return normals


def _uniforms(words: Raw) -> Floats:
    """Map one word to [0, 1)."""
    uniforms: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms


def _walk(words: Raw, opened: Times, ts: Times, session: NDArray[np.int64]) -> Floats:
    """Return open, high, low, close (currency) and volume (units) of one symbol, shape (5, n_bars)."""
    first = np.diff(session, prepend=-1) > 0
    starts = np.flatnonzero(first)
    head = words[starts[session // _REGIME_SESSIONS * _REGIME_SESSIONS], 12]  # the stretch's first bar decides
    regime = _REGIMES[(head & np.uint64(3)).astype(np.int64)]
    share = (ts - opened) / _SESSION_NS
    sigma = _SIGMA * regime * np.sqrt(share)
    gap, move, up, down = (_normals(words[:, k : k + 3]) for k in (0, 3, 6, 9))
    steps = np.empty((len(words), 2))
    steps[:, 0] = 1.0 + np.where(first, _GAP * regime, 0.05 * sigma) * gap
    steps[:, 1] = 1.0 + _DRIFT * share + sigma * move
    begin = 2_000 + int(words[0, 12] >> np.uint64(40)) % 18_000  # 20 to 200, in cents
    path = np.maximum(np.rint(begin * np.multiply.accumulate(steps.ravel())), _FLOOR_CENTS).reshape(-1, 2)
    o, c = path[:, 0], path[:, 1]
    high = np.maximum(o, c) + np.rint(np.abs(up) * sigma * 0.5 * c)
    low = np.maximum(np.minimum(o, c) - np.rint(np.abs(down) * sigma * 0.5 * c), 1.0)
    noon = (opened - opened[starts][session] + (ts - opened) / 2) / _SESSION_NS * 2.0 - 1.0  # -1 open, 0 noon, 1 close
    crowd = (0.5 + 1.5 * noon * noon) * (0.5 + _uniforms(words[:, 12])) * (1.0 + np.abs(move))
    volume = np.rint(2_000_000 * share * crowd) + 100.0
    return np.stack([o / 100, high / 100, low / 100, c / 100, volume])


def sessions_needed(spec: SeedSpec) -> int:
    """Return an upper bound of the sessions that the set spans."""
    if spec.spec is BarSpec.DAY:
        return spec.bars
    return math.ceil(spec.bars / (_SESSION_NS / spec.spec.nanos) * 1.02) + 5  # some sessions close early
