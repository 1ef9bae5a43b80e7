"""Charts as inline SVG: pure functions from numbers to text, without a library, a script or an outside reference.

Colours are the dashboard's CSS variables; `THEME` defines them for a page of its own, dark and light. A chart tells a
screen reader its title and what it shows; it is `WIDTH` units wide and scales to its place.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor, log10, pi, sqrt
from typing import NamedTuple

import numpy as np

from robotrader.data.panel import Floats, Times

THEME = """
:root { color-scheme: light dark; --bg: light-dark(#f3f5f8, #0c1015); --surface: light-dark(#ffffff, #141a21);
  --raised: light-dark(#f7f8fa, #1a222b); --line: light-dark(#dde2e9, #27313c); --text: light-dark(#131922, #e8edf3);
  --text-2: light-dark(#4b5664, #a9b4c1); --text-3: light-dark(#5f6b7a, #8a96a5);
  --accent: light-dark(#1d5fd1, #6ea8ff); --gain: light-dark(#00695c, #3fd0b6);
  --loss: light-dark(#b93a0b, #ff9466); --warn: light-dark(#855400, #f2b84b);
  --warn-soft: light-dark(#fff4dd, #2c2413); --stop: light-dark(#b3201a, #ff7066);
  --stop-soft: light-dark(#fdecea, #331a1a);
  font: 400 14px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
body { margin: 0 auto; max-width: 1180px; padding: 20px; background: var(--bg); color: var(--text); }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
@media screen and (max-width: 600px) { svg.chart text { font-size: 14px; } }
@media print { :root { color-scheme: light; --bg: #fff; } }
"""
"""CSS of a page with charts."""

WIDTH, HEIGHT = 520, 240
MOST_POINTS = 800
NOTHING = "nothing to draw"
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 14, 42, 30
_LINES = (("var(--accent)", ""), ("var(--text-3)", "5 3"), ("var(--gain)", ""), ("var(--loss)", "2 2"))
_EMPTY_RANGE = 1e-12
_CALENDAR = (("m", 5, (1, 5, 15, 30)), ("h", 5, (1, 3, 6, 12)), ("D", 5, (1, 2, 7, 14)), ("M", 6, (1, 3, 6)),
             ("Y", 8, (1, 2, 5, 10, 20, 50)))  # fmt: skip
Place = Callable[[float], float]
Point = tuple[float, float]
Box = tuple[float, float, float, float]


class Series(NamedTuple):
    """A named line: times in ns UTC, ascending, and float64 values; NaN breaks the line."""

    name: str
    ts: Times
    values: Floats


def line(series: Sequence[Series], *, title: str, unit: str = "", filled: bool = False, missing: str = NOTHING) -> str:
    """Draw lines over time; the first is the subject, the others are what it is compared with.

    Parameters
    ----------
    unit : str
        `%` writes ratios (0.01) as percentages; anything else stands behind the number.
    filled : bool
        Fill between the first line and zero: a drawdown.
    missing : str
        What stands there in place of lines without a number.
    """
    drawn = [kept for s in series if len((kept := thinned(s)).ts) and np.isfinite(kept.values).any()]
    if not drawn:
        return _nothing(title, missing)
    every = np.concatenate([s.values[np.isfinite(s.values)] for s in drawn])
    first, last = min(int(s.ts[0]) for s in drawn), max(int(s.ts[-1]) for s in drawn)
    low, high = _room(float(every.min()), float(every.max()), zero=filled)
    x, y = _place(first, last, _LEFT, WIDTH - _RIGHT), _place(low, high, HEIGHT - _BOTTOM, _TOP)
    parts = [_left_axis(low, high, y, unit)]
    parts += [_below(x(at), text) for at, text in time_ticks(first, last)]
    if filled:
        shape = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in _points(drawn[0]) if np.isfinite(v))
        closed = f"{x(int(drawn[0].ts[0])):.1f},{y(0):.1f} {shape} {x(int(drawn[0].ts[-1])):.1f},{y(0):.1f}"
        parts.append(_tag("polygon", points=closed, fill="var(--loss)", fill_opacity=".22"))
    styles = [("var(--loss)", ""), *_LINES[1:]] if filled else _LINES
    parts += [_path(s, x, y, styles[k % len(styles)]) for k, s in enumerate(drawn)]
    parts += _legend([s.name for s in drawn], styles) if len(drawn) > 1 else []
    return _svg(title, "; ".join(_said(s, unit) for s in drawn), parts)


def bars(labels: Sequence[str], values: Sequence[float], *, title: str, unit: str = "") -> str:
    """Draw one bar a label, from zero; NaN has none."""
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return _nothing(title)
    low, high = _room(min(known), max(known), zero=True)
    y, step = _place(low, high, HEIGHT - _BOTTOM, _TOP), (WIDTH - _LEFT - _RIGHT) / len(values)
    parts, every = [_left_axis(low, high, y, unit)], ceil(len(labels) * max(map(len, labels)) / 55)
    for k, (label, value) in enumerate(zip(labels, values, strict=True)):
        if np.isfinite(value):
            parts.append(_bar(_LEFT + k * step + step * 0.12, y, value, wide=step * 0.76))
        if k % every == 0:
            parts.append(_below(_LEFT + (k + 0.5) * step, label))
    said = ", ".join(f"{label} {quantity(v, unit)}" for label, v in zip(labels[:40], values[:40], strict=True))
    return _svg(title, said, parts)


def histogram(values: Floats, *, title: str, unit: str = "", bins: int = 41, missing: str = NOTHING) -> str:
    """Draw how often values occur, and the normal distribution of the same mean and deviation as a dashed line."""
    known = values[np.isfinite(values)]
    if len(known) < 2 or np.ptp(known) < _EMPTY_RANGE:
        return _nothing(title, missing)
    counts, edges = np.histogram(known, bins=bins)
    mean, spread, each = float(known.mean()), float(known.std(ddof=1)), float(edges[1] - edges[0])
    centres = (edges[:-1] + edges[1:]) / 2
    normal = len(known) * each / (spread * sqrt(2 * pi)) * np.exp(-(((centres - mean) / spread) ** 2) / 2)
    top = max(float(counts.max()), float(normal.max())) * 1.05
    x, y = _place(edges[0], edges[-1], _LEFT, WIDTH - _RIGHT), _place(0, top, HEIGHT - _BOTTOM, _TOP)
    parts = [_left_axis(0, top, y, "")]
    parts += [_below(x(at), text) for at, text in _ticks(float(edges[0]), float(edges[-1]), unit)]
    wide = (x(edges[1]) - x(edges[0])) * 0.86
    parts += [_bar(x(left), y, int(n), wide=wide, opacity=0.6) for left, n in zip(edges[:-1], counts, strict=True) if n]
    curve = " ".join(f"{x(c):.1f},{y(n):.1f}" for c, n in zip(centres, normal, strict=True))
    parts.append(_tag("polyline", points=curve, fill="none", stroke="var(--text)", stroke_dasharray="5 3"))
    parts += _legend(["counted", "normal distribution"], [_LINES[0], ("var(--text)", "5 3")])
    ends = f"from {quantity(float(known.min()), unit)} to {quantity(float(known.max()), unit)}"
    return _svg(title, f"{len(known)} values {ends}, mean {quantity(mean, unit)}", parts)


def heat_map(
    rows: Sequence[object], columns: Sequence[object], values: Floats, *, row_label: str, column_label: str,
    title: str, unit: str = "",
) -> str:  # fmt: skip
    """Draw values, float64 of shape (n_rows, n_columns), as a map around zero; NaN is a dash, the highest is framed.

    Teal is above zero and vermilion below; the strongest colour is the largest absolute value.
    """
    known = np.abs(values[np.isfinite(values)])
    if not len(known):
        return _nothing(title)
    wide, tall = (WIDTH - _LEFT - _RIGHT) / len(columns), max(min(240 / len(rows), 30.0), 9.0)
    top, best, largest, parts = _TOP + 8, int(np.nanargmax(values)), max(float(known.max()), _EMPTY_RANGE), list[str]()

    def box(at: int) -> Box:
        return _LEFT + at % len(columns) * wide, top + at // len(columns) * tall, wide, tall

    for at, value in enumerate(values.ravel().tolist()):
        parts.append(_cell(box(at), value, largest, unit))
    bottom = top + tall * len(rows)
    parts.append(_box(box(best), fill="none", stroke="var(--text)", stroke_width=2))
    fewer, sparse = ceil(14 / tall), ceil(max(len(str(c)) * 8 + 8 for c in columns) / wide)
    parts += [
        _text(_LEFT - 6, top + (k + 0.5) * tall + 4, str(r), anchor="end") for k, r in enumerate(rows) if k % fewer == 0
    ]
    parts += [_text(_LEFT + (k + 0.5) * wide, bottom + 15, str(c), anchor="middle")
              for k, c in enumerate(columns) if k % sparse == 0]  # fmt: skip
    parts.append(_text(0, _TOP - 4, f"{row_label} ↓"))
    parts.append(_text(WIDTH - _RIGHT, bottom + 31, f"{column_label} →", anchor="end"))
    where = f"{row_label} {rows[best // len(columns)]}, {column_label} {columns[best % len(columns)]}"
    high, low = quantity(float(values.ravel()[best]), unit), quantity(float(np.nanmin(values)), unit)
    return _svg(title, f"highest {high} at {where}; lowest {low}", parts, height=bottom + 38)


def intervals(
    labels: Sequence[str], low: Sequence[float], middle: Sequence[float], high: Sequence[float], *, title: str,
    unit: str = "", missing: str = NOTHING,
) -> str:  # fmt: skip
    """Draw one interval a label with the estimate in it, left to right."""
    known = [v for v in (*low, *middle, *high) if np.isfinite(v)]
    if not known:
        return _nothing(title, missing)
    least, most = _room(min(known), max(known), zero=True)
    bottom, left = _TOP + 26 * len(labels), 150
    x = _place(least, most, left, WIDTH - _RIGHT)
    parts = [_mark((x(0), _TOP), (x(0), bottom), "var(--text-3)")]
    parts += [_below(x(at), text, bottom) for at, text in _ticks(least, most, unit, WIDTH - left - _RIGHT)]
    for k, (label, *three) in enumerate(zip(labels, low, middle, high, strict=True)):
        at = _TOP + 26 * k + 13
        parts.append(_text(left - 10, at + 4, label, anchor="end"))
        if all(map(np.isfinite, three)):
            parts.append(_mark((x(three[0]), at), (x(three[2]), at), "var(--accent)", stroke_width=4))
            parts.append(_tag("circle", cx=x(three[1]), cy=at, r=5, fill="var(--text)"))
    said = "; ".join(
        f"{label} {quantity(m, unit)} ({quantity(lo, unit)} to {quantity(hi, unit)})"
        for label, lo, m, hi in zip(labels, low, middle, high, strict=True)
    )
    return _svg(title, said, parts, height=bottom + _BOTTOM)


def thinned(series: Series, most: int = MOST_POINTS) -> Series:
    """Return at most about `most` points: of each stretch its lowest and its highest, so that no extreme is lost."""
    count = len(series.ts)
    if count <= most:
        return series
    edges = np.linspace(0, count, most // 2 + 1).astype(np.int64)
    low, high = np.nan_to_num(series.values, nan=np.inf), np.nan_to_num(series.values, nan=-np.inf)
    found = [a + int(part[a:b].argmin()) for a, b in pairwise(edges.tolist()) for part in (low, -high)]
    keep = np.unique([0, *found, count - 1])
    return Series(series.name, series.ts[keep], series.values[keep])


def quantity(value: float, unit: str = "") -> str:
    """Write a number with its unit to two or three digits, with a true minus sign; NaN is a dash."""
    if not np.isfinite(value):
        return "–"
    shown = value * 100 if unit == "%" else value
    size = floor(log10(abs(shown) or 1))
    places = max(3 - max(size, 1), 0) if size >= -2 else min(1 - size, 6)
    text = f"{shown:,.{places}f}".replace("-", "−" if round(shown, places) else "")
    return f"{text} {unit}".rstrip()


def time_ticks(first: int, last: int) -> list[tuple[int, str]]:
    """Return up to eight round moments (years to minutes) between two times in ns UTC, with their names."""
    begin, end = np.datetime64(first, "ns"), np.datetime64(last, "ns")
    for unit, most, steps in _CALENDAR:
        whole = [moment.astype(f"M8[{unit}]") for moment in (begin, end)]
        if int((whole[1] - whole[0]).astype(np.int64)) > most * steps[-1]:
            continue
        at = np.arange(whole[0], whole[1] + 1)
        at = at[(at.astype("M8[ns]") >= begin) & (at.astype("M8[ns]") <= end)]
        count = at.astype(np.int64) + (1970 if unit == "Y" else 0)
        kept = next(found for step in steps if len(found := at[count % step == 0]) <= most or step == steps[-1])
        names = [str(t) if unit in "DMY" else str(t.astype("M8[m]"))[5:].replace("T", " ") for t in kept]
        return list(zip(kept.astype("M8[ns]").astype(np.int64).tolist(), names, strict=True))
    return []


def _ticks(low: float, high: float, unit: str, wide: float = 400) -> list[tuple[float, str]]:
    """Return round numbers between two, with their names."""
    raw = (high - low) / max(wide / 80, 2)
    size = 10 ** floor(log10(raw))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw * 0.999)
    at = [k * step for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
    scales = [(100.0, " %")] if unit == "%" else [(1.0, f" {unit}" if unit else "")]
    largest = max(map(abs, at), default=0)
    scales += [] if unit == "%" else [(1e-6, " M")] * (largest >= 1e6) + [(1e-3, " k")] * (largest >= 1e4)
    factor, suffix = next((s for s in scales[1:] if step * s[0] >= 0.01), scales[0])
    shown = step * factor
    places = next((d for d in range(7) if abs(round(shown, d) - shown) < 1e-6 * shown), 7)
    return [(v, f"{v * factor:,.{places}f}{suffix}".replace("-", "−" if v else "")) for v in at]


def _room(low: float, high: float, *, zero: bool) -> tuple[float, float]:
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    if high - low < max(abs(high), 1.0) * 1e-9:
        return low - max(abs(low), 1.0) * 0.01, high + max(abs(high), 1.0) * 0.01
    margin = (high - low) * 0.04
    return low - margin * (low != 0), high + margin * (high != 0)


def _place(low: float, high: float, start: float, stop: float) -> Place:
    span = (high - low) or 1.0
    return lambda value: start + (float(value) - low) / span * (stop - start)


def _points(series: Series) -> Iterable[tuple[int, float]]:
    return zip(series.ts.tolist(), series.values.tolist(), strict=True)


def _path(series: Series, x: Place, y: Place, style: tuple[str, str]) -> str:
    """Draw the line; a lone point is a dot."""
    steps, lifted = [], True
    for t, v in _points(series):
        if np.isfinite(v):
            steps.append(f"{'M' if lifted else 'L'}{x(t):.1f} {y(v):.1f}")
        lifted = not np.isfinite(v)
    if len(steps) == 1:
        steps.append("h0")  # with round caps a dot
    wide = 7 if steps[-1] == "h0" else 1.6
    return _tag("path", d="".join(steps), fill="none", stroke=style[0], stroke_width=wide, stroke_linecap="round",
                stroke_linejoin="round", stroke_dasharray=style[1] or "none")  # fmt: skip


def _said(series: Series, unit: str) -> str:
    known = series.values[np.isfinite(series.values)]
    least, most, end = (quantity(float(v), unit) for v in (known.min(), known.max(), known[-1]))
    days = [str(np.datetime64(int(t), "ns"))[:10] for t in (series.ts[0], series.ts[-1])]
    return f"{series.name}, {days[0]} to {days[1]}: lowest {least}, highest {most}, last {end}"


def _bar(left: float, y: Place, value: float, *, wide: float, opacity: float = 1) -> str:
    colour = "var(--accent)" if value >= 0 else "var(--loss)"
    box = (left, min(y(value), y(0)), wide, abs(y(value) - y(0)))
    return _box(box, fill=colour, fill_opacity=opacity)


def _cell(box: Box, value: float, largest: float, unit: str) -> str:
    if not np.isfinite(value):
        colours: dict[str, object] = {"fill": "none"}
    else:
        colours = {
            "fill": f"var(--{'gain' if value >= 0 else 'loss'})",
            "fill_opacity": f"{abs(value) / largest / 2:.3f}",
        }
    left, upper, wide, tall = box
    text = quantity(value, unit)
    fits = len(text) * 7 < wide and tall >= 14
    named = _text(left + wide / 2, upper + tall / 2 + 4, text, anchor="middle", colour="var(--text)")
    return _box(box, **colours) + (named if fits else "")


def _left_axis(low: float, high: float, y: Place, unit: str) -> str:
    parts = []
    for at, text in _ticks(low, high, unit):
        colour = "var(--text-3)" if at == 0 else "var(--line)"
        parts.append(_mark((_LEFT, y(at)), (WIDTH - _RIGHT, y(at)), colour))
        parts.append(_text(_LEFT - 6, y(at) + 4, text, anchor="end"))
    return "".join(parts)


def _below(x: float, text: str, bottom: float = HEIGHT - _BOTTOM) -> str:
    side = "end" if x > WIDTH - 40 else "middle"
    return _mark((x, bottom), (x, bottom + 4), "var(--text-3)") + _text(x, bottom + 18, text, anchor=side)


def _tag(name: str, **attributes: object) -> str:
    written = (f'{k.replace("_", "-")}="{f"{v:.1f}" if isinstance(v, float) else v}"' for k, v in attributes.items())
    return f"<{name} {' '.join(written)}/>"


def _box(box: Box, **attributes: object) -> str:
    return _tag("rect", **dict(zip(("x", "y", "width", "height"), map(float, box), strict=True)), **attributes)


def _mark(start: Point, end: Point, colour: str, **attributes: object) -> str:
    ends = dict(zip(("x1", "y1", "x2", "y2"), map(float, (*start, *end)), strict=True))
    return _tag("line", **ends, stroke=colour, **attributes)


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "var(--text-2)") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _legend(names: Sequence[str], styles: Sequence[tuple[str, str]]) -> list[str]:
    parts, right = list[str](), float(WIDTH - _RIGHT)
    for k, name in reversed(list(enumerate(names))):
        colour, dashes = styles[k % len(styles)]
        right -= len(name) * 6.6 + 4
        parts.append(_text(right, _TOP - 8, name))
        right -= 6
        ends = ((right - 16, _TOP - 12), (right, _TOP - 12))
        parts.append(_mark(*ends, colour, stroke_width=2, stroke_dasharray=dashes or "none"))
        right -= 30
    return parts


def _nothing(title: str, said: str = NOTHING) -> str:
    return _svg(title, said, [_text(WIDTH / 2, 70, said, anchor="middle")], height=100)


def _svg(title: str, said: str, parts: Iterable[str], *, height: float = HEIGHT) -> str:
    heading = f'<text x="0" y="15" font-weight="650" fill="var(--text)">{escape(title)}</text>'
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" font-size="12">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>{heading}{''.join(parts)}</svg>"
    )
