"""Laws of portfolio construction: who comes first, or what returns are measured in, decides nothing."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from robotrader.data.panel import Floats
from robotrader.portfolio.construction import (
    METHODS,
    SHORT,
    STILL,
    buffered,
    clusters,
    construct,
    covariance,
    min_variance,
    risk_parity,
)

ROUNDING = 1e-8
methods = st.sampled_from(sorted(METHODS))
correlations = st.sampled_from([None, 0.5, 0.9])
whole = st.integers(-10_000, 10_000)


@st.composite
def panels(draw: st.DrawFn, least: int = 1) -> Floats:
    """Draw returns of names that share factors, more names than bars now and then; no two names are the same."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bars, names = draw(st.sampled_from([62, 252, 12])), draw(st.sampled_from([2, 3, 5, 20])) + least - 1
    names = draw(st.sampled_from([least, names]))
    common = random.normal(0, 0.01, (bars, 2)) @ random.normal(0, draw(st.sampled_from([0.2, 1.0, 3.0])), (2, names))
    return np.asarray(common + random.normal(0, 1, (bars, names)) * random.uniform(0.003, 0.05, names))


@st.composite
def sided(draw: st.DrawFn) -> tuple[Floats, list[int]]:
    panel = draw(panels())
    names = panel.shape[1]
    return panel, draw(st.lists(st.sampled_from([1, -1]), min_size=names, max_size=names))


def weights(panel: Floats, directions: Sequence[int], method: str, correlation: float | None = None) -> Floats:
    found = construct(panel, directions, method=method, cluster_correlation=correlation)
    return np.array([share.weight for share in found])


@given(sided(), methods, correlations)
def test_weights_are_from_0_to_1_and_add_up_to_1(
    drawn: tuple[Floats, list[int]], method: str, correlation: float | None
) -> None:
    found = weights(*drawn, method, correlation)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1, abs=ROUNDING)


@given(sided(), methods, correlations, st.randoms(use_true_random=False))
def test_the_order_of_names_decides_nothing(
    drawn: tuple[Floats, list[int]], method: str, correlation: float | None, random: object
) -> None:
    panel, directions = drawn
    order = list(range(len(directions)))
    random.shuffle(order)  # type: ignore[attr-defined]
    found = weights(panel, directions, method, correlation)
    shuffled = weights(panel[:, order], [directions[k] for k in order], method, correlation)
    assert shuffled == pytest.approx(found[order], abs=ROUNDING)


@given(sided(), methods, correlations, st.sampled_from([0.001, 3.0, 1_000.0]))
def test_the_unit_of_returns_decides_nothing(
    drawn: tuple[Floats, list[int]], method: str, correlation: float | None, scale: float
) -> None:
    panel, directions = drawn
    scaled = weights(panel * scale, directions, method, correlation)
    assert scaled == pytest.approx(weights(panel, directions, method, correlation), abs=ROUNDING)


@given(sided(), methods)
def test_a_short_position_counts_as_a_name_with_opposite_returns(drawn: tuple[Floats, list[int]], method: str) -> None:
    panel, directions = drawn
    mirrored = weights(panel * directions, [1] * len(directions), method)
    assert mirrored == pytest.approx(weights(panel, directions, method), abs=ROUNDING)


@given(panels())
def test_risk_parity_gives_every_name_the_same_part_of_the_variance(panel: Floats) -> None:
    cov = covariance(panel)
    found = risk_parity(cov)
    parts = found * (cov @ found)
    assert parts == pytest.approx(parts.mean(), rel=1e-9)


@given(panels())
def test_nothing_has_less_variance_than_min_variance(panel: Floats) -> None:
    cov, long = covariance(panel), [1] * panel.shape[1]
    least = min_variance(cov)
    gradient = np.asarray(cov @ least)
    assert gradient.min() >= gradient[least > 0].max() * (1 - 1e-9), "no other name would lower it"
    for method in METHODS:
        other = weights(panel, long, method)
        assert least @ cov @ least <= other @ cov @ other * (1 + ROUNDING)


def test_correlations_are_shrunk_by_their_sampling_error_and_volatilities_not_at_all() -> None:
    """Term by term what equation 7 and table 2, target D, of the paper say."""
    panel = np.random.default_rng(3).normal(0, 0.01, (20, 3)) + np.random.default_rng(4).normal(0, 0.01, (20, 1))
    n, sample = len(panel), np.asarray(np.corrcoef(panel, rowvar=False))
    z = (panel - panel.mean(axis=0)) / panel.std(axis=0, ddof=1)
    error = square = 0.0
    for i, j in ((0, 1), (0, 2), (1, 2)):
        products = z[:, i] * z[:, j]
        error += n / (n - 1) ** 3 * sum((w - products.mean()) ** 2 for w in products.tolist())
        square += sample[i, j] ** 2
    kept = 1 - error / square
    sigma = panel.std(axis=0, ddof=1)
    assert 0.1 < kept < 0.99
    assert covariance(panel) == pytest.approx(
        np.where(np.eye(3, dtype=np.bool_), 1.0, kept * sample) * np.outer(sigma, sigma), rel=1e-9
    )


