"""The samples and the errors of dataset names; files are in tests/property, where the disk may be used."""

from pathlib import Path

import numpy as np
import pytest
from bokeh_sampledata import stocks

from robotrader.adapters.calendar import sessions_of
from robotrader.adapters.parquet.datasets import SAMPLE_SYMBOLS, list_datasets, load
from robotrader.adapters.parquet.samples import sample_bars
from robotrader.data.inspection import inspect
from robotrader.model import BarSpec, ConfigError, DataError

NOWHERE = Path("no-such-state")


def test_a_sample_is_scaled_by_its_adjusted_close() -> None:
    loaded = load("sample:AAPL", state=NOWHERE)
    panel, raw = loaded.panel, stocks.AAPL
    factor = np.array(raw["adj_close"]) / np.array(raw["close"])
    assert panel.ids == ("AAPL.NASDAQ",)
    assert panel.spec is BarSpec.DAY
    assert np.array_equal(panel.open[:, 0], np.array(raw["open"]) * factor)
    np.testing.assert_allclose(panel.close[:, 0], raw["adj_close"], rtol=1e-12)
    assert panel.volume[:, 0].tolist() == raw["volume"]
    assert np.array_equal(panel.opened[:1].astype("datetime64[ns]"), [np.datetime64("2000-03-01T14:30")])
    assert np.array_equal(panel.ts[:1].astype("datetime64[ns]"), [np.datetime64("2000-03-01T21:00")])
    assert "Adj Close / Close" in loaded.note
    assert loaded.quarantined == ()


def test_all_samples_share_one_time_axis() -> None:
    panel = load("sample:all", state=NOWHERE).panel
    assert panel.ids == ("AAPL.NASDAQ", "GOOG.NASDAQ", "IBM.NYSE", "MSFT.NASDAQ")
    assert len(panel) == 3_270
    goog = panel.close[:, 1]
    assert np.isnan(goog[: 3_270 - len(stocks.GOOG["date"])]).all()  # listed in 2004
    assert not np.isnan(goog[3_270 - len(stocks.GOOG["date"]) :]).any()


def test_the_hash_names_the_data() -> None:
    hashes = [load(f"sample:{s}", state=NOWHERE).data_hash for s in ("AAPL", "AAPL", "IBM")]
    assert hashes[0] == hashes[1] != hashes[2]
    assert load("sample:all", symbol="IBM", state=NOWHERE).data_hash == hashes[2]
    assert load("sample:all", symbol="IBM.NYSE", start="2000-03-01", state=NOWHERE).data_hash == hashes[2]


def test_a_range_is_inclusive() -> None:
    def dates(start: str | None, end: str | None) -> list[str]:
        panel = load("sample:MSFT", start=start, end=end, state=NOWHERE).panel
        return [str(day) for day in panel.ts.astype("datetime64[ns]").astype("datetime64[D]")]

    assert dates("2013-02-27", None) == ["2013-02-27", "2013-02-28", "2013-03-01"]
    assert dates("2012-12-24", "2012-12-26") == ["2012-12-24", "2012-12-26"]


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(DataError, match=r"expected one of sample:AAPL, .*, seed, lake, lake:SYMBOL, or the path"):
        load("sample:TSLA", state=NOWHERE)
    with pytest.raises(DataError, match=r"there is no dataset 'nothing\.csv'"):
        load("nothing.csv", state=NOWHERE)
    with pytest.raises(DataError, match="sample:all has no symbol TSLA; there is: AAPL, GOOG, IBM, MSFT"):
        load("sample:all", symbol="TSLA", state=NOWHERE)
    with pytest.raises(DataError, match="robotrader data seed"):
        load("seed", state=NOWHERE)
    with pytest.raises(DataError, match="the data runs from 2000-03-01 to 2013-03-01"):
        load("sample:IBM", start="2014-01-01", state=NOWHERE)
    with pytest.raises(ConfigError, match="start: expected an ISO date"):
        load("sample:IBM", start="last week", state=NOWHERE)


def test_the_samples_are_listed() -> None:
    assert [d.name for d in list_datasets(NOWHERE)] == [
        "sample:AAPL", "sample:GOOG", "sample:IBM", "sample:MSFT", "sample:all",
    ]  # fmt: skip


def test_the_samples_pass_the_gate() -> None:
    bars, _ = sample_bars(SAMPLE_SYMBOLS)
    found = inspect(bars, spec=BarSpec.DAY, sessions=sessions_of(bars.start))
    assert len(found.good) == len(bars) == 12_154 - len(stocks.FB["date"])
    assert (found.quarantined, len(found.duplicates)) == ((), 0)
