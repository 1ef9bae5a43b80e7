"""What the documents tell a reader to do exists: commands, links, files, words, errors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import robotrader.model
import robotrader.ports
from robotrader.cli.main import app
from robotrader.model import RoboTraderError
from tests.architecture.test_workflows import make_targets

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "robotrader"
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GLOSSARY, RUNBOOK, ARCHITECTURE = DOCS / "glossary.md", ROOT / RoboTraderError.runbook, DOCS / "architecture.md"
ADRS = sorted((DOCS / "adr").glob("*.md"))
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
IDENTIFIER = re.compile(r"`([A-Za-z_]\w*)`")
IMAGE_BYTES = 300_000
PROGRAM: Any = typer.main.get_command(app)


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)


def make_commands(page: str) -> set[str]:
    """Name every target that a page's code calls as ``make target``."""
    return {name for code in CODE.findall(page) for name in re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)\b", code)}


def command_faults(page: str) -> list[str]:
    """List the ``robotrader ...`` calls in a page's code that the program would not take."""
    calls = [c for code in CODE.findall(page) for c in re.findall(r"(?<!import )\brobotrader ([a-z-][^`\n#|;]*)", code)]
    return [fault for call in calls for fault in _call_faults(call)]


def _call_faults(call: str) -> Iterator[str]:
    command, words = PROGRAM, call.split()
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            yield f"no such command: robotrader {call}"
            return
        command, words = found, words[1:]
    known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
    yield from (
        f"no such option: {word} in robotrader {call}"
        for word in words
        if re.fullmatch(r"-[a-z]|--[a-z][a-z-]*", word) and word not in known
    )


def anchors(page: str) -> set[str]:
    """Return the fragments that a page's headings give, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: str, folder: Path) -> list[str]:
    """List the relative links of a page in `folder` that lead nowhere, fragments included."""
    return [
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page))
        if not re.match(r"[a-z]+:", link) and not _leads(*link.partition("#")[::2], page=page, folder=folder)
    ]


def _leads(path: str, fragment: str, *, page: str, folder: Path) -> bool:
    target = folder / path
    if not target.exists():
        return False
    if not fragment or (path and target.suffix != ".md"):
        return True
    return fragment in anchors(target.read_text("utf-8") if path else page)


def missing_files(page: str) -> list[str]:
    """List the files of ours that a page's code spans name and that are not there."""
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|md|toml|png))`", prose(page))
    return [name for name in named if not any((place / name).exists() for place in (ROOT, SOURCE, DOCS))]


def glossary_terms(page: str) -> set[str]:
    """Name the terms of a glossary: in backticks in a heading or in the first column of a table."""
    rows = re.findall(r"^(?:#+\s|\|)([^|\n]*)", page, re.MULTILINE)
    return {term for row in rows for term in IDENTIFIER.findall(row)}


def sections(page: str) -> dict[str, str]:
    """Return a page's texts by the heading above them, backticks taken away."""
    parts = re.split(r"^#+ (.*)$", page, flags=re.MULTILINE)
    return {name.replace("`", ""): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def quotes(page: str) -> list[str]:
    """Return what a runbook says that an operator sees: after "You see", and where a list item begins with a quote."""
    paragraphs = re.split(r"\n\n|\n(?=- )", page)
    texts = [text.partition("You see")[2] for text in paragraphs]
    texts += [text.partition(": ")[0] for text in paragraphs if text.startswith("- `")]
    return [quote for text in texts for quote in re.findall(r"`([^`]+)`", text)]


def messages() -> str:
    """Return the source with texts joined that go on in the next line, and alarms spelled out."""
    source = "\n".join(path.read_text("utf-8") for path in sorted(SOURCE.rglob("*.py")))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    return joined + "".join(joined.replace("{alarm}", alarm) for alarm in ("zombie", "overfill"))


