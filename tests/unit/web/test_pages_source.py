"""What the strict content policy and the house ban in the page's sources; the check itself is shown to bite."""

import re
from pathlib import Path

import pytest

import robotrader.web

WEB = Path(robotrader.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
SCRIPTS = sorted((WEB / "static" / "js").glob("*.js"))
STYLES = sorted((WEB / "static" / "css").glob("*.css"))

BANNED = {
    "markup made of text": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment",
    "code made of text": r"\beval\(|new Function|setTimeout\(\s*['\"]",
    "unescaped value": r"\|\s*safe\b|\bMarkup\b|autoescape\s+false",
    "inline style": r"<style\b|\sstyle\s*=\s*[\"']|setAttribute\(\s*[\"']style",
    "inline handler": r"\son[a-z]+\s*=\s*[\"']",
    "inline script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "other host": r"(?<!xmlns=[\"'])(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}",
}


def offences(text: str) -> list[str]:
    text = re.sub(r"xmlns='[^']*'", "", text)
    return [name for name, pattern in BANNED.items() if re.search(pattern, text)]


@pytest.mark.parametrize("path", TEMPLATES + SCRIPTS + STYLES, ids=lambda p: p.name)
def test_sources_keep_to_the_policy(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "<p>{{ reason | safe }}</p>", "<p style='color:red'>", "<button onclick=\"go()\">", "<script>go()</script>",
        "<style>p{}</style>", "box.innerHTML = text", "eval(code)", "<script src='//cdn.example.com/x.js'></script>",
        "import x from 'https://esm.sh/x'", "e.setAttribute('style', s)",
    ],
)  # fmt: skip
def test_the_check_bites(text: str) -> None:
    assert offences(text)


def test_there_is_something_to_check() -> None:
    assert len(TEMPLATES) >= 6
    assert len(SCRIPTS) >= 6


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_every_script_and_style_that_a_template_names_is_ours(path: Path) -> None:
    for name in re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", path.read_text(encoding="utf-8")):
        if "/vendor/" not in name:  # built from npm, proved by scripts/build_assets.py
            assert (WEB / name.removeprefix("/")).is_file()


def test_every_table_has_a_caption_and_scoped_headers() -> None:
    text = (WEB / "templates" / "_panels.html").read_text(encoding="utf-8")
    assert text.count("<table") == text.count("<caption")
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", text))
