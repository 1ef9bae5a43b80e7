"""Charts as text: valid, small, honest, and readable without eyes."""

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

from robotrader.research import charts
from robotrader.research.charts import MOST_POINTS, Series, quantity, thinned, time_ticks
from tests import builders as make

HOSTILE = '<script>alert("1")</script> & "so" \'on\''
NAN = float("nan")


def series(values: list[float] | NDArray[np.float64], name: str = "run", step: int = make.DAY) -> Series:
    return Series(name, make.T0 + step * np.arange(len(values), dtype=np.int64), np.array(values, dtype=np.float64))


def ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own text


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in drawn(svg).iter("text")]


EVERY: dict[str, Callable[[str], str]] = {
    "line": lambda t: charts.line([series([1, NAN, 3], t), series([2, 2, 2], t)], title=t, unit="USD"),
    "drawdown": lambda t: charts.line([series([0, -0.5, -0.1])], title=t, unit="%", filled=True),
    "one point": lambda t: charts.line([series([7])], title=t),
    "flat": lambda t: charts.line([series([1e6] * 9)], title=t),
    "no line": lambda t: charts.line([], title=t, missing=t),
    "bars": lambda t: charts.bars([t, "b"], [0.1, -0.2], title=t, unit="%"),
    "no bars": lambda t: charts.bars(["a"], [NAN], title=t),
    "histogram": lambda t: charts.histogram(np.array([0.1, 0.2, 0.2, -0.1]), title=t, unit="%"),
    "heat map": lambda t: charts.heat_map([t, 2], [3, t], np.array([[1, NAN], [-2, 0]]), row_label=t, column_label=t,
                                          title=t),
    "no heat": lambda t: charts.heat_map([1], [1], np.array([[NAN]]), row_label=t, column_label=t, title=t),
    "intervals": lambda t: charts.intervals([t], [-1], [0], [2], title=t),
    "unknown interval": lambda t: charts.intervals([t, "b"], [-1, NAN], [0, 1], [2, NAN], title=t),
    "no intervals": lambda t: charts.intervals([], [], [], [], title=t),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_every_chart_is_valid_says_what_it_shows_and_runs_nothing(name: str) -> None:
    svg = EVERY[name](HOSTILE)
    root = drawn(svg)
    assert root.attrib["role"] == "img"
    assert [e.text for e in root.findall("title")] == [HOSTILE]
    assert root.findall("desc")[0].text
    assert not list(root.iter("script"))
    assert not re.search(r"(href|src|xmlns)=|url\(|nan|inf\b", svg)


def test_a_million_minutes_stay_small_and_keep_every_extreme() -> None:
    values = np.random.default_rng(1).normal(0, 1, 1_000_000).cumsum()
    values[500_001], values[123_456] = 10_000.0, -10_000.0
    minutes = series(values, step=60_000_000_000)
    kept = thinned(minutes)
    assert len(kept.ts) <= MOST_POINTS + 2
    assert (kept.values.max(), kept.values.min()) == (10_000.0, -10_000.0)
    assert (kept.ts[0], kept.ts[-1]) == (minutes.ts[0], minutes.ts[-1])
    assert np.all(np.diff(kept.ts) > 0)
    assert len(charts.line([minutes], title="minutes")) < 20_000


def test_what_is_short_is_drawn_point_by_point() -> None:
    short = series([1.0] * MOST_POINTS)
    assert thinned(short) is short


def test_a_gap_breaks_the_line_and_is_not_bridged() -> None:
    path = drawn(charts.line([series([1, 2, NAN, 4, 5])], title="t")).findall("path")[0].attrib["d"]
    assert (path.count("M"), path.count("L")) == (2, 2)


def test_a_tick_stands_where_its_value_is() -> None:
    """The axis may not lie: a line through a tick's value passes at the height of the tick's label."""
    svg = charts.line([series([0.0, 200.0, 310.0, 400.0])], title="t")
    ticks = {float(e.text or ""): float(e.attrib["y"]) - 4 for e in drawn(svg).iter("text")
             if e.get("text-anchor") == "end" and (e.text or "").replace(".", "").isdigit()}  # fmt: skip
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn(svg).findall("path")[0].attrib["d"])
    assert set(ticks) == {0.0, 100.0, 200.0, 300.0, 400.0}
    assert [ticks[v] for v in (0.0, 200.0, 400.0)] == pytest.approx([float(points[k][1]) for k in (0, 1, 3)], abs=0.11)


