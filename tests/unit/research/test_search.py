"""Ranges of parameters, and the sets that are made of them."""

import pytest

from robotrader.model import ConfigError
from robotrader.research.search import parse_space, search


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("fast=5:20:5", (5, 10, 15, 20)), ("fast=5:19:5", (5, 10, 15)), ("fast=3:5", (3, 4, 5)),
        ("fast=0.1:0.3:0.1", (0.1, 0.2, 0.3)), ("fast=7", (7,)), ("fast=8,2,8", (8, 2)), ("fast=1.0", (1.0,)),
        ("fast=-1:1:1", (-1, 0, 1)),
    ],
)  # fmt: skip
def test_a_range_holds_both_ends(text: str, values: tuple[float, ...]) -> None:
    found = parse_space([text])["fast"]
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


@pytest.mark.parametrize("text", ["fast", "fast=", "=5", "fast=5:1:1", "fast=1:5:0", "fast=1:5:-1", "fast=1:2:3:4",
                                  "fast=a:b", "fast=nan", "fast=1:inf", "fast=0:1e30:1"])  # fmt: skip
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a range must be"):
        parse_space([text])


def test_a_grid_is_every_combination_in_order() -> None:
    found = next(search({"a": (1, 2), "b": (3, 4)}, "grid", trials=0, seed=0))
    assert found == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]


def test_a_grid_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(ConfigError, match="10,000,000,000 sets"):
        next(search({"a": range(100_000), "b": range(100_000)}, "grid", trials=0, seed=0))


def test_chance_draws_each_set_once_and_the_same_for_a_seed() -> None:
    space = {"a": (1, 2, 3), "b": (4, 5, 6)}

    def drawn(trials: int, seed: int) -> list[dict[str, int | float]]:
        return next(search(space, "random", trials=trials, seed=seed))

    found = drawn(5, 3)
    assert len({tuple(s.items()) for s in found}) == 5
    assert found == drawn(5, 3) != drawn(5, 4)
    assert len(drawn(100, 3)) == 9


def test_an_unknown_search_is_refused() -> None:
    with pytest.raises(ConfigError, match="grid, random, tpe"):
        search({"a": (1,)}, "magic", trials=1, seed=0)
