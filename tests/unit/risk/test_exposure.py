"""Sums over the book without one of its parts: as if they were counted anew."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from robotrader.risk.exposure import ExposureBook
from robotrader.risk.facts import Exposures

D = Decimal
GROUPS = {"A": ("oil",), "B": ("oil", "tech"), "C": ()}


def test_the_worse_side_counts_as_gross_and_each_side_apart() -> None:
    book = ExposureBook()
    book.put("A", (10, 5, 40), D(2), ("oil",))
    assert book.without("B", ("oil", "tech")) == Exposures(D(60), D(30), D(-60), (("oil", D(60)), ("tech", D(0))))
    assert book.without("A", ("oil",)) == Exposures(D(0), D(0), D(0), (("oil", D(0)),))


puts = st.lists(
    st.tuples(st.sampled_from("ABC"), st.tuples(*[st.integers(-50, 50), st.integers(0, 50), st.integers(0, 50)]),
              st.integers(0, 500).map(lambda c: D(c) / 100)), max_size=12,
)  # fmt: skip


@given(puts, st.sampled_from("ABC"))
def test_incremental_sums_are_those_of_what_was_put_last(
    history: list[tuple[str, tuple[int, int, int], Decimal]], key: str
) -> None:
    book = ExposureBook()
    for name, units, value in history:
        book.put(name, units, value, GROUPS[name])
    last = {name: ((p + b) * v, (p - s) * v) for name, (p, b, s), v in history}
    others = {name: sides for name, sides in last.items() if name != key}
    found = book.without(key, GROUPS[key])
    assert found.long == sum(long for long, _ in others.values())
    assert found.short == sum(short for _, short in others.values())
    gross = {name: max(abs(long), abs(short)) for name, (long, short) in others.items()}
    assert found.gross == sum(gross.values())
    assert found.groups == tuple(
        (group, sum((g for name, g in gross.items() if group in GROUPS[name]), D(0))) for group in GROUPS[key]
    )
