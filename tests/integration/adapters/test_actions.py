"""The file of corporate actions: every row accounted for, every version kept, nothing half written."""

import gzip
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from robotrader.adapters.calendar import session_table
from robotrader.adapters.parquet.actions import (
    EXCHANGE,
    ActionsFile,
    ActionsImported,
    actions_file,
    import_actions,
    read_actions,
)
from robotrader.adapters.parquet.datasets import load as load_dataset
from robotrader.data.adjust import adjust, known, near_split
from robotrader.data.panel import Panel
from robotrader.model import CorporateAction, DataError

HEADER = "symbol,last_cum_day,kind,ratio_or_cash,reference_close,successor,known"
AAPL = ["AAPL,2000-06-20,split,2,101,,", "AAPL,2005-02-25,split,2.00001,88.97,,", "AAPL,2014-06-06,split,7,645.57,,"]
SESSIONS = session_table("1999-01-01", "2021-12-31")
NOW = 1_800_000_000_000_000_000
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def file_of(folder: Path, rows: Sequence[str], *, header: str = HEADER, name: str = "actions.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def load(folder: Path, *rows: str, now: int = NOW) -> ActionsImported:
    return import_actions(file_of(folder, rows), folder, SESSIONS, now=now)


def counts(done: ActionsImported) -> tuple[int, ...]:
    found = (done.rows_written, done.rows_duplicate, done.rows_restated, done.rows_quarantined)
    assert sum(found) == done.rows_read
    return found


def midnight(date: str) -> int:
    return int(datetime.fromisoformat(date).replace(tzinfo=EXCHANGE).timestamp()) * 1_000_000_000


def test_an_action_has_the_next_session_as_its_ex_date_and_is_known_by_then(tmp_path: Path) -> None:
    """2014-06-06 was a Friday; 2.00001 is how a source rounds a ratio of 2."""
    assert counts(load(tmp_path, *AAPL)) == (3, 0, 0, 0)
    first, second, third = read_actions(tmp_path)
    assert [(a.last_cum_day, a.ex_date) for a in (first, second, third)] == [
        ("2000-06-20", "2000-06-21"), ("2005-02-25", "2005-02-28"), ("2014-06-06", "2014-06-09"),
    ]  # fmt: skip
    assert third.ex_at == third.known_at == midnight("2014-06-09")
    assert [(a.new, a.old) for a in (first, second, third)] == [(2, 1), (2, 1), (7, 1)]


def test_the_same_file_twice_changes_nothing_and_says_so(tmp_path: Path) -> None:
    load(tmp_path, *AAPL)
    before = actions_file(tmp_path).read_bytes()
    assert counts(load(tmp_path, *AAPL)) == (0, 3, 0, 0)
    assert actions_file(tmp_path).read_bytes() == before


def test_other_values_become_a_version_known_from_the_import_on(tmp_path: Path) -> None:
    load(tmp_path, "AAPL,2014-05-07,dividend,3.29,592.33,,")
    assert counts(load(tmp_path, "AAPL,2014-05-07,dividend,3.30,592.33,,")) == (0, 0, 1, 0)
    versions = read_actions(tmp_path)
    assert [str(a.cash) for a in versions] == ["3.29", "3.30"]
    assert [str(a.cash) for a in known(versions, NOW - 1)] == ["3.29"]
    assert [str(a.cash) for a in known(versions, NOW)] == ["3.30"]
    assert counts(load(tmp_path, "AAPL,2014-05-07,dividend,3.300,592.33,,")) == (0, 1, 0, 0), "equal to the newest"


def test_an_announcement_says_when_it_was_known(tmp_path: Path) -> None:
    load(tmp_path, "FB,2021-06-08,symbol_change,,,META,2021-05-31")
    (change,) = read_actions(tmp_path)
    assert (change.known_at, change.successor, change.new) == (midnight("2021-05-31"), "META", 1)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (",2014-06-06,split,7,645.57,,", "field"), ("AAPL,2014-06-07,split,7,645.57,,", "session"),
        ("AAPL,6/6/2014,split,7,645.57,,", "session"), ("AAPL,2014-06-06,merger,7,645.57,,", "kind"),
        ("AAPL,2014-06-06,split,,645.57,,", "number"), ("AAPL,2014-06-06,split,seven,645.57,,", "number"),
        ("AAPL,2014-06-06,split,1,645.57,,", "number"), ("AAPL,2014-06-06,split,0,645.57,,", "number"),
        ("AAPL,2014-06-06,split,-7,645.57,,", "number"), ("AAPL,2014-06-06,split,NaN,645.57,,", "number"),
        ("AAPL,2014-06-06,split,1e30,645.57,,", "number"), ("AAPL,2014-05-07,dividend,0,592.33,,", "number"),
        ("AAPL,2014-05-07,dividend,-1,592.33,,", "number"), ("AAPL,2014-05-07,dividend,600,592.33,,", "number"),
        ("AAPL,2014-05-07,delisting,-1,,,", "number"), ("AAPL,2014-05-07,delisting,,,,", "number"),
        ("FB,2021-06-08,symbol_change,,,,", "field"), ("FB,2021-06-08,symbol_change,,,META,soon", "field"),
        ("AAPL,2021-12-31,dividend,1,9,,", "session"),
    ],
)  # fmt: skip
def test_a_bad_row_is_set_aside_with_its_rule_and_the_rest_goes_on(tmp_path: Path, row: str, rule: str) -> None:
    done = load(tmp_path, row, AAPL[0])
    assert counts(done) == (1, 0, 0, 1)
    (bad,) = done.quarantined
    assert (bad.row, bad.rule) == (1, rule)
    assert "expected" in bad.detail


