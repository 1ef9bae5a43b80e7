"""A strategy to begin with: a file that works and teaches, and its test."""

import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

from msgspec import Struct

from robotrader.model import ConfigError
from robotrader.strategy.loading import LIBRARY

_TEMPLATES = Path(__file__).with_name("starter")
_IMPORTED = {"bar_spec", "manifest", "panel", "parameter", "strategy_id"}
"""Names whose class would hide one that the template imports."""


class Started(Struct, frozen=True, kw_only=True):
    """What was written; `source` names the strategy to every command."""

    source: str
    files: tuple[Path, Path]


def start_strategy(name: str, folder: Path) -> Started:
    """Write NAME.py, a vectorized strategy, and test_NAME.py, which holds it to the rules of `strategy.checks`.

    Raises
    ------
    ConfigError
        The name does not fit, is taken, or a file of that name exists; nothing is written then.
    """
    if why := _unfit(name):
        raise ConfigError(f"a strategy cannot be named {name!r}: {why}")
    class_name, files = _class_of(name), (folder / f"{name}.py", folder / f"test_{name}.py")
    if there := [str(file) for file in files if file.exists()]:
        raise ConfigError(f"{' and '.join(there)} exist already: choose another name or another --folder")
    if find_spec(name) is not None:
        raise ConfigError(f"a strategy cannot be named {name!r}: its file would hide the Python module of that name")
    folder.mkdir(parents=True, exist_ok=True)
    for file, template in zip(files, ("strategy.txt", "test.txt"), strict=True):
        text = Template((_TEMPLATES / template).read_text("utf-8"))
        written = text.substitute(name=name, class_name=class_name, file=files[0].name, test_file=files[1].name)
        file.write_text(written, encoding="utf-8")
    return Started(source=f"{files[0]}:{class_name}", files=files)


def _unfit(name: str) -> str | None:
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        return "expected small letters, digits and single underscores, such as slow_trend"
    if iskeyword(name) or iskeyword(_class_of(name)):
        return "it is a word of Python"
    if name in LIBRARY:
        return "the library has one of that name"
    return "its class would hide one that strategies are made with" if name in _IMPORTED else None


def _class_of(name: str) -> str:
    return name.title().replace("_", "")