def error_classes() -> set[str]:
    """Name the errors that an operator may meet."""
    modules = (robotrader.model.errors, robotrader.ports)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {cls.__name__ for cls in found if issubclass(cls, RoboTraderError)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_names_existing_commands_and_files(path: Path) -> None:
    page = path.read_text("utf-8")
    assert make_commands(page) <= make_targets()
    assert command_faults(page) == []
    assert broken_links(page, path.parent) == []
    if path != ROOT / "CHANGELOG.md":  # it tells of what was
        assert missing_files(page) == []


def test_wrong_commands_and_links_are_found() -> None:
    page = "Run `make nonsense`:\n```sh\nmake -s demo\n```\nand make way for [there](nowhere.md#x), "
    page += "[web](https://example.org), [here](#x), [home](README.md), [top](#a-b)\n# A `b`?\n"
    assert make_commands(page) == {"nonsense", "demo"}
    assert broken_links(page, ROOT) == ["nowhere.md#x", "#x"]


def test_wrong_calls_of_the_program_are_found() -> None:
    for good in ("db verify --state x", "--help", "why SYMBOL", "backtest x -p a=1", "halt --reason 'a b'"):
        assert command_faults(f"`robotrader {good}`") == []
    assert command_faults("`import robotrader as rt`") == []
    for bad in ("fly", "db fly", "status --fly", "backtest x -z", "demo --days 3 --fly"):
        assert len(command_faults(f"text\n```sh\nrobotrader {bad}  # comment\n```\n")) == 1, bad


def test_missing_files_are_found() -> None:
    assert missing_files("`engine/trader.py` `docs/glossary.md` `engine/nothing.py` `path/to/x` `a/b.csv`") == [
        "engine/nothing.py"
    ]


def test_the_glossary_is_the_vocabulary() -> None:
    assert glossary_terms(GLOSSARY.read_text("utf-8")) == set(robotrader.model.__all__)


def test_glossary_terms_come_from_headings_and_first_columns() -> None:
    page = (
        "## `Fill` and `Commission`\ntext with `Other`\n\n| type | meaning |\n|---|---|\n| `Order` | see `Nothing` |\n"
    )
    assert glossary_terms(page) == {"Fill", "Commission", "Order"}


def test_the_map_shows_every_folder_and_module_at_the_top() -> None:
    modules = [p for p in SOURCE.iterdir() if not p.name.startswith("__") and p.suffix != ".typed"]
    text = sections(ARCHITECTURE.read_text("utf-8"))["3. Folders and imports"]
    shown = re.findall(r"^  (\S+)  ", text, re.MULTILINE)
    assert sorted(shown) == sorted(p.name + "/" * p.is_dir() for p in modules)


def test_every_error_has_a_section_in_the_runbook() -> None:
    assert error_classes() >= {"ConfigError", "JournalBusy", "InvariantViolation"}
    assert error_classes() <= set(sections(RUNBOOK.read_text("utf-8")))


def test_the_runbook_quotes_messages_that_exist() -> None:
    quoted = quotes(RUNBOOK.read_text("utf-8"))
    assert len(quoted) > 20
    assert [quote for quote in quoted if quote not in messages()] == []


def test_quotes_are_found() -> None:
    page = "You see: `one`,\n`two`.\n\nSee `three`. You see in the log: `four`.\n"
    page += "- `five` for `x`: do `six`\n- Do `seven`\n"
    assert quotes(page) == ["one", "two", "four", "five", "x"]
    assert "a message that nobody writes" not in messages()


def test_decisions_are_numbered_and_say_context_decision_consequences() -> None:
    assert [path.name[:4] for path in ADRS] == [f"{n:04d}" for n in range(1, len(ADRS) + 1)]
    for path in ADRS:
        page = path.read_text("utf-8")
        assert page.startswith(f"# {path.name[:4]}. ")
        assert list(sections(page))[1:] == ["Context", "Decision", "Consequences"]
        assert len(page.splitlines()) <= 60, f"{path.name} is longer than a page"


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "images").glob("*"))
    assert pictures
    assert [p.name for p in pictures if not 50_000 < p.stat().st_size < IMAGE_BYTES] == []
