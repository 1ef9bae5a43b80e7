"""Every size limit bites, and the source keeps them all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import sizes

STATEMENT = "x = 1\n"


def body(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * lines


SAMPLES: dict[str, Callable[[int], str]] = {
    "lines of the module": lambda n: STATEMENT * n,
    "lines of class": lambda n: "class C:\n" + "    x = 1\n" * (n - 1),
    "public methods": lambda n: "class C:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(n)),
    "lines in the body": body,
    "positional arguments": lambda n: f"def f({', '.join(f'a{i}' for i in range(n))}): ...\n",
}
LIMITS = {
    "lines of the module": sizes.MODULE_LINES,
    "lines of class": sizes.CLASS_LINES,
    "public methods": sizes.PUBLIC_METHODS,
    "lines in the body": sizes.FUNCTION_LINES,
    "positional arguments": sizes.POSITIONAL_ARGUMENTS,
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_allows_its_value_and_not_one_more(limit: str) -> None:
    sample, value = SAMPLES[limit], LIMITS[limit]
    assert sizes.oversized(sample(value), "m.py") == []
    (found,) = sizes.oversized(sample(value + 1), "m.py")
    assert f"{value + 1} {limit}" in found


def test_a_function_may_hide_nowhere() -> None:
    nested = f"class C:\n    def m(self):\n        if self:\n            async def g({', '.join('abcde')}): ...\n"
    assert sizes.oversized(nested, "m.py")


def test_self_private_methods_keywords_and_docstrings_are_free() -> None:
    source = '''class C:
    """A class."""
    def m(self, a, b, c, d, *, e, f): ...
    @staticmethod
    def s(a, b, c, d): ...
    def _private(self): ...
''' + "".join(f"    def _m{i}(self): ...\n" for i in range(20))
    assert sizes.oversized(source, "m.py") == []
    documented = body(sizes.FUNCTION_LINES).replace("\n", '\n    """One.\n\n    Two.\n    """\n', 1)
    assert sizes.oversized(documented, "m.py") == []


def test_the_source_keeps_the_limits() -> None:
    modules: list[Path] = sorted(sizes.SRC.rglob("*.py"))
    assert modules
    found = [line for m in modules for line in sizes.oversized(m.read_text("utf-8"), str(m.relative_to(sizes.SRC)))]
    assert not found, "\n".join(found)
