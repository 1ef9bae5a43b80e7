"""Pages of figures: each part of one is written by the target that measured it, and all others keep it."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def write(page: str, part: str, text: str) -> None:
    """Replace what stands between `<!-- part -->` and `<!-- /part -->`; ValueError where the page has no such part."""
    path = DOCS / page
    begin, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    new, found = re.subn(
        f"{begin}.*?{end}", lambda _: f"{begin}\n\n{text}\n\n{end}", path.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    if found != 1:
        raise ValueError(f"{page} must have {begin} and {end} once, found {found}")
    path.write_text(new, encoding="utf-8")
