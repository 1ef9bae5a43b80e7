"""Bars survive every way to write them, and a torn or wrong line costs exactly that line."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robotrader.adapters.parquet.datasets import list_datasets, load, write_seed
from robotrader.data.quality import Rule
from robotrader.data.seeded import SeedSpec
from robotrader.model import BarSpec, DataError, InstrumentId

HEADER = "symbol,timestamp,open,high,low,close,volume"
GOOD = "{symbol},2020-01-0{day}T10:{minute:02}:00,10.0,11.0,9.0,10.5,100"

BAD = {
    "torn": ("A,2020-01-02T10:0", Rule.FIELD),
    "no close": ("A,2020-01-02T10:00:00,10,11,9,,100", Rule.FIELD),
    "no symbol": (",2020-01-02T10:00:00,10,11,9,10,100", Rule.FIELD),
    "too long": ("A,2020-01-02T10:00:00,10,11,9,10,100,1", Rule.FIELD),
    "decimal comma": ('A,2020-01-02T10:00:00,"10,5",11,9,10,100', Rule.FIELD),
    "word": ("A,2020-01-02T10:00:00,ten,11,9,10,100", Rule.TYPE),
    "time": ("A,yesterday,10,11,9,10,100", Rule.TIME),
    "open quote": ('A,"2020-01-02T10:00:00,10,11,9,x,100', Rule.TYPE),
    "bytes": ("A,2020-01-02T10:00:00,\udcff\udcfe,11,9,10,100", Rule.TYPE),
    "range": ("A,2020-01-02T09:59:00,10,9.5,9,9.2,100", Rule.RANGE),
    "swapped": ("A,2020-01-02T09:59:00,10,9,11,10,100", Rule.SWAPPED),
    "text nan": ("A,2020-01-02T10:00:00,NaN,11,9,10,100", Rule.FINITE),
}


@settings(max_examples=60)
@given(
    plants=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(sorted(BAD))), max_size=6),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_a_wrong_line_costs_that_line(plants: list[tuple[int, str]], newline: str) -> None:
    lines = [GOOD.format(symbol="A", day=2, minute=m) for m in range(20)]
    for at, kind in sorted(plants, reverse=True):
        lines.insert(at, BAD[kind][0])
    expected = [(i, BAD[kind][1]) for i, line in enumerate(lines, 1) for kind in BAD if BAD[kind][0] == line]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.csv"
        path.write_bytes(newline.join([HEADER, *lines, ""]).encode("utf-8", "surrogateescape"))
        loaded = load(str(path), state=Path(folder))
    assert [(q.row, q.rule) for q in loaded.quarantined] == expected
    assert {q.source for q in loaded.quarantined} <= {"bars.csv"}
    assert loaded.panel.bar_count == 20


def seeded(tmp_path: Path, spec: BarSpec = BarSpec.MINUTE) -> tuple[pl.DataFrame, str]:
    """Make a seeded set and return its bars, as a file would hold them, with its hash."""
    report = write_seed(SeedSpec(seed=5, symbols=("A", "B"), spec=spec, bars=800), state=tmp_path)
    return pl.read_parquet(report.file).drop("end"), report.data_hash


def local(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.with_columns(pl.col("timestamp").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None))


SHAPES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "zone-aware": lambda bars: bars,
    "local": local,
    "newest first": lambda bars: bars.reverse(),
    "other names": lambda bars: bars.rename({"symbol": "Ticker", "timestamp": "Datetime", "open": "Open"}),
    "more columns": lambda bars: bars.with_columns(vwap=1.0).select("vwap", pl.exclude("vwap")),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_every_way_to_write_the_same_bars_gives_the_same_bars(shape: str, suffix: str, tmp_path: Path) -> None:
    bars, data_hash = seeded(tmp_path)
    table, path = SHAPES[shape](bars), tmp_path / f"bars{suffix}"
    if suffix == ".parquet":
        table.write_parquet(path)
    elif suffix == ".csv":
        table.write_csv(path)
    else:
        path.write_bytes(gzip.compress(table.write_csv().encode()))
    loaded = load(str(path), state=tmp_path)
    assert loaded.panel.spec is BarSpec.MINUTE
    assert loaded.quarantined == ()
    ids = (InstrumentId("A.SMART"), InstrumentId("B.SMART"))
    assert sorted(loaded.panel.ids) == sorted(ids)
    if shape != "newest first":  # there the last symbol comes first
        assert loaded.data_hash == data_hash
    assert np.array_equal(loaded.panel.columns(ids).close, load("seed", state=tmp_path).panel.columns(ids).close)


@pytest.mark.parametrize("spec", list(BarSpec))
def test_a_seeded_set_loads_as_it_was_made(spec: BarSpec, tmp_path: Path) -> None:
    _, data_hash = seeded(tmp_path, spec)
    loaded = load("seed", state=tmp_path)
    assert loaded.data_hash == data_hash
    assert loaded.panel.spec is spec
    assert "seed 5" in loaded.note
    listed = list_datasets(tmp_path)[-1]
    assert (listed.name, listed.symbols, listed.spec, listed.bars) == ("seed", ("A", "B"), spec, 1_600)
    again = write_seed(SeedSpec(seed=6, symbols=("A",), spec=spec, bars=10), state=tmp_path)
    assert load("seed", state=tmp_path).data_hash == again.data_hash != data_hash
    assert [p.name for p in again.file.parent.iterdir()] == ["bars.parquet"]  # no draft is left


def test_dates_with_capital_names_need_a_symbol(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = ["2013-03-01,10,11,9,10,100,9.5", "2013-03-02,10,11,9,10,100,9.5", "2013-03-04,10,11,9,10.5,100,10"]
    path.write_text("\n".join(["\ufeffDate,Open,High,Low,Close,Volume,Adj Close", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match="say which symbol the file holds"):
        load(str(path), state=tmp_path)
    loaded = load(str(path), symbol="XYZ.NYSE", state=tmp_path)
    assert loaded.panel.ids == ("XYZ.NYSE",)
    assert loaded.panel.close[:, 0].tolist() == [10, 10.5]
    assert np.datetime_as_string(loaded.panel.ts.astype("datetime64[ns]"), unit="m").tolist() == [
        "2013-03-01T21:00", "2013-03-04T21:00",
    ]  # fmt: skip
    assert [(q.row, q.rule) for q in loaded.quarantined] == [(2, Rule.SESSION)]  # a Saturday


def test_daily_bars_stamped_with_a_time_stand_on_their_session(tmp_path: Path) -> None:
    for stamp in ("2013-03-0{} 00:00:00", "2013-03-0{}T00:00:00Z", "2013-03-0{}T00:00:00-05:00", "2013-03-0{}T14:30Z"):
        path = tmp_path / "d.csv"
        rows = [f"A,{stamp.format(day)},10,11,9,10,100" for day in (5, 6, 7)]
        path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
        panel = load(str(path), state=tmp_path).panel
        assert panel.spec is BarSpec.DAY
        assert np.datetime_as_string(panel.opened.astype("datetime64[ns]"), unit="m").tolist() == [
            f"2013-03-0{day}T14:30" for day in (5, 6, 7)
        ], stamp


def test_extended_hours_are_kept_and_bars_of_no_session_are_not(tmp_path: Path) -> None:
    stamps = np.datetime64("2020-01-01", "ns") + np.arange(3 * 24 * 60) * np.timedelta64(1, "m")
    bars = pl.DataFrame(
        {"symbol": "C", "timestamp": stamps, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0, "volume": 1}
    )
    bars = bars.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
    bars.write_parquet(tmp_path / "c.parquet")
    loaded = load(str(tmp_path / "c.parquet"), state=tmp_path)
    panel = loaded.panel
    assert len(panel) == 16 * 60 + 15 * 60  # 04:00 to 20:00 on the 2nd, to 19:00, midnight UTC, on the 3rd
    assert {q.rule for q in loaded.quarantined} == {Rule.SESSION}  # New Year's Day and the nights
    assert len(panel) + len(loaded.quarantined) == len(bars)
    assert np.array_equal(panel.ts - panel.opened, np.full(len(panel), BarSpec.MINUTE.nanos))
    cut = load(str(tmp_path / "c.parquet"), start="2020-01-02", end="2020-01-02", state=tmp_path).panel
    assert len(cut) == 16 * 60  # one day in New York


def test_a_folder_is_one_dataset_and_its_files_may_overlap(tmp_path: Path) -> None:
    folder = tmp_path / "many" / "deep"
    folder.mkdir(parents=True)
    lines = [GOOD.format(symbol="A", day=2, minute=m) for m in range(10)]
    (folder / "2-first.csv").write_text("\n".join([HEADER, *lines[:6]]), encoding="utf-8")
    (folder / "1-second.csv").write_text("\n".join([HEADER, *lines[4:]]), encoding="utf-8")
    other = [GOOD.format(symbol="B", day=2, minute=m) for m in range(3)]
    (folder / "b.csv").write_text("\n".join([HEADER, *other, "B,bad"]), encoding="utf-8")
    (folder / "notes.txt").write_text("no data", encoding="utf-8")
    loaded = load(str(tmp_path / "many"), state=tmp_path)
    assert loaded.panel.bar_count == 13
    assert [(q.source, q.row, q.rule) for q in loaded.quarantined] == [("b.csv", 4, Rule.FIELD)]


def test_one_symbol_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = [GOOD.format(symbol=s, day=2, minute=m) for m in range(3) for s in ("A", "B")]
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    assert load(str(path), symbol="B", state=tmp_path).panel.ids == ("B.SMART",)
    assert load(str(path), symbol="B.NASDAQ", state=tmp_path).panel.ids == ("B.NASDAQ",)
    with pytest.raises(DataError, match="no bars of Z; there is: A, B"):
        load(str(path), symbol="Z", state=tmp_path)


UNUSABLE = {
    "empty": ("x.csv", b"", "missing symbol,timestamp"),
    "header only": ("x.csv", HEADER.encode(), "no row at all"),
    "other columns": ("x.csv", b"a,b\n1,2\n", "expected columns symbol,timestamp,open"),
    "no volume": ("x.csv", b"symbol,timestamp,open,high,low,close\nA,2020-01-02,1,1,1,1\n", "missing volume"),
    "twice": ("x.csv", b"symbol,Date,timestamp,open,high,low,close,volume\n", "more than one as timestamp"),
    "all bad": ("x.csv", f"{HEADER}\nA,2020-01-02,x,1,1,1,1\n".encode(), "none of 1 rows is usable; x.csv row 1, type"),
    "one bar": ("x.csv", f"{HEADER}\nA,2020-01-02T10:00,1,1,1,1,1\n".encode(), "at least two"),
    "no gzip": ("x.csv.gz", b"not gzip", "x.csv.gz cannot be read"),
    "cut gzip": ("x.csv.gz", gzip.compress(b"a" * 10_000)[:-20], "x.csv.gz cannot be read"),
    "no parquet": ("x.parquet", b"PAR1 not really", "x.parquet cannot be read"),
    "no data file": ("x.txt", b"", "is no dataset"),
}


@pytest.mark.parametrize("case", sorted(UNUSABLE))
def test_a_file_that_holds_no_bars_says_why(case: str, tmp_path: Path) -> None:
    name, content, reason = UNUSABLE[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        load(str(tmp_path / name), state=tmp_path)


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file"):
        load(str(tmp_path), state=tmp_path)
    (tmp_path / "a.csv").write_text(f"{HEADER}\nA,2020-01-02,1,1,1,1,1\n", encoding="utf-8")
    minutes = "\n".join(GOOD.format(symbol="A", day=2, minute=m) for m in range(3))
    (tmp_path / "b.csv").write_text(f"{HEADER}\n{minutes}\n", encoding="utf-8")
    with pytest.raises(DataError, match="mix dates and times"):
        load(str(tmp_path), state=tmp_path)
