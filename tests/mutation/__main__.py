"""`make mutate`: mutmut changes one thing at a time where money is guarded; what no test notices must be explained.

Works in a copy of the tree. What mutmut reports as unnoticed is tried once more in a process of its own: mutmut forks
after the imports, and so does not reach what runs while a module is imported. Last line: JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.survivors import Mutant, explained, mutants, second_look, tree
from tests.page import write

LEAST = 0.9
MUTMUT = Path(sys.executable).with_name("mutmut")


def hunt(folder: Path, names: list[str], workers: int) -> list[Mutant]:
    """Run mutmut in `folder` and return what became of each mutant; SystemExit where it could not run."""
    log = folder / "mutmut.log"
    with log.open("w") as out:
        done = subprocess.run([MUTMUT, "run", "--max-children", str(workers), *names], cwd=folder, stdout=out,
                              stderr=subprocess.STDOUT, check=False)  # fmt: skip
    if done.returncode:
        sys.exit(f"mutmut could not run:\n{log.read_text(encoding='utf-8')[-6000:]}")
    return mutants(folder)


def table(found: list[Mutant], known: dict[str, str]) -> tuple[str, bool]:
    """Return the table as Markdown, and whether every module is noticed well enough."""
    lines = [
        "| module | mutants | killed | hang | survive, explained | survive | noticed |",
        "|---|---|---|---|---|---|---|",
    ]
    enough = True
    for module in sorted({m.module for m in found}):
        own = [m for m in found if m.module == module]
        killed, hung = (sum(m.fate == fate for m in own) for fate in ("killed", "timeout"))
        alive = [m for m in own if m.survives]
        told = sum(m.text in known for m in alive)
        share = (killed + hung) / len(own)
        enough = enough and share >= LEAST
        lines.append(f"| `{module}` | {len(own)} | {killed} | {hung} | {told} | {len(alive) - told} | {share:.1%} |")
    return "\n".join(lines), enough


def main() -> int:
    """Hunt all mutants, or those whose mutmut names match a pattern."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="such as 'robotrader.portfolio.*'; default: all")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    started, known = time.monotonic(), explained()
    with tempfile.TemporaryDirectory(prefix="robotrader-mutation-") as name:
        folder = tree(Path(name))
        found = hunt(folder, arguments.names, arguments.workers)
        found = [second_look(folder, m) if m.survives and m.text not in known else m for m in found]
    text, enough = table(found, known)
    alive = {m.text for m in found if m.survives}
    for lost in sorted(alive - known.keys()):
        print(f"SURVIVES {lost}", file=sys.stderr)
    stale = [] if arguments.names else sorted(known.keys() - alive)
    for dead in stale:
        print(f"explained, and does not survive: {dead}", file=sys.stderr)
    print(text, file=sys.stderr)
    failed = len(alive - known.keys()) + len(stale)
    passed = bool(found) and enough and not failed
    if passed and not arguments.names:
        write("reliability.md", "mutation", text)
    print(json.dumps({"target": "mutate", "passed": sum(not m.survives for m in found), "failed": failed,
                      "seconds": round(time.monotonic() - started, 1)}))  # fmt: skip
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
