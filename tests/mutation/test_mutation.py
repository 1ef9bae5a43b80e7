"""`make mutate` mutates what it says, judges as it says, and its explanations are of code that exists."""

from importlib import import_module
from typing import Any

from tests.mutation.__main__ import LEAST, table
from tests.mutation.survivors import Mutant, explained
from tests.mutation.undecorate import undecorated

DECORATED = '''
def twice(times):
    return lambda function: lambda *given: function(*given) * times

@twice(2)
@twice(
    3
)
def answer(x):
    return x + 1

class Account:
    @property
    def worth(self):
        """Return it."""
        return 7

    @staticmethod
    def name():
        return "a"
'''


def test_a_module_laid_bare_does_the_same_and_has_no_decorators_left() -> None:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    exec(DECORATED, before)  # noqa: S102 - it stands above
    exec(undecorated(DECORATED), after)  # noqa: S102
    for made in (before, after):
        assert (made["answer"](1), made["Account"]().worth, made["Account"].name()) == (12, 7, "a")
    assert [line.strip() for line in undecorated(DECORATED).splitlines() if "@" in line] == ["@staticmethod"]
    assert after["answer_bare"](1) == 2


def test_every_explained_survivor_is_of_a_function_that_exists_and_has_a_reason() -> None:
    for text, why in explained().items():
        package, module, *path = text.partition(":")[0].split(".")
        found = import_module(f"robotrader.{package}.{module}")
        for name in path:
            found = getattr(found, name)
        assert callable(found)
        assert why.endswith(".")


def mutants(killed: int, *others: tuple[str, str]) -> list[Mutant]:
    made = [Mutant(f"k{n}", "src/robotrader/risk/gate.py", "", "killed") for n in range(killed)]
    return [*made, *(Mutant(text, "src/robotrader/risk/gate.py", text, fate) for text, fate in others)]


def test_a_module_is_noticed_well_enough_from_nine_of_ten_on_and_a_test_that_hangs_has_noticed() -> None:
    known = {"a": "Why."}
    text, enough = table(mutants(8, ("loop", "timeout"), ("a", "survived")), known)
    assert enough
    assert f"| `risk.gate` | 10 | 8 | 1 | 1 | 0 | {LEAST:.1%} |" in text
    text, enough = table(mutants(8, ("b", "survived"), ("a", "no tests")), known)
    assert not enough
    assert "| `risk.gate` | 10 | 8 | 0 | 1 | 1 | 80.0% |" in text