@given(panels(least=2))
def test_twice_the_volatility_of_a_name_is_half_its_weight_against_the_others(panel: Floats) -> None:
    long = [1] * panel.shape[1]
    before = weights(panel, long, "inverse_volatility")
    assume(before.min() > 1e-3)
    panel[:, 0] *= 2
    after = weights(panel, long, "inverse_volatility")
    assert after[0] / after[1:] == pytest.approx(before[0] / before[1:] / 2, rel=1e-5)


@given(panels(), methods, st.integers(2, 4))
def test_copies_of_a_name_are_worth_one_name(panel: Floats, method: str, copies: int) -> None:
    assume(len(set(clusters(np.corrcoef(panel, rowvar=False).reshape(panel.shape[1], -1), 0.99))) == panel.shape[1])
    names = panel.shape[1]
    copied = np.hstack((panel, np.repeat(panel[:, :1], copies - 1, axis=1)))
    alone = weights(panel, [1] * names, method, 0.99)
    found = weights(copied, [1] * copied.shape[1], method, 0.99)
    assert found[1:names] == pytest.approx(alone[1:], abs=ROUNDING)
    assert found[[0, *range(names, copied.shape[1])]] == pytest.approx(alone[0] / copies, abs=ROUNDING)


@given(panels(), st.floats(0.05, 0.95))
def test_names_of_a_cluster_all_correlate_and_no_two_clusters_could_be_one(panel: Floats, threshold: float) -> None:
    found = np.corrcoef(panel, rowvar=False).reshape(panel.shape[1], -1)
    labels = clusters(found, threshold)
    groups = [np.flatnonzero(labels == label) for label in sorted(set(labels.tolist()))]
    for k, one in enumerate(groups):
        assert all(found[a, b] > threshold for a in one for b in one if a != b)
        assert all(found[np.ix_(one, other)].min() <= threshold for other in groups[:k])


@given(sided(), methods, correlations, st.data())
def test_a_name_without_returns_that_differ_has_no_weight_and_says_why(
    drawn: tuple[Floats, list[int]], method: str, correlation: float | None, data: st.DataObject
) -> None:
    panel, directions = drawn
    assume(method != "equal" or correlation is not None)
    k = data.draw(st.integers(0, len(directions) - 1))
    bad, why = data.draw(st.sampled_from([(np.nan, SHORT), (np.inf, SHORT), (0.0, STILL), (0.01, STILL)]))
    panel[-1 if not np.isfinite(bad) else slice(None), k] = bad
    shares = construct(panel, directions, method=method, cluster_correlation=correlation)
    assert (shares[k].weight, shares[k].reason) == (0.0, why)
    rest = [share.weight for n, share in enumerate(shares) if n != k]
    others = [d for n, d in enumerate(directions) if n != k]
    if others:
        assert rest == pytest.approx(weights(np.delete(panel, k, axis=1), others, method, correlation), abs=ROUNDING)


@pytest.mark.parametrize("method", ["inverse_volatility", "risk_parity", "min_variance"])
@pytest.mark.parametrize("bars", [0, 1, 2])
def test_too_few_returns_give_no_weight_to_any_name(method: str, bars: int) -> None:
    shares = construct(np.full((bars, 2), 0.01), [1, 1], method=method)
    assert [(share.weight, share.reason) for share in shares] == [(0.0, SHORT)] * 2


@pytest.mark.parametrize("method", METHODS)
def test_no_names_have_no_shares(method: str) -> None:
    assert construct(np.zeros((9, 0)), [], method=method) == []


@given(whole, whole, st.floats(0, 0.99))
def test_a_buffer_trades_all_or_nothing_and_keeps_nothing_that_ends_or_turns(
    wanted: int, present: int, buffer: float
) -> None:
    found = buffered(wanted, present, buffer)
    assert found in {wanted, present}
    assert abs(found - present) <= abs(wanted - present)
    assert found == wanted or wanted * present > 0
    assert buffered(wanted, present, 0) == wanted


def test_a_buffer_acts_below_its_part_of_the_larger_of_both() -> None:
    found = [buffered(wanted, 100, 0.1) for wanted in (89, 90, 91, 111, 112, -100, 0)]
    assert found == [89, 90, 100, 100, 112, -100, 0]
    assert [buffered(wanted, -100, 0.1) for wanted in (-89, -91)] == [-89, -100]
