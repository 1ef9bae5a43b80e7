"""What lets a strategy on to its next stage, and what takes it back: pure functions of what was found and seen.

The gates and their defaults follow the lifecycle of the architecture; research figures come as `Dossier`, everything
else as `StageFacts`. A gate asks for every criterion, and what is not known meets none.
"""

from collections.abc import Iterator, Sequence
from math import log, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robotrader.data.panel import Floats
from robotrader.model import STRENGTH_BINS, Criterion, Dossier, Gate, LifecycleRules, Stage, StageFacts
from robotrader.strategy.sequential import Boundary, running_intervals

_ALPHA = 0.05
_BURN_IN = 20
_HORIZON = 200
"""Orders or sessions at which an always valid interval is tightest."""
_FEWEST_STRENGTHS = 200
_RARE = 1e-4
_BEYOND = 3.0

_CODE = ("time_budget", "contract", "determinism", "truncation", "future_noise", "warm_up", "lag")
"""Rules of `strategy check` that must hold: 1 where one did, or did not apply."""


class Judged(NamedTuple):
    """What a gate says of a strategy: where it may go, with what share, if all criteria are met."""

    gate: Gate
    criteria: tuple[Criterion, ...]
    stage: Stage
    share: float

    @property
    def met(self) -> bool:
        """Tell whether the strategy may go on."""
        return bool(self.criteria) and all(c.met for c in self.criteria)


def judge(
    stage: Stage, facts: StageFacts, evidence: Dossier | None, rules: LifecycleRules, *, share: float = 0.0
) -> Judged:
    """Ask the gate that leads on from a stage; at the end of the ramp, and in RETIRED, there is none left to meet."""
    guarded = guards(facts, evidence, rules)
    match stage:
        case Stage.RESEARCH:
            code = _code(evidence)
            if not all(c.met for c in code):
                return Judged(Gate.CODE, code, Stage.SHADOW, 0.0)
            return Judged(Gate.RESEARCH, _research(evidence, rules), Stage.SHADOW, 0.0)
        case Stage.SHADOW:
            return Judged(Gate.SHADOW, (*_shadow(facts, evidence, rules), *guarded), Stage.PAPER, 1.0)
        case Stage.PAPER:
            return Judged(Gate.PAPER, (*_paper(facts, rules), *guarded), Stage.CANARY, rules.canary)
        case Stage.CANARY:
            asked = (*_real(facts, rules, sessions=rules.sessions), *guarded)
            return Judged(Gate.CANARY, asked, Stage.LIVE, rules.ramp[0])
        case Stage.LIVE:
            later = [step for step in rules.ramp if step > share]
            asked = (*_real(facts, rules, sessions=rules.ramp_sessions), *guarded) if later else ()
            return Judged(Gate.RAMP, asked, Stage.LIVE, min(later, default=share))
        case Stage.RETIRED:
            return Judged(Gate.OPERATOR, (), Stage.RETIRED, 0.0)


def guards(facts: StageFacts, evidence: Dossier | None, rules: LifecycleRules) -> tuple[Criterion, ...]:
    """Return what takes a strategy back where it is not met; what there is too little of is not asked."""
    asked = [_most("faults", len(facts.faults), 0.0, "; ".join(facts.faults)[:200])]
    if facts.signals:
        alike = 1 - facts.signals_differing / facts.signals
        asked.append(_least("parity", alike, 1.0, "signals said alike when computed anew"))
    if facts.capital:
        budget = rules.loss_budget * float(facts.capital)
        asked.append(_most("loss", float(facts.loss), budget, "of the real book, in this stage"))
    if facts.orders >= rules.fewest_orders:
        asked.append(_most("reject_ratio", facts.rejected / facts.orders, rules.reject_ratio))
    excess = np.array(facts.returns) - np.array(facts.virtual_returns)
    if len(excess) >= _BURN_IN:
        best = _always_valid(excess)[1]
        asked.append(_least("return_excess", best, -rules.return_margin, "a session, real less virtual, at best"))
    return (*asked, *_expected(facts, evidence, rules)) if evidence else tuple(asked)


def _expected(facts: StageFacts, evidence: Dossier, rules: LifecycleRules) -> Iterator[Criterion]:
    """Yield what research leads to expect: how deep it falls, what a trade earns, what it says how often."""
    if evidence.drawdown_band is not None:
        yield _most("drawdown", facts.drawdown, evidence.drawdown_band, "of the virtual book")
    if evidence.edge_bps is not None and len(facts.slippage_bps) >= max(rules.fewest_orders, _BURN_IN):
        least = _always_valid(np.array(facts.slippage_bps))[0]
        yield _most("slippage_over_edge_bps", least, evidence.edge_bps, "what a trade pays at least")
    if len(facts.strengths) == len(evidence.strengths) and sum(facts.strengths) >= _FEWEST_STRENGTHS:
        moved = drift(facts.strengths, evidence.strengths)
        yield _most("drift", moved, rules.drift, "stability index of its strengths")


def counted(said: Floats) -> NDArray[np.int64]:
    """Return how often strengths lie in each of the bins of `STRENGTH_BINS`, and last how often there is no view."""
    bins = np.where(np.isnan(said), len(STRENGTH_BINS), np.searchsorted(STRENGTH_BINS, said))
    return np.bincount(bins.ravel(), minlength=len(STRENGTH_BINS) + 1)


