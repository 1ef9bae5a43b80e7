"""The lake keeps every version of every bar, once, and gives what was known at any time."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robotrader.adapters.parquet.lake import Lake, Written, payload_hash
from robotrader.data.frame import BarFrame, Versions
from robotrader.model import BarSpec, DataError, InstrumentId
from tests.unit.data.bars import DAY, MINUTE, bar, frame_of

A, B = InstrumentId("A.SMART"), InstrumentId("B.SMART")
YEAR_2020 = 1_577_836_800_000_000_000


def versions(frame: BarFrame, known: int = 1, source: str = "a.csv") -> Versions:
    return Versions(frame=replace(frame, end=frame.start + MINUTE), spec=BarSpec.MINUTE, known=known, source=source)


def bars(*closes: float, symbol: str = "A", start: int = YEAR_2020) -> BarFrame:
    return frame_of([bar(start + k * MINUTE, symbol, close=close) for k, close in enumerate(closes)])


def files(lake: Lake) -> dict[str, tuple[int, bytes]]:
    """Return the files with what tells whether they were written again."""
    return {str(p.relative_to(lake.root)): (p.stat().st_ino, p.read_bytes()) for p in lake.root.rglob("*.parquet")}


def closes(lake: Lake, as_of: int | None = None) -> list[float]:
    frame = lake.scan([A], BarSpec.MINUTE) if as_of is None else lake.scan([A], BarSpec.MINUTE, as_of=as_of)
    found: list[float] = frame.close.tolist()
    return found


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_what_is_written_is_read_and_lies_where_it_should(lake: Lake) -> None:
    both = frame_of([bar(YEAR_2020 - MINUTE, "A"), bar(YEAR_2020, "A", close=10.5), bar(YEAR_2020, "B", volume=7)])
    assert lake.write(versions(both)) == Written(new=3)
    found = lake.scan([A, B], BarSpec.MINUTE)
    assert found.symbols == (A, B)
    assert found.symbol.tolist() == [0, 0, 1]
    assert found.start.tolist() == both.start.tolist()
    assert found.end.tolist() == (both.start + MINUTE).tolist()
    assert (found.close.tolist(), found.volume.tolist()) == (both.close.tolist(), both.volume.tolist())
    assert sorted(files(lake)) == [
        "kind=bars/spec=1m/instrument=A.SMART/year=2019/bars.parquet",
        "kind=bars/spec=1m/instrument=A.SMART/year=2020/bars.parquet",
        "kind=bars/spec=1m/instrument=B.SMART/year=2020/bars.parquet",
    ]


def test_the_same_bars_again_change_no_byte(lake: Lake) -> None:
    lake.write(versions(bars(10.0, 10.1)))
    before = files(lake)
    assert lake.write(versions(bars(10.0, 10.1), known=9, source="other.csv")) == Written(duplicate=2)
    assert files(lake) == before


def test_a_restated_bar_is_a_new_version_and_the_old_one_can_be_asked_for(lake: Lake) -> None:
    lake.write(versions(bars(10.0, 10.1), known=100))
    assert lake.write(versions(bars(10.0, 10.7, 10.8), known=200)) == Written(new=1, restated=1, duplicate=1)
    assert closes(lake) == [10.0, 10.7, 10.8]
    assert closes(lake, as_of=199) == [10.0, 10.1]
    assert closes(lake, as_of=99) == []
    assert lake.write(versions(bars(10.0, 10.1), known=300)) == Written(restated=1, duplicate=1)  # taken back
    assert (closes(lake), closes(lake, as_of=250)) == ([10.0, 10.1, 10.8], [10.0, 10.7, 10.8])
    (content,) = lake.contents(lake.holdings())
    assert (content.bars, content.versions) == (3, 5)


def test_a_range_is_half_open_and_may_cross_years(lake: Lake) -> None:
    lake.write(versions(bars(10.0, 10.1, 10.2, start=YEAR_2020 - MINUTE)))
    found = lake.scan([A], BarSpec.MINUTE, start=YEAR_2020 - MINUTE, end=YEAR_2020 + MINUTE)
    assert found.close.tolist() == [10.0, 10.1]


def test_other_stores_and_the_lake_are_one(lake: Lake) -> None:
    lake.write(versions(bars(10.0, 10.1), known=100))
    hot = versions(bars(10.1, 10.2, start=YEAR_2020 + MINUTE), known=50, source="journal")
    restated = versions(bars(10.9), known=150, source="journal")
    stranger = versions(bars(99.0, symbol="B"), source="journal")
    other_length = replace(stranger, spec=BarSpec.DAY)
    more = [hot, restated, stranger, other_length]
    assert lake.scan([A], BarSpec.MINUTE, more=more).close.tolist() == [10.9, 10.1, 10.2]
    assert lake.scan([A], BarSpec.MINUTE, as_of=120, more=more).close.tolist() == [10.0, 10.1, 10.2]
    assert lake.scan([B], BarSpec.MINUTE, more=more).close.tolist() == [99.0]


def test_an_older_fact_that_comes_late_takes_its_place_in_time(lake: Lake) -> None:
    lake.write(versions(bars(10.5), known=200))
    archived = replace(versions(bars(10.0), source="journal"), known=np.array([100]))
    assert lake.write(archived).new == 1
    assert lake.write(archived) == Written(duplicate=1)
    assert (closes(lake), closes(lake, as_of=150)) == ([10.5], [10.0])
    same_values = replace(versions(bars(10.0), source="journal"), known=np.array([50]))
    assert lake.write(same_values).new == 1
    assert (closes(lake, as_of=50), closes(lake, as_of=49)) == ([10.0], [])


def test_a_write_that_was_cut_short_is_completed_by_writing_again(lake: Lake) -> None:
    across = versions(bars(10.0, 10.1, start=YEAR_2020 - MINUTE))
    blocked = lake.root / "kind=bars/spec=1m/instrument=A.SMART/year=2020"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")  # the second partition cannot be written
    with pytest.raises(OSError, match="year=2020"):
        lake.write(across)
    blocked.unlink()
    assert lake.write(across) == Written(new=1, duplicate=1)
    assert closes(lake) == [10.0, 10.1]


def test_the_draft_of_a_writer_that_died_is_not_read(lake: Lake) -> None:
    lake.write(versions(bars(10.0)))
    (file,) = lake.root.rglob("bars.parquet")
    (file.parent / ".bars.parquet.123.tmp").write_bytes(b"half a file")
    assert closes(lake) == [10.0]
    assert len(lake.contents(lake.holdings())) == 1


def test_a_damaged_file_is_named(lake: Lake) -> None:
    lake.write(versions(bars(10.0)))
    (file,) = lake.root.rglob("bars.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"year=2020.bars\.parquet is damaged"):
        lake.scan([A], BarSpec.MINUTE)
    with pytest.raises(DataError, match="damaged"):
        lake.write(versions(bars(10.1), known=2))
    with pytest.raises(DataError, match="damaged"):
        lake.contents(lake.holdings())


def test_bars_from_before_1970_are_bars_too(lake: Lake) -> None:
    lake.write(versions(bars(10.0, 10.1, start=-YEAR_2020 // 2)))
    assert closes(lake) == [10.0, 10.1]


@pytest.mark.parametrize("symbol", ["../../out", "BRK/B", "a=b", "%2F", "A B"])
def test_no_symbol_leaves_the_lake(symbol: str, lake: Lake) -> None:
    lake.write(versions(bars(10.0, symbol=symbol)))
    (content,) = lake.contents(lake.holdings())
    assert content.instrument == f"{symbol}.SMART"
    assert len(lake.scan([content.instrument], BarSpec.MINUTE)) == 1
    assert len([*lake.root.parent.rglob("bars.parquet")]) == len([*lake.root.rglob("bars.parquet")]) == 1


def test_contents_are_picked_by_symbol_and_length(lake: Lake) -> None:
    lake.write(versions(bars(10.0, 10.1)))
    lake.write(versions(bars(10.0, symbol="B")))
    lake.write(replace(versions(frame_of([bar(YEAR_2020 + DAY)])), spec=BarSpec.DAY))

    def picked(name: str) -> list[tuple[str, str]]:
        return sorted((c.instrument, c.spec) for c in lake.pick(name))

    assert picked("lake:A@1m") == picked("lake:A.SMART@1m") == [(A, "1m")]
    assert picked("lake@1m") == picked("lake:A,B@1m") == [(A, "1m"), (B, "1m")]
    assert picked("lake:A") == [(A, "1d"), (A, "1m")]
    for missing in ("lake:C", "lake:B@1d", "lake@1h", "lake:A,C"):
        with pytest.raises(DataError, match="the lake has no"):
            lake.pick(missing)


def test_equal_values_have_equal_hashes_everywhere() -> None:
    columns = [np.array([1.0, 1.0, -0.0, 0.0, 2.0]), np.array([2.0, 2.0, 5.0, 5.0, 1.0])]
    found = payload_hash(columns).tolist()
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert len(set(found)) == 3
    assert found[0] == GOLDEN


GOLDEN = 13_402_682_893_623_547_799  # computed once; a change would make every known bar look restated

WRITES = st.lists(  # (knowledge time, bars as minute: close)
    st.tuples(st.integers(1, 9), st.dictionaries(st.integers(0, 3), st.sampled_from([10.0, 10.5, 11.0]), min_size=1)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60)
@given(writes=WRITES, data=st.data())
def test_any_writes_in_the_order_of_knowledge_read_as_a_plain_record_of_them(
    writes: list[tuple[int, dict[int, float]]], data: st.DataObject
) -> None:
    writes = sorted(writes, key=lambda w: w[0])
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        for known, cells in writes:
            frame = frame_of([bar(YEAR_2020 + k * MINUTE, close=close) for k, close in cells.items()])
            done = lake.write(versions(frame, known))
            assert done.new + done.restated + done.duplicate == len(cells)
        known, cells = writes[-1]
        repeated = lake.write(
            versions(frame_of([bar(YEAR_2020 + k * MINUTE, close=c) for k, c in cells.items()]), known)
        )
        assert repeated == Written(duplicate=len(cells))
        as_of = data.draw(st.integers(0, 10))
        expected: dict[int, float] = {}
        for known, cells in writes:
            if known <= as_of:
                expected |= cells
        found = lake.scan([A], BarSpec.MINUTE, as_of=as_of)
        assert dict(zip(((found.start - YEAR_2020) // MINUTE).tolist(), found.close.tolist(), strict=True)) == expected
        assert found.start.tolist() == sorted(found.start.tolist())
