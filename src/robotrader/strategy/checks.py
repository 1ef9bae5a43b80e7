"""Does a strategy deceive itself? Seven rules; one that fails cannot leave RESEARCH.

Three rules come first, and the others would mean nothing where one of them fails: `time_budget`, `contract` and
`determinism`. Each case is seeded, and every call gets a new instance and arrays of its own. What a strategy knows
from elsewhere (a file, a fit to all data) only `lag` can see.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial

import numpy as np
from msgspec import Struct

from robotrader.data.panel import VALUES, Floats, Panel
from robotrader.model import InstrumentId, StrategyError
from robotrader.strategy.check_data import (
    PROVOKED_ROWS,
    ROWS,
    SEED,
    as_view,
    checked,
    differences,
    drawn_rows,
    noise_after,
    owned,
    provoked,
)
from robotrader.strategy.contract import Strategy, strengths

BAR_BUDGET_S, ROW_BUDGET_S = 0.1, 0.002
"""What deciding on one bar live may take, and each row of a backtest."""
SUSPICIOUS_T, COLLAPSE = 6.0, 0.5
"""Gross mean return over its standard error that is too good, and the share that is left of it one bar later."""

_LAG_ROWS = 100


class Outcome(StrEnum):
    """What a rule found; NOT_APPLICABLE: it could not look."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


class Difference(Struct, frozen=True, kw_only=True):
    """The first strength that differs: at `ts` (ns UTC) it was `full`, and `found` as the rule had it; None: no view.

    `cut` is the last bar (ns UTC) that the rule left as it was.
    """

    data: str
    cut: int
    ts: int
    instrument: InstrumentId
    full: float | None
    found: float | None


