"""`make scenarios`: play every scenario, then under its mutant, and print what held; one line of JSON at the end.

When all held, the figures that were measured on the way become a part of docs/reliability.md.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.page import write
from tests.parallel import workers
from tests.scenarios.judge import failures
from tests.scenarios.measured import Measured, measure, table
from tests.scenarios.mutants import MUTANTS
from tests.scenarios.play import play
from tests.scenarios.script import all_files, read


def run(file: Path) -> tuple[str, list[str], bool, Measured]:
    """Return a scenario's name, what did not hold, whether it fails under its mutant, and what was measured."""
    logging.getLogger("robotrader").setLevel(logging.CRITICAL)
    logging.getLogger("ib_async.client").setLevel(logging.CRITICAL)
    scenario = read(file)
    with tempfile.TemporaryDirectory() as folder:
        outcome = play(scenario, Path(folder))
    wrong, figures = failures(scenario, outcome), measure(scenario, outcome)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        MUTANTS[scenario.mutant](patch)
        killed = bool(failures(scenario, play(scenario, Path(folder))))
    return f"{scenario.id} {scenario.title}", wrong, killed, figures


def main() -> int:
    """Play those whose file name begins with one of the arguments, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", help="S14 S27 ...; default: all")
    ids = parser.parse_args().ids
    wanted, measured = tuple(ids) or ("",), []
    started, failed, files = time.monotonic(), 0, [f for f in all_files() if f.name.startswith(wanted)]
    with workers() as pool:
        for name, wrong, killed, figures in pool.map(run, files):
            failed += bool(wrong) or not killed
            measured.append(figures)
            verdict = "held" if not wrong else "FAILED: " + "; ".join(wrong)
            print(f"{name}: {verdict}, {'fails' if killed else 'HOLDS TOO'} under its mutant", file=sys.stderr)
    if not ids and not failed:
        write("reliability.md", "incidents", table(measured))
    print(json.dumps({"target": "scenarios", "passed": len(files) - failed, "failed": failed,
                      "seconds": round(time.monotonic() - started, 1)}))  # fmt: skip
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
