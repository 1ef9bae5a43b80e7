"""Hold the corpus and the library to all rules; a miss or a false alarm fails. The last line is JSON."""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from robotrader.strategy.checks import RULES, Outcome, RuleResult
from tests.strategies.judged import Subject, answers_elsewhere, judged, subjects

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategy-checks.md"

Judged = tuple[Subject, Sequence[RuleResult]]


def table(rows: Sequence[Judged]) -> str:
    """Return strategies by rule as Markdown: bold where a strategy is caught by the rule that is about its fault."""
    lines = ["| | " + " | ".join(RULES) + " | |", "|---|" + "---|" * len(RULES) + "---|"]
    lines += [
        f"| {subject.name} | {' | '.join(_mark(subject, result) for result in found)} | {subject.doc} |"
        for subject, found in rows
    ]
    return "\n".join(lines)


def _mark(subject: Subject, result: RuleResult) -> str:
    if result.outcome is not Outcome.FAILED:
        return "·" if result.outcome is Outcome.PASSED else "–"
    return "**fails**" if result.rule == subject.rule else "fails"


def page(rows: Sequence[Judged]) -> str:
    """Return both tables, and how many are as they have to be."""
    parts = (("broken", [r for r in rows if r[0].rule]), ("clean", [r for r in rows if not r[0].rule]))
    right = {name: sum(map(as_expected, part)) for name, part in parts}
    return "\n\n".join(
        f"{right[name]} of {len(part)} {name} strategies are judged as they have to be.\n\n{table(part)}"
        for name, part in parts
    )


def as_expected(row: Judged) -> bool:
    """Tell whether just the rules that have to catch it do."""
    return {result.rule for result in row[1] if result.outcome is Outcome.FAILED} == row[0].caught_by


def write(text: str) -> None:
    """Replace what stands between the marks of the page."""
    begin, end = "<!-- corpus -->", "<!-- /corpus -->"
    old = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n\n{text}\n\n{end}", old, flags=re.DOTALL), "utf-8")


def main() -> int:
    """Judge all, print the tables, and write them into the page with `--write`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    writes, started, asked = parser.parse_args().write, time.monotonic(), subjects()
    elsewhere = answers_elsewhere(asked)
    rows = [(subject, judged(subject, elsewhere, time.perf_counter)) for subject in asked]
    print(page(rows))
    wrong = [subject.name for subject, found in rows if not as_expected((subject, found))]
    if writes and not wrong:
        write(page(rows))
    seconds = round(time.monotonic() - started, 1)
    done = {"target": "strategy-check", "passed": len(rows) - len(wrong), "failed": len(wrong), "wrong": wrong}
    print(json.dumps({**done, "seconds": seconds}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
