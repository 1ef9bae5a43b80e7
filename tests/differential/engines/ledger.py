"""A ledger of a few lines that plays a job by rules: as made, by ours; changed, by those of another engine."""

import math
from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from tests.differential.engines.drivers.exchange import Fills, Floats, Job, merged

Record = tuple[Fills, float]
"""Fills in their one order, and the final equity."""
TICK = 0.01


class Rules(Struct, frozen=True, kw_only=True):
    """By what a ledger plays; as made: as our engines do."""

    cents: bool = False  # commissions and realised profits are rounded to cents, halves up
    valued_late: bool = False  # a share of the equity is measured when the order fills, not when it is decided
    fee_within: bool = False  # the commission is paid out of the share of the equity
    toward_zero: bool = False  # the change of a position is rounded down, not the target
    cash: str = "free"  # what a purchase beyond the cash does: free (a debit), cut, refuse
    second_bar: bool = False  # the first bar decides nothing, the second does it instead
    last_bar: bool = True  # what the last bar decides can fill at its close
    shallow: bool = False  # so much fills as is there at the close, what is beyond a tick worse
    unseen: bool = False  # a fill at the close of a bar comes after what that bar decides
    first_only: bool = False  # late orders of all instruments fill when the first one's bar is there


class _State(Struct):
    """What the ledger holds; `paid` is the average price of each position."""

    held: Floats
    paid: Floats
    cash: float

    def book(self, k: int, units: float, price: float) -> float:
        """Book an execution without its commission and return the profit that it realises."""
        before = self.held[k]
        closed = 0.0 if units * before >= 0 else math.copysign(min(abs(units), abs(before)), before)
        gained = (price - self.paid[k]) * closed
        self.cash -= units * price
        self.held[k] += units
        if not closed:
            self.paid[k] = (self.paid[k] * before + price * units) / self.held[k]
        elif abs(units) > abs(before):
            self.paid[k] = price
        return float(gained)


def play(job: Job, rules: Rules) -> Record:
    """Play a job by the rules."""
    nothing = np.zeros(len(job.symbols))
    now, fills, late = _State(nothing, nothing, job.cash), Fills(), job.fill != "this_close"
    known, filled = now, -1
    for decided, wants in _decisions(job, rules):
        row = decided + late
        if row == len(job.ts) or (row == len(job.ts) - 1 and not late and not rules.last_bar):
            break
        prices = _prices(job, rules, row, decided)
        seen = known if rules.unseen and filled == decided else now
        values = prices if rules.valued_late else job.close[decided]
        changes = _changes(
            job, rules, wants, held=now.held, values=values, equity=float(seen.cash + seen.held @ values)
        )
        known, now, filled = now, _State(now.held.copy(), now.paid.copy(), now.cash), row
        for k in np.argsort(changes, kind="stable"):  # sales first
            units = _affordable(changes[k], prices[k] * (1 + job.fee), cash=now.cash, rule=rules.cash)
            for part, price in _levels(units, prices[k], _room(job, rules, row, k)):
                fee, gained = abs(part) * price * job.fee, now.book(k, part, price)
                now.cash += _cents(gained) - gained - _cents(round(fee, 8)) if rules.cents else -fee
                fills.append((row, int(k), int(part), float(price)))
    return merged(fills), float(now.cash + now.held @ job.close[-1])


def _decisions(job: Job, rules: Rules) -> Iterator[tuple[int, Floats]]:
    wants = job.wants
    if rules.second_bar:
        wants = wants.copy()
        wants[1] = np.where(np.isnan(wants[1]), wants[0], wants[1])
        wants[0] = np.nan
    for row in np.flatnonzero(~np.isnan(wants).all(axis=1)):
        yield int(row), wants[row]


def _prices(job: Job, rules: Rules, row: int, decided: int) -> Floats:
    prices: Floats = (job.open if job.fill == "next_open" else job.close)[row].copy()
    if rules.first_only:
        prices[1:] = job.close[decided, 1:]
    return prices


def _changes(job: Job, rules: Rules, wants: Floats, *, held: Floats, values: Floats, equity: float) -> Floats:
    """Return the signed changes of the position, 0 where nothing is wanted."""
    if not job.shares:
        return np.nan_to_num(wants - held)
    amount = wants * max(equity, 0.0) / values - held
    if rules.fee_within:
        amount = np.where(wants == 0, amount, amount / (1 + np.sign(amount) * job.fee))
    return np.nan_to_num(np.trunc(amount) if rules.toward_zero else np.floor(amount))


def _affordable(units: float, cost: float, *, cash: float, rule: str) -> float:
    """Return what of a purchase the cash allows; `cost` is a unit's price and commission."""
    if units <= 0 or rule == "free" or units * cost <= cash:
        return units
    return 0.0 if rule == "refuse" else math.floor(cash / cost)


def _room(job: Job, rules: Rules, row: int, k: int) -> float:
    if not rules.shallow:
        return math.inf
    quarter = job.volume[row, k] // 4
    return float(quarter if job.close[row, k] == job.low[row, k] else job.volume[row, k] - 3 * quarter)


def _levels(units: float, price: float, room: float) -> list[tuple[float, float]]:
    first = math.copysign(min(abs(units), room), units)
    beyond = round(price + math.copysign(TICK, units), 2)
    return [(part, at) for part, at in ((first, price), (units - first, beyond)) if part]


def _cents(amount: float) -> float:
    return math.copysign(math.floor(abs(amount) * 100 + 0.5) / 100, amount)


def same(one: Record, other: Record) -> bool:
    """Tell whether two records are equal: every fill, and the final equity within a cent."""
    return [tuple(f) for f in one[0]] == [tuple(f) for f in other[0]] and abs(one[1] - other[1]) < 0.01
