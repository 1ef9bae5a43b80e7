"""What README and guide show is run: files are written, commands executed, outputs compared.

A fence's first line says what it is: ``python file=NAME`` is written to NAME, ``sh run`` is executed (``sh run fails``
must fail), ``text output`` must appear in the output of the command before it, line by line; ``…`` stands for
anything. The blocks of a page share one folder.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "guide").rglob("*.md"))
PAGES = [ROOT / "README.md", *GUIDES, *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMEOUT_S = 300  # of one block, on a machine that does much else


class Snippet(Struct, frozen=True):
    """One fenced block: language, what to do with it, content."""

    language: str
    marks: str
    text: str

    @property
    def is_marked(self) -> bool:
        return bool(re.fullmatch(r"file=\S+|run|run fails|output", self.marks))


def snippets(page: str) -> list[Snippet]:
    """Return all fenced blocks of a page, in order."""
    return [Snippet(*found) for found in FENCE.findall(page)]


def run(text: str, folder: Path) -> tuple[int, str]:
    """Run a block in bash and return exit code and everything it printed; the first failing line ends it."""
    program = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env={**os.environ, **program}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def missing(expected: str, output: str) -> str | None:
    """Return the first expected line that does not follow in the output, None when all are there in order."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for wanted in filter(None, (" ".join(line.split()) for line in expected.splitlines())):
        pattern = ".*".join(map(re.escape, wanted.split("…")))
        if not any(re.fullmatch(pattern, line) for line in lines):
            return wanted
    return None


def faults(page: str, folder: Path) -> Iterator[str]:
    """Carry out a page in a folder and yield what is wrong."""
    output = ""
    for snippet in snippets(page):
        if snippet.marks.startswith("file="):
            (folder / snippet.marks.removeprefix("file=")).write_text(snippet.text, encoding="utf-8")
        elif snippet.marks.startswith("run"):
            code, output = run(snippet.text, folder)
            if (code != 0) is not snippet.marks.endswith("fails"):
                yield f"exit code {code}:\n{snippet.text}\n{output}"
                return
        elif snippet.marks == "output" and (wanted := missing(snippet.text, output)) is not None:
            yield f"not in the output: {wanted}\n{output}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_works_as_it_says(path: Path, tmp_path: Path) -> None:
    page = path.read_text("utf-8")
    assert any(s.marks.startswith("run") for s in snippets(page)), "nothing to run"
    assert list(faults(page, tmp_path)) == []


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_guide_shows_nothing_that_is_not_run(path: Path) -> None:
    assert [s for s in snippets(path.read_text("utf-8")) if not s.is_marked] == []


def page_of(*blocks: tuple[str, str]) -> str:
    return "text\n".join(f"```{head}\n{body}\n```\n" for head, body in blocks)


GOOD = [
    ("python file=x.py", "print('a  b 1.5')\nprint('c')"),
    ("sh run", "python x.py"),
    ("text output", "a b …\nc"),
    ("sh run fails", "echo first\nfalse\necho never"),
    ("text output", "first"),
    ("sh", "make nothing of this"),
]


def test_a_good_page_has_no_fault(tmp_path: Path) -> None:
    assert list(faults(page_of(*GOOD), tmp_path)) == []


@pytest.mark.parametrize(
    "blocks",
    [
        [("sh run", "false\ntrue")],
        [("sh run", "false | true")],
        [("sh run fails", "true")],
        [("sh run", "robotrader no-such-command")],
        [("sh run", "echo c; echo a"), ("text output", "a\nc")],
        [("sh run", "echo ab"), ("text output", "a")],
        [("sh run fails", "false; echo never"), ("text output", "never")],
    ],
)
def test_a_fault_is_found(blocks: list[tuple[str, str]], tmp_path: Path) -> None:
    assert list(faults(page_of(*blocks), tmp_path))


def test_a_misspelt_mark_is_no_mark() -> None:
    page = page_of(("sh run", "x"), ("sh runs", "x"), ("sh", "x"))
    assert [snippet.is_marked for snippet in snippets(page)] == [True, False, False]
