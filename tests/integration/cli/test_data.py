"""Datasets by name."""

from pathlib import Path

import pytest

from tests.integration.cli.commands import ask, run


def test_the_samples_are_listed_without_a_state(state: Path) -> None:
    names = [d["name"] for d in ask("data", "list", state=state)["datasets"]]
    assert names == ["sample:AAPL", "sample:GOOG", "sample:IBM", "sample:MSFT", "sample:all"]
    assert "sample:all" in run("data", "list", state=state).out


def test_equal_seeds_give_equal_bars(state: Path, tmp_path: Path) -> None:
    order = ("data", "seed", "--seed", "7", "--symbols", "aaa, bbb", "--spec", "1m", "--bars", "500")
    first, second = ask(*order, state=state), ask(*order, state=tmp_path / "other")
    assert (first["dataset"], first["rows"], first["symbols"]) == ("seed", 1_000, ["AAA", "BBB"])
    assert first["data_hash"] == second["data_hash"]
    assert Path(first["file"]).read_bytes() == Path(second["file"]).read_bytes()
    other = ask("data", "seed", "--seed", "8", "--bars", "500", state=state)
    assert other["data_hash"] != first["data_hash"]
    (listed,) = (d for d in ask("data", "list", state=state)["datasets"] if d["name"] == "seed")
    assert (listed["bars"], listed["symbols"]) == (1_500, ["AAA", "BBB", "CCC"])


@pytest.mark.parametrize(
    ("options", "code"),
    [((), 2), (("--seed", "-1"), 2), (("--seed", "1", "--bars", "0"), 2), (("--seed", "1", "--spec", "2d"), 2),
     (("--seed", "1", "--symbols", "A,A"), 5), (("--seed", "1", "--symbols", ","), 5)],
)  # fmt: skip
def test_what_cannot_be_seeded_is_refused(options: tuple[str, ...], code: int, state: Path) -> None:
    assert run("data", "seed", *options, state=state).code == code
    assert not state.exists()
