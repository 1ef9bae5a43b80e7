"""Tearsheets of recorded runs: where a run is found, and the live one out of the journal."""

import shutil
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from robotrader.bootstrap.data import scan_bars
from robotrader.bootstrap.storage import reader
from robotrader.bootstrap.trials import known_since
from robotrader.data.instruments import instrument_of
from robotrader.model import ConfigError, DataError, InstrumentId

if TYPE_CHECKING:
    from robotrader.ports import JournalReader, MarkRow, RunRow
    from robotrader.research.recorded import RecordedRun, Traded

LIVE, LATEST, RUNS = "live", "latest", "runs"
_ALL = 1 << 40


def run_folder(name: str, state: Path) -> Path:
    """Return the folder of a run: a path, its id or `latest` under `runs/` of the state folder, which is itself `live`.

    Raises
    ------
    DataError
        There is no such run.
    """
    from robotrader.research.run_folder import RUN

    if name == LIVE or (Path(name) / RUN).exists():
        return state if name == LIVE else Path(name)
    kept = sorted((state / RUNS).glob(f"*/{RUN}"), key=lambda file: file.stat().st_mtime)
    found = kept[-1:] if name == LATEST else [file for file in kept if file.parent.name == name]
    if not found:
        known = f"{state / RUNS} holds {', '.join(f.parent.name for f in kept) or 'no run'}"
        raise DataError(f"{name} is no folder with {RUN} and no run's id: {known}; `backtest --out DIR` writes one")
    return found[0].parent


def recorded_run(name: str, state: Path) -> "RecordedRun":
    """Return a recorded run (see `run_folder`), or with `live` what the journal of the state folder tells.

    How many trials its strategy has had since, and what was found about it, it says too.
    """
    from robotrader.research.run_folder import read_run

    if name == LIVE:
        return live_run(state)
    run = read_run(run_folder(name, state))
    return structs.replace(run, facts={**run.facts, **known_since(state, run)})


def live_run(state: Path) -> "RecordedRun":
    """Return what the journal tells of a trader: its marks, fills, and the closes of its universe.

    Raises
    ------
    DataError
        No trader has run on this state, or none has marked its books yet.
    """
    import numpy as np

    from robotrader.research.metrics import day_ends
    from robotrader.research.recorded import Record, RecordedRun

    journal = reader(state)
    run, marks = journal.run(), journal.equity(max_points=_ALL)
    if run is None or not marks:
        raise DataError(f"the journal in {state} has no marks: no trader has closed a bar there yet")
    fills = journal.fills(limit=_ALL)[::-1]
    ts = np.array([m.ts for m in marks], dtype=np.int64)
    equity = np.array([float(m.equity) for m in marks])
    at = day_ends(ts)
    traded = _instruments(journal, run, {row.fill.instrument for row in fills})
    record = Record(configs=run.started.strategies, instruments=traded)
    daily = {
        "ts": ts[at], "equity": equity[at], "benchmark": _benchmark(journal, run, ts[at], state),
        "gross": np.array([np.nan if marks[k].gross is None else float(marks[k].gross or 0) for k in at]),
        "net": np.array([np.nan if marks[k].net is None else float(marks[k].net or 0) for k in at]),
    }  # fmt: skip
    return RecordedRun(
        facts=_facts(journal, run, marks[-1]), record=record, fills=tuple(row.fill for row in fills),
        paid={row.fill.exec_id: row.commission for row in fills if row.commission is not None},
        ts=ts, equity=equity, daily=daily,
    )  # fmt: skip


def _instruments(journal: "JournalReader", run: "RunRow", filled: Set[InstrumentId]) -> "dict[InstrumentId, Traded]":
    """Return the instruments of the last run, and of earlier ones those that were `filled`."""
    from robotrader.research.recorded import Traded

    known, last = run.started.instruments, {row.instrument: row.last_price for row in journal.positions()}
    every = (*known, *(instrument_of(iid) for iid in sorted(filled - {i.id for i in known})))
    return {
        i.id: Traded(multiplier=i.multiplier, last=i.price(price) if (price := last.get(i.id)) else None) for i in every
    }


def _facts(journal: "JournalReader", run: "RunRow", mark: "MarkRow") -> dict[str, Any]:
    started = run.started
    return {
        "kind": LIVE, "run_id": started.run_id, "mode": started.mode,
        "strategy": ", ".join(c.id for c in started.strategies), "limits": started.limits.profile,
        "code_version": started.code_version, "final_equity": mark.equity,
        "orders": len(journal.orders(limit=_ALL)), "denied": len(journal.denials(limit=_ALL)),
    }  # fmt: skip


def _benchmark(journal: "JournalReader", run: "RunRow", days: Any, state: Path) -> Any:
    """Return what the capital is worth at the days' ends, bought and held at the closes since the first; else NaN."""
    import numpy as np

    from robotrader.research.recorded import buy_and_hold

    ids = tuple(i.id for i in run.started.instruments)
    bars = [bar for iid in ids for bar in journal.bars(iid, limit=1)]
    panel = scan_bars(ids, bars[0].spec, state=state) if bars else None
    if panel is None or not len(panel):
        return np.full(len(days), np.nan)
    panel = panel.rows(int(panel.ts.searchsorted(days[0])), len(panel))
    rows = np.maximum(panel.ts.searchsorted(days, side="right") - 1, 0)
    return buy_and_hold(panel, rows, float(sum(c.capital for c in run.started.strategies)))


def write_pdf(html: str, file: Path) -> None:
    """Print a page through Playwright's Chromium, or the system's.

    Raises
    ------
    ConfigError
        One of them is not installed.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError as error:
        raise ConfigError("a PDF needs Playwright: pip install playwright; or print the page in a browser") from error
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page.set_content(html)
            page.pdf(path=file, format="A4", print_background=True, margin={"top": "12mm", "bottom": "12mm"})
            browser.close()
    except Error as error:
        raise ConfigError(f"a PDF needs Chromium (playwright install chromium): {error.message}") from error
