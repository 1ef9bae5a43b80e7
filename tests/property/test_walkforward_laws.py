"""What may never reach a choice: combinatorial splits over drawn labels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robotrader.research.walkforward import combine, splitter


@st.composite
def labelled(draw: st.DrawFn) -> tuple[int, list[int], int, int, int]:
    """Draw days, the days on which their labels end, ascending, blocks, tests among them, and an embargo."""
    days = draw(st.integers(12, 60))
    groups = draw(st.integers(2, 6))
    lengths = draw(st.lists(st.integers(0, draw(st.sampled_from([0, 1, 12]))), min_size=days, max_size=days))
    ends = np.maximum.accumulate(np.arange(days) + np.array(lengths)).tolist()
    return days, ends, groups, draw(st.integers(1, groups - 1)), draw(st.integers(0, 5))


@settings(max_examples=60)
@given(labelled())
def test_no_label_of_a_training_day_overlaps_one_of_a_test_day(drawn: tuple[int, list[int], int, int, int]) -> None:
    days, ends, groups, tests, embargo = drawn
    spans = [set(range(day, min(end, days) + 1)) for day, end in enumerate(ends)]
    judged = np.zeros(days, dtype=np.int64)
    for train, test in splitter(days, np.array(ends), groups=groups, tests=tests, embargo=embargo).split(
        np.zeros((days, 1))
    ):
        seen = set[int]().union(*(spans[day] for day in test))
        assert not any(spans[day] & seen for day in train)
        for last in [day for day in test if day + 1 not in test]:
            assert not set(range(last + 1, last + 1 + embargo)) & set(train)
        judged[test] += 1
    assert len(set(judged.tolist())) == 1  # each day is judged equally often


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_only_set_there_is_makes_every_path(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(0, 0.01, (1, 60))
    found = combine(returns, np.arange(60)[None], "sharpe", groups=5, tests=2, embargo=1)
    assert found.paths.shape == (4, 60)
    assert (found.paths == returns).all()
    assert found.chosen == [0] * 10


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
@settings(max_examples=20)
def test_what_happens_in_a_test_changes_no_choice_for_it(seed: int, split: int) -> None:
    random = np.random.default_rng(seed)
    returns, ends = random.normal(0, 0.01, (4, 40)), np.tile(np.minimum(np.arange(40) + 2, 40), (4, 1))
    chosen = combine(returns, ends, "sharpe", groups=4, tests=2, embargo=1).chosen
    splits = list(splitter(40, ends[0], groups=4, tests=2, embargo=1).split(np.zeros((40, 1))))
    test = splits[split][1]
    returns[:, test] = random.normal(0, 1, (4, len(test)))
    assert combine(returns, ends, "sharpe", groups=4, tests=2, embargo=1).chosen[split] == chosen[split]
