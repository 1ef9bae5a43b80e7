"""`make differential`: our engines against four that we did not write; the last line is one JSON object.

`--only ENGINE` asks one of them, `--write` puts the table into docs/differential.md. The engines live in environments
of their own, in .venv-peers or the folder that the variable PEERS_VENV names.
"""

# ruff: noqa: T201 - it prints its results
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from tests.differential.engines.cases import CASES, FILLS, Case, ours, prepared
from tests.differential.engines.drivers.exchange import Job, write_job
from tests.differential.engines.ledger import Record, Rules, play, same
from tests.differential.engines.rules import RULES, explanation

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "differential.md"
MARKS = ("<!-- table -->", "<!-- end of table -->")
FAILED = "**DIFFERS**"
FAST = "robotrader, fast"
_TIMEOUT_S = 600


class Engine(Struct, frozen=True):
    """A foreign engine: its environment and driver, the moments at which it can fill, how many instruments."""

    name: str
    environment: str
    driver: str
    fills: tuple[str, ...]
    single: bool = False

    @property
    def python(self) -> Path:
        """Return its interpreter, which may be missing."""
        return Path(os.environ.get("PEERS_VENV", ROOT / ".venv-peers")) / self.environment / "bin" / "python"

    def play(self, jobs: Sequence[Job]) -> dict[str, Record]:
        """Return what it did with each job, by key; FileNotFoundError without its environment."""
        if not self.python.exists():
            raise FileNotFoundError(f"{self.name} has no environment at {self.python}: run `make peers-env`")
        with tempfile.TemporaryDirectory() as folder:
            for job in jobs:
                write_job(Path(folder), job)
            command = (
                str(self.python),
                "-W",
                "ignore",
                "-m",
                f"tests.differential.engines.drivers.{self.driver}",
                folder,
            )
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
            if done.returncode:
                raise RuntimeError(f"{self.name} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
            answers = {path.stem: json.loads(path.read_text("utf-8")) for path in Path(folder).glob("*.json")}
        return {key: ([(r, k, u, p) for r, k, u, p in answer["fills"]], answer["equity"])
                for key, answer in answers.items()}  # fmt: skip


ENGINES = (
    Engine("backtesting.py", "backtesting", "backtesting_py", ("next_open", "this_close"), single=True),
    Engine("vectorbt", "vectorbt", "vectorbt_arrays", FILLS),
    Engine("bt", "bt", "bt_tree", ("this_close", "next_close")),
    Engine("nautilus_trader", "nautilus", "nautilus", ("this_close", "next_close")),
)


def own_jobs(cases: Sequence[Case]) -> tuple[dict[str, Job], dict[str, str]]:
    """Play the cases on both engines of ours; return the jobs by key and a verdict for each case's name.

    `equal` says that event engine, fast engine and the plain ledger agree at every moment of filling.
    """
    jobs, verdicts = dict[str, Job](), dict[str, str]()
    for case in cases:
        played, verdicts[case.name] = prepared(case), "equal"
        for fill in FILLS:
            job = played.job(case, fill)
            jobs[job.key] = job
            event = ours(played, fill, "event")
            if not (same(event, ours(played, fill, "fast")) and same(event, play(job, Rules()))):
                verdicts[case.name] = FAILED
    return jobs, verdicts


def judged(engine: Engine, jobs: Sequence[Job]) -> dict[str, str]:
    """Let an engine play the jobs that it can; return by key `equal`, the rules that explain it, or that it differs."""
    mine = [job for job in jobs if job.fill in engine.fills and not (engine.single and len(job.symbols) > 1)]
    found, out = engine.play(mine), dict[str, str]()
    for job in mine:
        names = explanation(job, engine.name, found[job.key])
        out[job.key] = FAILED if names is None else "+".join(names) or "equal"
        if names is None:
            print(f"{engine.name} {job.key}: {difference(play(job, Rules()), found[job.key])}", file=sys.stderr)
    return out


def difference(own: Record, found: Record) -> str:
    """Say where two records part."""
    fills = next((f"{a}, not {b}" for a, b in zip(found[0], own[0], strict=False) if a != b), "the same fills")
    return f"{len(found[0])} fills, not {len(own[0])}; {fills}; equity {found[1]:.2f}, not {own[1]:.2f}"


def table(rows: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield the lines of a table: a row for each case, a column for each engine and moment."""
    columns = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    yield f"| strategy, data, size | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells.get(column, '–') for column in columns)} |"


def legend() -> Iterator[str]:
    """Yield the lines of the table of rules."""
    yield "| engine | rule | what it does | evidence |"
    yield "|---|---|---|---|"
    for rule in RULES:
        yield f"| {rule.engine} | {rule.name} | {rule.sentence} | {rule.evidence} |"


def compared(engines: Sequence[Engine], cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    """Return the verdicts by case's name and column."""
    jobs, own = own_jobs(cases)
    rows = {name: {FAST: verdict} for name, verdict in own.items()}
    for engine in engines:
        print(f"{engine.name} ...", file=sys.stderr, flush=True)
        verdicts = judged(engine, list(jobs.values()))
        for case in cases:
            for fill in engine.fills:
                verdict = verdicts.get(f"{CASES.index(case):02d}-{fill}")
                if verdict:
                    rows[case.name][f"{engine.name}, {fill.replace('_', ' ')}"] = verdict
    return rows


def unused(rows: dict[str, dict[str, str]], engines: Sequence[Engine]) -> list[str]:
    """List the rules of these engines that explain nothing: they do not belong in the list."""
    said = {(column.partition(",")[0], name)
            for cells in rows.values() for column, cell in cells.items() for name in cell.split("+")}  # fmt: skip
    asked = {engine.name for engine in engines}
    return [f"{r.engine} {r.name}" for r in RULES if r.engine in asked and (r.engine, r.name) not in said]


def main() -> int:
    """Compare, print the table and the JSON line; 1 when a cell differs or a rule explains nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[engine.name for engine in ENGINES])
    parser.add_argument("--write", action="store_true")
    options, started = parser.parse_args(), time.perf_counter()
    engines = [engine for engine in ENGINES if options.only in (None, engine.name)]
    try:
        rows = compared(engines, CASES)
    except (FileNotFoundError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    lines, idle = list(table(rows)), unused(rows, engines)
    print("\n".join([*lines, *(f"explains nothing: {name}" for name in idle)]))
    if options.write and not options.only:
        head, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
        tail = rest.partition(MARKS[1])[2]
        body = "\n".join([MARKS[0], "", *lines, "", "## Rules", "", *legend(), "", MARKS[1]])
        PAGE.write_text(head + body + tail, encoding="utf-8")
    cells = [cell for row in rows.values() for cell in row.values()]
    failed = cells.count(FAILED) + len(idle)
    print(json.dumps({"target": "differential", "passed": len(cells) - cells.count(FAILED), "failed": failed,
                      "equal": cells.count("equal"), "seconds": round(time.perf_counter() - started, 1)}))  # fmt: skip
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
