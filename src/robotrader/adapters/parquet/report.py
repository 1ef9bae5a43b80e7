"""What the gate finds in a dataset, as a report. Uses Polars."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from msgspec import Struct

from robotrader.adapters.calendar import sessions_of
from robotrader.adapters.parquet.datasets import LAKE, files_of, is_lake, sample_symbols
from robotrader.adapters.parquet.files import judge_files, warnings_of
from robotrader.adapters.parquet.lake import Lake
from robotrader.adapters.parquet.quarantine import kept
from robotrader.adapters.parquet.samples import sample_bars
from robotrader.data.frame import BarFrame
from robotrader.data.inspection import Inspection, inspect
from robotrader.data.quality import Quarantined, Rule
from robotrader.model import BarSpec, CorporateAction

SHOWN = 100
"""Quarantined rows that a report spells out; the counts are of all."""


class Gap(Struct, frozen=True, kw_only=True):
    """A stretch without bars that the calendar expects, up to the bar at `until` (ns UTC)."""

    symbol: str
    until: int
    detail: str


class SetAside(Struct, frozen=True, kw_only=True):
    """A quarantined row; `id` releases it, where it was imported."""

    id: str | None
    source: str
    row: int
    rule: str
    detail: str


class Report(Struct, frozen=True, kw_only=True):
    """What a dataset is worth: every row is ok, quarantined or a duplicate; `conflicts` are among the quarantined.

    `restated` counts older versions of bars; `warnings`, by rule, bars that are ok and worth a look.
    """

    rows: int
    ok: int
    quarantined: int
    by_rule: Counter[str]
    gaps: tuple[Gap, ...]
    duplicates: int
    conflicts: int
    restated: int
    warnings: Counter[str]
    set_aside: tuple[SetAside, ...]


def check_dataset(name: str, *, symbol: str | None, state: Path, actions: Sequence[CorporateAction] = ()) -> Report:
    """Judge a dataset (see `datasets.load`) by the rules of today; `actions` explain jumps.

    What breaks a rule in the lake was released, or came before the rule: it is ok and counts as a warning.
    """
    if is_lake(name):
        return _check_lake(Lake(state / LAKE), name, symbol, actions)
    if name.startswith("sample:"):
        bars, _ = sample_bars(sample_symbols(name))
        return _report((), inspect(bars, spec=BarSpec.DAY, sessions=sessions_of(bars.start)), bars)
    judged = judge_files(files_of(name, state), symbol, actions=actions)
    return _report(judged.quarantined, judged.inspection, judged.good)


def _report(bad: Sequence[Quarantined], found: Inspection, good: BarFrame) -> Report:
    by_rule = Counter(q.rule.value for q in bad)
    return Report(
        rows=len(good) + len(bad) + len(found.duplicates), ok=len(good), quarantined=len(bad), by_rule=by_rule,
        gaps=_gaps(found, good), duplicates=len(found.duplicates), conflicts=by_rule[Rule.CONFLICT], restated=0,
        warnings=warnings_of(found),
        set_aside=tuple(SetAside(id=None, source=q.source, row=q.row, rule=q.rule, detail=q.detail)
                        for q in bad[:SHOWN]),
    )  # fmt: skip


def _check_lake(lake: Lake, name: str, symbol: str | None, actions: Sequence[CorporateAction]) -> Report:
    waiting = kept(lake).filter(pl.col("released").is_null())
    by_rule, warnings = Counter(waiting["rule"].to_list()), Counter[str]()
    picked = lake.pick(name) if name != LAKE or lake.holdings() else ()
    contents = lake.contents(h for h in picked if symbol is None or h.goes_by(symbol))
    gaps: list[Gap] = []
    for content in contents:
        bars = lake.scan([content.instrument], content.spec)
        found = inspect(bars, spec=content.spec, sessions=sessions_of(bars.start), actions=actions)
        gaps += _gaps(found, bars)
        warnings.update({rule.value: n for rule, n in found.by_rule.items() if n})
    ok = sum(content.bars for content in contents)
    names = SetAside.__struct_fields__
    return Report(
        rows=ok + len(waiting), ok=ok, quarantined=len(waiting), by_rule=by_rule, gaps=tuple(gaps), duplicates=0,
        conflicts=by_rule[Rule.CONFLICT], restated=sum(c.versions - c.bars for c in contents), warnings=warnings,
        set_aside=tuple(SetAside(**row) for row in waiting.head(SHOWN).select(names).iter_rows(named=True)),
    )  # fmt: skip


def _gaps(found: Inspection, bars: BarFrame) -> tuple[Gap, ...]:
    where = {int(row): k for k, row in enumerate(bars.row)} if found.by_rule.get(Rule.GAP) else {}
    return tuple(
        Gap(symbol=bars.symbols[int(bars.symbol[where[w.row]])], until=int(bars.start[where[w.row]]), detail=w.detail)
        for w in found.warnings
        if w.rule is Rule.GAP
    )
