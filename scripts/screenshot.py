"""Take a picture of a page: ``python scripts/screenshot.py URL OUT.png [--width 1440] [--theme dark]``.

URL may be the dashboard's one-time link. Chromium is the system's own (``RT_CHROMIUM``); nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("RT_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def main() -> int:
    """Open the page, wait until it is drawn, save the picture; 1 when there is no browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    parser.add_argument("--viewport", action="store_true", help="the visible part only, not the full page")
    options = parser.parse_args()
    if not Path(CHROMIUM).exists():
        print(f"screenshot: no browser at {CHROMIUM}; install Debian's chromium or set RT_CHROMIUM", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": options.width, "height": options.height}, color_scheme=options.theme)
        page.goto(options.url)
        if "/login#" in options.url:
            page.wait_for_url("**/")
        page.wait_for_load_state("load")
        if page.locator("#stream").count():
            page.wait_for_selector('#stream[data-stream="live"]')
        page.screenshot(path=options.out, full_page=not options.viewport)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
