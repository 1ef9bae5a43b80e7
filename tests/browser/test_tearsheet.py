"""The tearsheet as people see it: readable in the dark, on a phone, without a network or a script."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from robotrader.research.run_folder import write_run
from tests.integration.research.test_tearsheet import played, walk

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


@pytest.fixture(scope="module", params=[2, 400])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    panel = walk(request.param)
    run, result = played(panel)
    write_run(folder, run.facts, panel, result, configs=run.record.configs)
    return folder


@pytest.fixture(params=[("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)], ids=str)
def sheet(request: pytest.FixtureRequest, browser: Browser, folder: Path) -> Iterator[Page]:
    theme, width = request.param
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: pytest.fail(message.text))
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto((folder / "tearsheet.html").as_uri())
    yield page
    context.close()
    assert len(asked) == 1


def test_every_text_is_readable(sheet: Page) -> None:
    assert sheet.evaluate(CONTRAST) == []


def test_only_tables_scroll_sideways(sheet: Page) -> None:
    assert sheet.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_charts_are_drawn_in_the_colours_of_the_theme(sheet: Page) -> None:
    colours = sheet.eval_on_selector_all(
        "svg.chart text, svg.chart path",
        "all => all.map(e => getComputedStyle(e)[e.tagName == 'text' ? 'fill' : 'stroke'])",
    )
    assert colours
    assert "none" not in colours
    assert "rgb(0, 0, 0)" not in colours  # what a variable that is not known would be drawn in


def test_every_chart_has_a_name_and_every_table_a_caption(sheet: Page) -> None:
    charts = sheet.get_by_role("img")
    assert charts.count() == 7
    names = {chart.locator("title").first.text_content() for chart in charts.all()}
    assert len(names) == 7
    assert 6 <= sheet.locator("table").count() == sheet.locator("table caption").count()
    assert sheet.get_by_role("region").count() == 10
    assert sheet.locator("h1").count() == 1
