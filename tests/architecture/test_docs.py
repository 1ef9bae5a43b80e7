"""What the documents tell a reader to do exists: commands, links, words."""

import re
from pathlib import Path

import pytest

import robotrader.model
from tests.architecture.test_workflows import make_targets

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GLOSSARY = ROOT / "docs" / "glossary.md"
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
IDENTIFIER = re.compile(r"`([A-Za-z_]\w*)`")


def make_commands(page: str) -> set[str]:
    """Name every target that a page's code calls as ``make target``."""
    return {name for code in CODE.findall(page) for name in re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)\b", code)}


def broken_links(page: str, folder: Path) -> list[str]:
    """List the relative links of a page in `folder` that lead nowhere."""
    links = re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    return [link for link in local if not (folder / link).exists()]


def glossary_terms(page: str) -> set[str]:
    """Name the terms of a glossary: in backticks in a heading or in the first column of a table."""
    rows = re.findall(r"^(?:#+\s|\|)([^|\n]*)", page, re.MULTILINE)
    return {term for row in rows for term in IDENTIFIER.findall(row)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_names_existing_commands_and_files(path: Path) -> None:
    page = path.read_text("utf-8")
    assert make_commands(page) <= make_targets()
    assert broken_links(page, path.parent) == []


def test_wrong_commands_and_links_are_found() -> None:
    page = "Run `make nonsense`:\n```sh\nmake -s demo\n```\nand make way for [there](nowhere.md#x), "
    page += "[web](https://example.org), [here](#x), [home](README.md)"
    assert make_commands(page) == {"nonsense", "demo"}
    assert broken_links(page, ROOT) == ["nowhere.md"]


def test_the_glossary_is_the_vocabulary() -> None:
    if not GLOSSARY.exists():
        pytest.skip("docs/glossary.md is not written yet")
    assert glossary_terms(GLOSSARY.read_text("utf-8")) == set(robotrader.model.__all__)


def test_glossary_terms_come_from_headings_and_first_columns() -> None:
    page = (
        "## `Fill` and `Commission`\ntext with `Other`\n\n| type | meaning |\n|---|---|\n| `Order` | see `Nothing` |\n"
    )
    assert glossary_terms(page) == {"Fill", "Commission", "Order"}
