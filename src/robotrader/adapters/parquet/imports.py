"""Files into the lake, through the gate. Uses Polars."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct, field, structs

from robotrader.adapters.parquet.files import Judged, judge_files, warnings_of
from robotrader.adapters.parquet.lake import Lake
from robotrader.adapters.parquet.quarantine import keep
from robotrader.adapters.parquet.tables import Progress
from robotrader.data.frame import Versions
from robotrader.data.quality import Rule
from robotrader.model import BarSpec, CorporateAction, DataError


class Imported(Struct, frozen=True, kw_only=True):
    """What an import did, over all its files.

    Every row read is counted once: written, duplicate (the lake or the file has it with the same values), restated (a
    new version of a bar that was there) or quarantined. `by_rule` counts the quarantined ones; `warnings` and flags
    are of rows that were kept. `failed` maps files that could not be imported to the reason.
    """

    import_id: str
    files: int = 0
    rows_read: int = 0
    rows_written: int = 0
    rows_duplicate: int = 0
    rows_restated: int = 0
    rows_quarantined: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = {}

    @property
    def usable(self) -> bool:
        """Tell whether any row was a bar."""
        return self.rows_read > self.rows_quarantined


def import_files(
    paths: Sequence[Path],
    lake: Lake,
    *,
    symbol: str | None = None,
    spec: BarSpec | None = None,
    actions: Sequence[CorporateAction] = (),
    now: int,
    who: str,
    progress: Progress = lambda _bytes: None,
) -> Imported:
    """Import files one by one; one that cannot be read changes nothing and does not stop the others.

    `now` (ns UTC) is when the bars became known; `actions` explain jumps; `progress` is called with the bytes read.

    Raises
    ------
    DataError
        None of the files could be imported.
    """
    total = Imported(import_id=f"im-{hashlib.sha256(f'{now} {paths}'.encode()).hexdigest()[:12]}")
    failed: dict[str, str] = {}
    read = 0
    for path in paths:
        try:
            judged = judge_files([path], symbol, spec=spec, actions=actions, progress=partial(_add, progress, read))
            total = _sum(total, _store(judged, lake, import_id=total.import_id, now=now))
        except DataError as error:
            if len(paths) == 1:
                raise
            failed[str(path)] = str(error)
        read += path.stat().st_size
        progress(read)
    if len(failed) == len(paths):
        raise DataError(f"none of {len(paths)} files could be imported; {next(iter(failed.values()))}")
    counts = {name: getattr(total, name) for name in Imported.__struct_fields__ if name.startswith("rows_")}
    names = [path.name for path in paths]
    lake.note({"did": "import", "at": now, "who": who, "id": total.import_id, "files": names, **counts})
    return structs.replace(total, failed=failed)


def _store(judged: Judged, lake: Lake, *, import_id: str, now: int) -> Imported:
    """Put one judged file into the lake and its rejects into quarantine."""
    found, source, bad = judged.inspection, judged.sources[0], judged.quarantined
    done = lake.write(
        Versions(frame=judged.good, spec=judged.spec, known=now, source=source, extended=found.flags.get(Rule.EXTENDED))
    )
    keep(lake, bad, judged.bad, spec=judged.spec, import_id=import_id, now=now)
    counts = Counter(q.rule.value for q in bad)
    return Imported(
        import_id=import_id, files=1, rows_read=judged.rows, rows_written=done.new, rows_restated=done.restated,
        rows_duplicate=done.duplicate + len(found.duplicates), rows_quarantined=len(bad), by_rule=counts,
        warnings=warnings_of(found),
    )  # fmt: skip


def _add(progress: Progress, before: int, done: int) -> None:
    progress(before + done)


def _sum(a: Imported, b: Imported) -> Imported:
    names = [name for name in Imported.__struct_fields__ if name not in {"import_id", "failed"}]
    return structs.replace(a, **{name: getattr(a, name) + getattr(b, name) for name in names})