def test_rows_of_one_action_that_disagree_are_all_set_aside(tmp_path: Path) -> None:
    done = load(tmp_path, "A,2020-01-03,split,2,9,,", AAPL[0], "A,2020-01-03,split,3,9,,", AAPL[0])
    assert counts(done) == (1, 1, 0, 2)
    assert [(q.row, q.rule) for q in done.quarantined] == [(1, "conflict"), (3, "conflict")]


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("0.05", (1, 20)), ("0.142857", (1, 7)), ("1.5", (3, 2)), ("0.6666667", (2, 3)), ("20", (20, 1)),
     ("1.0049", (205, 204)), ("0.002", (1, 500))],
)  # fmt: skip
def test_a_rounded_ratio_stands_for_whole_numbers(tmp_path: Path, text: str, ratio: tuple[int, int]) -> None:
    load(tmp_path, f"A,2020-01-03,split,{text},9,,")
    (action,) = read_actions(tmp_path)
    assert (action.new, action.old) == ratio


def test_what_is_no_file_of_actions_is_refused_and_leaves_what_is_there(tmp_path: Path) -> None:
    load(tmp_path, AAPL[0])
    before = actions_file(tmp_path).read_bytes()
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress("\n".join([HEADER, *AAPL]).encode())[:-9])
    for path, text in (
        (torn, "cannot be read"), (tmp_path / "none.csv", "cannot be read"),
        (file_of(tmp_path, ["a,b"], header="x,y", name="other.csv"), "none called symbol, last_cum_day, kind"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=text):
            import_actions(path, tmp_path, SESSIONS, now=NOW)
    assert actions_file(tmp_path).read_bytes() == before


def test_a_file_that_holds_something_else_is_named_when_it_is_read(tmp_path: Path) -> None:
    load(tmp_path, AAPL[0])
    actions_file(tmp_path).write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match="import them again"):
        read_actions(tmp_path)


def test_a_process_that_goes_on_reads_again_only_what_has_changed(tmp_path: Path) -> None:
    watched = ActionsFile(tmp_path)
    assert watched() == ()
    load(tmp_path, AAPL[0])
    first = watched()
    assert len(first) == 1
    assert watched() is first
    load(tmp_path, AAPL[1])
    assert len(watched()) == 2


def test_a_file_that_breaks_while_a_process_goes_on_leaves_it_what_it_knew(tmp_path: Path) -> None:
    watched = ActionsFile(tmp_path)
    load(tmp_path, AAPL[0])
    known_before: tuple[CorporateAction, ...] = watched()
    actions_file(tmp_path).write_text("{}\n", encoding="utf-8")
    assert watched() is known_before


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are beside the repository on some machines only")
@pytest.mark.parametrize(("symbol", "splits"), [("AAPL", 3), ("IBM", 1), ("SPY", 0)])
def test_real_prices_jump_at_their_splits_and_nowhere_when_adjusted(tmp_path: Path, symbol: str, splits: int) -> None:
    """Two jumps are left: AAPL really opened at 0.526 of its last close, and IBM's open of 2002-12-23 is an error."""
    sessions = session_table("1998-01-01", "2021-12-31")
    assert counts(import_actions(SHARED / "corporate_actions.csv.gz", tmp_path, sessions, now=NOW)) == (175, 0, 0, 0)
    raw = load_dataset(str(SHARED / "us_daily" / f"{symbol}.csv.gz"), state=tmp_path).panel
    fallen = adjust(raw, read_actions(tmp_path), int(raw.ts[-1]))
    days = {"AAPL": {"2000-09-29"}, "IBM": {"2002-12-23"}}.get(symbol, set())
    assert len(_jumps(raw) - days) == splits
    assert _jumps(fallen) == days
    assert fallen.close[-1, 0] == raw.close[-1, 0]


def _jumps(panel: Panel) -> set[str]:
    pairs = zip(panel.close[:-1, 0].tolist(), panel.open[1:, 0].tolist(), panel.opened[1:].tolist(), strict=True)
    return {str(np.datetime64(ts, "ns"))[:10] for before, opened, ts in pairs if near_split(before, opened)}