@pytest.mark.parametrize(
    ("low", "high", "unit", "shown"),
    [(0.0, 0.25, "%", "20 %"), (1e6, 3e6, "", "2.0 M"), (20_000.0, 80_000.0, "", "60 k"), (1.0, 2.0, "USD", "1.25 USD"),
     (1_000_000.0, 1_000_000.5, "", "1,000,000.2"), (-5.0, 5.0, "", "−2.5")],
)  # fmt: skip
def test_ticks_are_round_and_exact(low: float, high: float, unit: str, shown: str) -> None:
    assert shown in texts(charts.line([series([low, high])], title="t", unit=unit))


@pytest.mark.parametrize(
    ("first", "last", "names"),
    [
        ("2000-03-01", "2013-03-01", ["2002", "2004", "2006", "2008", "2010", "2012"]),
        ("2020-01-15", "2020-06-15", ["2020-02", "2020-03", "2020-04", "2020-05", "2020-06"]),
        ("2020-01-02T14:30", "2020-01-02T18:00", ["01-02 15:00", "01-02 16:00", "01-02 17:00", "01-02 18:00"]),
        ("2020-01-02T14:31", "2020-01-02T14:33", ["01-02 14:31", "01-02 14:32", "01-02 14:33"]),
    ],
)
def test_times_are_named_at_round_moments(first: str, last: str, names: list[str]) -> None:
    assert [name for _, name in time_ticks(ns(first), ns(last))] == names


@pytest.mark.parametrize("days", [1, 3, 10, 40, 100, 400, 1000, 5000, 20_000, 40_000])
def test_some_times_are_named_in_any_span_and_never_too_many(days: int) -> None:
    ticks = time_ticks(make.T0, make.T0 + days * make.DAY)
    assert 1 <= len(ticks) <= 8
    assert all(make.T0 <= at <= make.T0 + days * make.DAY for at, _ in ticks)


def test_a_heat_map_frames_the_highest_and_names_it() -> None:
    svg = charts.heat_map([5, 10], [20, 50], np.array([[0.5, NAN], [-1.0, 1.5]]), row_label="fast",
                          column_label="slow", title="Sharpe")  # fmt: skip
    (frame,) = [e for e in drawn(svg).iter("rect") if e.attrib.get("stroke")]
    (cell,) = [e for e in drawn(svg).iter("rect") if e.attrib.get("fill-opacity") == "0.500"]
    assert (frame.attrib["x"], frame.attrib["y"]) == (cell.attrib["x"], cell.attrib["y"])
    assert drawn(svg).findall("desc")[0].text == "highest 1.50 at fast 10, slow 50; lowest −1.00"
    assert {"0.50", "–", "−1.00", "1.50"} <= set(texts(svg))


def test_every_bar_of_a_histogram_is_as_tall_as_its_count() -> None:
    svg = charts.histogram(np.array([0.0] * 6 + [1.0] * 3 + [2.0]), title="t", bins=3)
    tall = [float(e.attrib["height"]) for e in drawn(svg).iter("rect")]
    assert [t / tall[-1] for t in tall] == pytest.approx([6, 3, 1], abs=0.02)


def test_what_cannot_be_drawn_says_why() -> None:
    assert "too short" in texts(charts.line([series([NAN, NAN])], title="t", missing="too short"))
    assert "all alike" in texts(charts.histogram(np.array([0.1, 0.1]), title="t", missing="all alike"))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.1234, "%", "12.34 %"), (-1234.5, "", "−1,234"), (123.45, "", "123.5"), (0.0, "", "0.00"), (NAN, "%", "–"),
     (-0.0000123, "%", "−0.0012 %"), (1.5, "USD", "1.50 USD")],
)  # fmt: skip
def test_a_small_number_is_never_written_as_none(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text