def drift(seen: Sequence[int], expected: Sequence[float]) -> float:
    """Return the population stability index of counts against ratios of the same bins."""
    total = sum(seen)
    pairs = [(max(n / total, _RARE), max(share, _RARE)) for n, share in zip(seen, expected, strict=True)]
    return sum((now - before) * log(now / before) for now, before in pairs)


def _code(evidence: Dossier | None) -> tuple[Criterion, ...]:
    figures = evidence.figures if evidence else {}
    return tuple(_least(f"rule_{rule}", figures.get(f"rule_{rule}"), 1.0) for rule in _CODE)


def _research(evidence: Dossier | None, rules: LifecycleRules) -> tuple[Criterion, ...]:
    found = evidence.figures if evidence else {}
    return (
        _least("deflated_sharpe", found.get("deflated_sharpe"), rules.deflated_sharpe),
        _most("overfitting", found.get("overfitting"), rules.overfitting, "of the grid; 0 where it is one set"),
        _most("spa_p", found.get("spa_p"), rules.spa_p, "of the grid, against cash or holding"),
        _least("length_ratio", found.get("length_ratio"), 1.0, "years, of the least that so many trials need"),
        _least("oos_is", found.get("oos_is"), rules.oos_is, "Sharpe ratio out of sample, of that in sample"),
        _least("return_costs_x2", found.get("return_costs_x2"), 0.0, "at twice the costs"),
        _least("capacity_ratio", found.get("capacity_ratio"), 1.0, "of the capital asked for"),
    )


def _shadow(facts: StageFacts, evidence: Dossier | None, rules: LifecycleRules) -> tuple[Criterion, ...]:
    expected = (evidence.denial_ratio if evidence else 0.0) * facts.virtual_orders
    return (
        _least("evidence", 1.0 if evidence else None, 1.0, "of the research that let it in"),
        _least("sessions", facts.sessions, rules.sessions),
        _least("compared", facts.signals, 1.0, "signals computed anew"),
        _least("sections_ratio", _ratio(facts.sections, facts.sections_due), rules.data_ratio),
        _least("bars_ratio", _ratio(facts.bars, facts.bars_due), rules.data_ratio),
        _least("virtual_orders", facts.virtual_orders, 1.0),
        _most("virtual_denied", facts.virtual_denied, expected + max(_BEYOND * sqrt(expected), 1.0),
              "its backtest leads to expect fewer"),
    )  # fmt: skip


def _paper(facts: StageFacts, rules: LifecycleRules) -> tuple[Criterion, ...]:
    low, high = _interval(facts.slippage_excess_bps, rules.fewest_orders)
    return (
        _least("sessions", facts.sessions, rules.sessions),
        _most("breaches", facts.breaches, 0.0, "broken invariants"),
        _most("breaks", facts.breaks, 0.0, "positions that differed from the broker's"),
        _least("paired_orders", len(facts.slippage_excess_bps), rules.fewest_orders),
        _least("slippage_error_low_bps", low, -rules.slippage_band_bps, "real less modelled, 95 % interval"),
        _most("slippage_error_high_bps", high, rules.slippage_band_bps, "real less modelled, 95 % interval"),
    )


def _real(facts: StageFacts, rules: LifecycleRules, *, sessions: int) -> tuple[Criterion, ...]:
    pairs = np.array(facts.slippage_excess_bps)
    worst = _always_valid(pairs)[1] if len(pairs) >= max(rules.fewest_orders, _BURN_IN) else None
    return (
        _least("sessions", facts.sessions, sessions),
        _most("breaches", facts.breaches, 0.0, "broken invariants"),
        _most("breaks", facts.breaks, 0.0, "positions that differed from the broker's"),
        _least("paired_orders", len(pairs), rules.fewest_orders),
        _most("slippage_excess_bps", worst, rules.slippage_margin_bps, "real less modelled, always valid upper end"),
    )


def _always_valid(values: Floats) -> tuple[float, float]:
    """Return the always valid interval of the mean of at least 20 values; the mean itself where they do not vary."""
    low, high = running_intervals(values, Boundary(alpha=_ALPHA, burn_in=_BURN_IN, horizon=_HORIZON))
    mean = float(values.mean())
    return (float(low[-1]), float(high[-1])) if np.isfinite(low[-1]) else (mean, mean)


def _interval(values: Sequence[float], fewest: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean, None with fewer values."""
    if len(values) < max(fewest, 2):
        return None, None
    reach = NormalDist().inv_cdf(1 - _ALPHA / 2) * float(np.std(values, ddof=1)) / sqrt(len(values))
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def _ratio(count: int, due: int) -> float | None:
    return count / due if due else None


def _least(name: str, value: float | None, bound: float, detail: str = "") -> Criterion:
    return Criterion(name=name, value=None if value is None else float(value), bound=bound, at_least=True,
                     detail=detail)  # fmt: skip


def _most(name: str, value: float | None, bound: float, detail: str = "") -> Criterion:
    return Criterion(name=name, value=None if value is None else float(value), bound=bound, at_least=False,
                     detail=detail)  # fmt: skip
