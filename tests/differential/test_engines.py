"""The comparison with other engines: it finds what is planted, its rules do something, its page is what it found."""

from collections.abc import Callable

import pytest
from msgspec import structs

from tests.differential.engines.cases import CASES, FILLS, Case, ours, prepared
from tests.differential.engines.drivers.exchange import Fills, Job
from tests.differential.engines.ledger import Record, Rules, play, same
from tests.differential.engines.rules import RULES, Rule, explanation, predicted
from tests.differential.engines.run import ENGINES, FAILED, MARKS, PAGE, compared, difference, legend, table, unused

BACKTESTING = ENGINES[0]
TREND, LADDER, SHARES, ROTATION = CASES[0], CASES[12], CASES[16], CASES[20]
"""One of each kind: fixed units, a position that grows and shrinks, a share of the equity, several instruments."""


def job_of(case: Case, fill: str) -> Job:
    return prepared(case).job(case, fill)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("case", [LADDER, SHARES, ROTATION], ids=lambda case: case.strategy)
def test_both_our_engines_do_what_a_plain_ledger_does(case: Case, fill: str) -> None:
    played = prepared(case)
    plain = play(played.job(case, fill), Rules())
    assert len(plain[0]) > 50
    for engine in ("event", "fast"):
        assert same(ours(played, fill, engine), plain), f"{engine}: {difference(plain, ours(played, fill, engine))}"


def _with(change: Callable[[Fills], Fills]) -> Callable[[Record], Record]:
    return lambda record: (change(list(record[0])), record[1])


PLANTED: dict[str, Callable[[Record], Record]] = {
    "a price by a cent": _with(lambda f: [*f[:-1], (*f[-1][:3], round(f[-1][3] + 0.01, 2))]),
    "a unit more": _with(lambda f: [*f[:-1], (*f[-1][:2], f[-1][2] + 1, f[-1][3])]),
    "the other side": _with(lambda f: [*f[:-1], (*f[-1][:2], -f[-1][2], f[-1][3])]),
    "a bar later": _with(lambda f: [*f[:-1], (f[-1][0] + 1, *f[-1][1:])]),
    "a fill missing": _with(lambda f: f[:-1]),
    "a fill twice": _with(lambda f: [*f, f[-1]]),
    "two cents of equity": lambda record: (record[0], record[1] + 0.02),
}


@pytest.mark.parametrize("engine", [engine.name for engine in ENGINES])
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_explained_by_no_rule(planted: str, engine: str) -> None:
    job = job_of(SHARES, "this_close")
    honest = predicted(job, tuple(rule for rule in RULES if rule.engine == engine))
    assert explanation(job, engine, honest) is not None
    assert explanation(job, engine, PLANTED[planted](honest)) is None


def _differs_by(rule: Rule) -> tuple[Job, Record]:
    """Find a job that an engine of this one rule plays unlike ours."""
    for case in reversed(CASES):
        for fill in ("next_close", "this_close"):
            job = job_of(case, fill)
            found = predicted(job, (rule,))
            if not same(found, play(job, Rules())):
                return job, found
    raise AssertionError(f"{rule.engine} {rule.name} changes nothing in any case")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.engine}-{rule.name}")
def test_a_rule_explains_its_difference_and_nothing_explains_it_without_the_rule(rule: Rule) -> None:
    job, found = _differs_by(rule)
    assert explanation(job, rule.engine, found, (rule,)) == [rule.name]
    assert explanation(job, rule.engine, found, ()) is None


def test_a_rule_that_holds_for_one_job_only_is_none() -> None:
    """`cents` is needed for the one job; what the other engine did with the other one is as ours."""
    always = (RULES[0], structs.replace(RULES[9], engine=RULES[0].engine))
    job = job_of(TREND, "this_close")
    assert always[1].name == "cents"
    assert explanation(job, always[0].engine, play(job, Rules()), always[:1]) == []
    assert explanation(job, always[0].engine, play(job, Rules()), always) is None


def test_every_rule_changes_the_ledger_and_names_its_evidence() -> None:
    versions = {"backtesting.py": "0.6.6", "vectorbt": "1.2.0", "bt": "1.4.1", "nautilus_trader": "1.231.0"}
    assert len({(rule.engine, rule.name) for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert structs.replace(Rules(), **rule.changes) != Rules()
        assert rule.evidence.startswith(versions[rule.engine] + ", ")
        assert (PAGE.parents[1] / "requirements" / f"peers-{_environment(rule)}.in").read_text().strip().endswith(
            f"=={versions[rule.engine]}"
        )  # fmt: skip


def _environment(rule: Rule) -> str:
    return next(engine.environment for engine in ENGINES if engine.name == rule.engine)


def page_rows() -> dict[str, dict[str, str]]:
    """Read the verdicts back from the page."""
    lines = PAGE.read_text("utf-8").partition(MARKS[0])[2].partition("## Rules")[0].strip().splitlines()
    head, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: {c: v for c, v in zip(head[1:], row[1:], strict=True) if v != "–"} for row in rows[1:]}


def test_the_page_holds_every_case_and_rule_and_nothing_unexplained() -> None:
    rows, text = page_rows(), PAGE.read_text("utf-8")
    assert list(rows) == [case.name for case in CASES]
    assert len({(case.strategy, case.data) for case in CASES}) >= 20
    assert set(legend()) <= set(text.splitlines())
    assert FAILED not in text
    assert unused(rows, ENGINES) == []


def test_a_difference_is_shown_as_one() -> None:
    rows = {"x": {"a": "equal", "b": FAILED}, "y": {"a": "cents"}}
    assert list(table(rows))[2:] == [f"| x | equal | {FAILED} |", "| y | cents | – |"]
    assert unused(rows, ENGINES) == [f"{rule.engine} {rule.name}" for rule in RULES]
    parted = difference(([(1, 0, 5, 2.0)], 9.0), ([(1, 0, 4, 2.0)], 8.0))
    assert parted == "1 fills, not 1; (1, 0, 4, 2.0), not (1, 0, 5, 2.0); equity 8.00, not 9.00"


@pytest.mark.slow
def test_a_sample_played_by_backtesting_py_is_as_the_page_says() -> None:
    if not BACKTESTING.python.exists():
        pytest.skip(f"{BACKTESTING.name} is not installed: run `make peers-env`; `make differential` plays all engines")
    kept = page_rows()
    for name, cells in compared([BACKTESTING], [TREND, SHARES]).items():
        assert {column: kept[name][column] for column in cells} == cells
