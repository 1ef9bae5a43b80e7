"""The page of figures: each part of it is written by the target that measured it, and all others keep it."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def write(part: str, text: str) -> None:
    """Replace what stands between `<!-- part -->` and `<!-- /part -->`; ValueError where the page has no such part."""
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    new, found = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{text}\n\n{end}", page, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{PAGE.name} must have {begin} and {end} once, found {found}")
    PAGE.write_text(new, encoding="utf-8")
