"""A bounded sample of `make journal-load`, and that its judge sees what it is there to see."""

from pathlib import Path

from msgspec import structs

from robotrader.model import encode
from robotrader.ports import JournalRow
from tests.chaos.journal_load import BATCH, event, judge, load


def test_readers_and_a_killed_writer_lose_and_double_nothing(tmp_path: Path) -> None:
    found = load(tmp_path / "journal.sqlite", seconds=4.0, readers=3, kills=1, seed=7)
    assert found["failures"] == []
    assert found["rows"] > 0
    assert found["looks"] > 0


def _rows(messages: int) -> list[JournalRow]:
    rows = []
    for k in range(messages):
        payload = f'{{"fields":{{"n":{k}}}}}'
        rows.append(JournalRow(seq=2 * k + 1, kind="raw", type="bar", ts=0, payload=payload))
        rows.append(JournalRow(seq=2 * k + 2, kind="event", type="BarsClosed", ts=0, payload=encode(event(k)).decode()))
    return rows


def test_the_judge_sees_lost_doubled_and_altered_rows() -> None:
    whole = _rows(BATCH)
    assert judge(whole) == []
    assert judge(whole[:-1])
    assert judge([*whole[:10], *whole[12:], *whole[10:12]])
    assert judge([*whole[:10], *whole[8:10], *whole[10:-2]])
    assert judge([*whole[:-1], structs.replace(whole[-1], payload="{}")])