class RuleResult(Struct, frozen=True, kw_only=True):
    """What one rule found, with the numbers it used; `hint` says how to mend what failed."""

    rule: str
    outcome: Outcome
    found: str
    numbers: dict[str, float] = {}
    first: Difference | None = None
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One panel to check on, and what the strategy says of all of it."""

    name: str
    panel: Panel
    says: Callable[[Panel], Floats]
    warm_up: int
    told: dict[int, Floats] = field(default_factory=dict)

    @cached_property
    def full(self) -> Floats:
        return self.says(self.panel)

    @cached_property
    def drawn(self) -> list[int]:
        return drawn_rows(self.panel, self.full, self.warm_up)

    def until(self, row: int) -> Floats:
        """Return what it says of the rows up to this one, asked once."""
        if row not in self.told:
            self.told[row] = self.says(self.panel.rows(0, row + 1))
        return self.told[row]


@dataclass(frozen=True, kw_only=True)
class _Subject:
    make: Callable[[], Strategy]
    clock: Callable[[], float]
    elsewhere: Callable[[Panel], Floats]
    cases: tuple[_Case, _Case]


_Found = tuple[bool | None, str, dict[str, float], Difference | None]  # None: not applicable


def check_strategy(
    make: Callable[[], Strategy],
    panel: Panel,
    *,
    clock: Callable[[], float],
    elsewhere: Callable[[Panel], Floats],
    progress: Callable[[int], None] = lambda _done: None,
) -> tuple[RuleResult, ...]:
    """Hold a strategy to all rules, on the newest bars of `panel` and on seeded ones of the same instruments.

    Parameters
    ----------
    make : callable
        Make a new instance.
    clock : callable
        Seconds; what the time budget is measured with.
    elsewhere : callable
        Return the strengths of a panel from another process with other hashes; `StrategyError` where it fails.
    progress : callable
        Told the number of rules done.
    """
    warm_up = max(make().manifest.warmup_bars, 1)
    case = partial(_Case, says=lambda shown: strengths(make(), owned(shown)), warm_up=warm_up)
    data = case(name="data", panel=checked(panel, ROWS, warm_up))
    made = case(name="provoked", panel=provoked(checked(panel, PROVOKED_ROWS, warm_up)))
    subject = _Subject(make=make, clock=clock, elsewhere=elsewhere, cases=(data, made))
    results: list[RuleResult] = []
    for done, (rule, (look, hint)) in enumerate(RULES.items()):
        progress(done)
        blocked = next((r.rule for r in results if r.outcome is Outcome.FAILED and r.rule in _FIRST), None)
        results.append(_judge(rule, hint, look, subject) if blocked is None else RuleResult(
            rule=rule, outcome=Outcome.NOT_APPLICABLE, found=f"mend {blocked} first"))  # fmt: skip
    return tuple(results)


def _judge(rule: str, hint: str, look: Callable[[_Subject], _Found], subject: _Subject) -> RuleResult:
    try:
        ok, found, numbers, first = look(subject)
    except StrategyError as error:  # where only the time was asked for, the contract will say it
        ok, found, numbers, first = None if rule == "time_budget" else False, str(error), {}, None
    outcome = {True: Outcome.PASSED, False: Outcome.FAILED, None: Outcome.NOT_APPLICABLE}[ok]
    return RuleResult(rule=rule, outcome=outcome, found=found, numbers=numbers, first=first,
                      hint=hint if ok is False else "")  # fmt: skip


def _time_budget(subject: _Subject) -> _Found:
    data = subject.cases[0].panel
    one, window = subject.make(), owned(data.rows(max(len(data) - subject.cases[0].warm_up, 0), len(data)))
    bar = min(_seconds(subject, lambda: strengths(one, window)) for _ in range(3))
    numbers = {"seconds_per_bar": bar, "budget_per_bar": BAR_BUDGET_S}
    if bar > BAR_BUDGET_S:
        return False, f"{bar:.3g} s for one bar live, {BAR_BUDGET_S} s are allowed", numbers, None
    row = _seconds(subject, lambda: subject.cases[0].full) / max(len(data), 1)
    numbers |= {"seconds_per_row": row, "budget_per_row": ROW_BUDGET_S}
    found = (
        f"{bar * 1e3:.3g} ms for one bar live, {row * 1e3:.3g} ms a row in a backtest, {ROW_BUDGET_S * 1e3:g} allowed"
    )
    return row <= ROW_BUDGET_S, found, numbers, None


def _seconds(subject: _Subject, call: Callable[[], Floats]) -> float:
    started = subject.clock()
    call()
    return subject.clock() - started


def _contract(subject: _Subject) -> _Found:
    """Ask what live asks: from the first bar on, in arrays that belong to somebody else."""
    sizes = sorted({1, 2, subject.cases[0].warm_up - 1, subject.cases[0].warm_up} - {0})
    for case in subject.cases:
        for rows in sizes:
            case.says(case.panel.rows(0, rows))
        lent = owned(case.panel)
        strengths(subject.make(), lent)
        for name in ("opened", "ts", *VALUES):
            if not np.array_equal(getattr(lent, name), getattr(case.panel, name), equal_nan=True):
                return False, f"signals() changed panel.{name}, which is not its own", {}, None
        steady = _first(case, case.full, case.says(case.panel)) is None  # else it is not the array's doing
        first = _first(case, case.full, strengths(subject.make(), as_view(case.panel)))
        if steady and first is not None:
            return False, "equal bars in another array are judged otherwise", {}, first
    rows = sum(len(case.panel) for case in subject.cases)
    return True, f"shape, range and panel are kept on {rows} bars, and from the first bar on", {"rows": rows}, None


def _determinism(subject: _Subject) -> _Found:
    case, other = subject.cases
    one = subject.make()
    again: dict[str, Callable[[], Floats]] = {
        "asked again": lambda: [strengths(one, owned(case.panel)), strengths(one, owned(case.panel))][1],
        "asked of other bars between": lambda: [strengths(one, owned(p)) for p in (other.panel, case.panel)][1],
        "made anew": lambda: case.says(case.panel),
        "in another process with other hashes": lambda: subject.elsewhere(case.panel),
    }
    for how, ask in again.items():
        if (first := _first(case, case.full, ask())) is not None:
            return False, f"{how}, it says something else of the same bars", {}, first
    return True, f"the same {', '.join(again)}", {"asked": len(again) + 1}, None


def _compared(
    subject: _Subject, what: str, first_row: int, ask: Callable[[_Case, int], tuple[Floats, Floats]]
) -> _Found:
    """Compare two answers, whose last row is the drawn one, at drawn rows of both panels."""
    cuts, wrong, ties, first = 0, 0, 0, None
    for case in subject.cases:
        for row in (row for row in case.drawn if row >= first_row):
            expected, found = ask(case, row)
            begin = row + 1 - len(expected)
            bad, tied = differences(expected, found)
            first = first or _first(case, expected, found, begin=begin, cut=row)
            cuts, wrong, ties = cuts + 1, wrong + bool(bad.any()), ties + tied
    numbers: dict[str, float] = {"drawn": cuts, "different": wrong, "ties": ties, "seed": SEED}
    if not cuts:
        return None, f"needs more than {first_row} bars", numbers, None
    tied_too = f", {ties} ties" if ties else ""
    return not wrong, f"{what}: {wrong or 'none'} of {cuts} drawn rows differ{tied_too}", numbers, first


def _first(case: _Case, expected: Floats, found: Floats, *, begin: int = 0, cut: int = -1) -> Difference | None:
    bad, _ = differences(expected, found)
    if not bad.any():
        return None
    row, column = (int(n) for n in np.argwhere(bad)[0])
    values = [None if np.isnan(v) else float(v) for v in (expected[row, column], found[row, column])]
    return Difference(
        data=case.name, cut=int(case.panel.ts[cut]), ts=int(case.panel.ts[begin + row]),
        instrument=case.panel.ids[column], full=values[0], found=values[1],
    )  # fmt: skip


def _truncation(subject: _Subject) -> _Found:
    return _compared(subject, "later bars left out", 0, lambda case, row: (
        case.full[: row + 1], case.until(row)))  # fmt: skip


def _future_noise(subject: _Subject) -> _Found:
    return _compared(subject, "later bars replaced by noise", 0, lambda case, row: (
        case.full[: row + 1], case.says(noise_after(case.panel, row))[: row + 1]))  # fmt: skip


def _warm_up(subject: _Subject) -> _Found:
    """Compare with the history that ends at the same row: what looks ahead is not blamed for its warm-up, too."""
    size = subject.cases[0].warm_up
    return _compared(subject, f"only the last {size} bars shown", size, lambda case, row: (
        case.until(row)[-1:], case.says(case.panel.rows(row + 1 - size, row + 1))[-1:]))  # fmt: skip


def _lag(subject: _Subject) -> _Found:
    case = subject.cases[0]
    panel = case.panel
    ways = {"this_close": (panel.close, 0), "next_open": (panel.open, 1), "next_close": (panel.close, 1)}
    held = _held(case.full)
    numbers = {f"t_{name}": _t_value(held, prices, delay) for name, (prices, delay) in ways.items()}
    if np.count_nonzero(held.any(axis=1)) < _LAG_ROWS or not all(np.isfinite(list(numbers.values()))):
        return None, f"needs positions on {_LAG_ROWS} bars", {}, None
    now, later = numbers["t_this_close"], numbers["t_next_close"]
    shown = ", ".join(f"{name} {numbers[f't_{name}']:.1f}" for name in ways)
    return now < SUSPICIOUS_T or later > COLLAPSE * now, f"t of the gross return, filled at {shown}", numbers, None


def _held(said: Floats) -> Floats:
    """Return the strengths with each NaN replaced by the last view: NaN keeps the target; 0 before the first."""
    rows = np.where(np.isnan(said), -1, np.arange(len(said))[:, None])
    last = np.maximum.accumulate(rows, axis=0)
    held: Floats = np.where(last >= 0, np.take_along_axis(said, np.maximum(last, 0), axis=0), 0.0)
    return held


def _t_value(held: Floats, prices: Floats, delay: int) -> float:
    """Return mean over standard error of the gross return when bought at `prices`, `delay` bars after the decision."""
    moves = np.nan_to_num(prices[1:] / prices[:-1] - 1)[delay:]
    earned = (held[: len(moves)] * moves).mean(axis=1)
    return float(earned.mean() / earned.std() * np.sqrt(len(earned))) if earned.std() > 0 else float("nan")


RULES: dict[str, tuple[Callable[[_Subject], _Found], str]] = {
    "time_budget": (_time_budget, "Use arrays instead of loops, and a shorter warm-up: live has to decide in time."),
    "contract": (_contract, "Return strengths in [-1, 1] or NaN, even for a single bar, and change only copies."),
    "determinism": (_determinism, "Seed generators in signals(), sort what sets hold, keep no state, ask no clock."),
    "truncation": (_truncation, "Row t may use rows <= t only: no shift(-1), no fit, rank or fill over all rows."),
    "future_noise": (_future_noise, "Row t may use rows <= t only: look for conditions on what comes later."),
    "warm_up": (_warm_up, "Declare more warmup_bars, or let nothing run on from the first bar of the panel."),
    "lag": (_lag, "It knows the next bar (a fit to all data?), or lives off a close that nobody can trade at."),
}
"""The rules in their order, each with the hint how to mend what it finds."""
_FIRST = ("time_budget", "contract", "determinism")
