"""What fills add up to: round trips, profit by instrument, and costs."""

from collections import defaultdict, deque
from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats
from robotrader.model import CorporateActionBooked, Fill, InstrumentId, Posting, Side, StrategyId
from robotrader.research.metrics import ratios
from robotrader.research.recorded import RecordedRun

UNASSIGNED = "borrow fees"
UNEXPLAINED = "not in the fills"
_CENT = Decimal("0.01")


class RoundTrip(Struct, frozen=True, kw_only=True):
    """Units bought and sold again, first in, first out; `pnl` is after both commissions, times are ns UTC."""

    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    opened: int
    closed: int
    entry: Decimal
    exit: Decimal
    pnl: Decimal


class _Lot(Struct):
    units: Decimal  # signed
    price: Decimal
    ts: int
    fee: Decimal  # a unit


def round_trips(run: RecordedRun) -> list[RoundTrip]:
    """Pair entries with exits, first in, first out, by strategy and instrument; oldest exit first.

    A split scales the open lots, so prices are in the units of the exit.
    """
    open_lots: dict[tuple[StrategyId, InstrumentId], deque[_Lot]] = defaultdict(deque)
    found: list[RoundTrip] = []
    happened = [(f.ts_event, 1, f) for f in run.fills] + [(b.ts_event, 0, b) for b in run.record.booked]
    for _, _, what in sorted(happened, key=itemgetter(0, 1)):
        if isinstance(what, CorporateActionBooked):
            for p in what.postings:
                _convert(open_lots[p.strategy, p.instrument], p.quantity)
        else:
            fee = run.paid.get(what.exec_id, Decimal(0)) / what.quantity
            multiplier = run.record.instruments[what.instrument].multiplier
            found += _trade(open_lots[what.strategy, what.instrument], what, fee=fee, multiplier=multiplier)
    return found


def _convert(lots: deque[_Lot], more: int) -> None:
    held = sum((lot.units for lot in lots), Decimal(0))
    if not held or not held + more:
        lots.clear()
        return
    for lot in lots:
        lot.price, lot.fee = lot.price * held / (held + more), lot.fee * held / (held + more)
        lot.units *= (held + more) / held


def _trade(lots: deque[_Lot], fill: Fill, *, fee: Decimal, multiplier: Decimal) -> list[RoundTrip]:
    left, found = Decimal(fill.side.sign * fill.quantity), []
    while left and lots and lots[0].units * left < 0:
        lot = lots[0]
        closed = min(abs(lot.units), abs(left)).copy_sign(lot.units)
        gain = closed * (fill.price - lot.price) * multiplier - abs(closed) * (lot.fee + fee)
        side = Side.BUY if closed > 0 else Side.SELL
        found.append(RoundTrip(
            strategy=fill.strategy, instrument=fill.instrument, side=side, quantity=abs(closed), opened=lot.ts,
            closed=fill.ts_event, entry=lot.price, exit=fill.price, pnl=gain,
        ))  # fmt: skip
        lot.units, left = lot.units - closed, left + closed
        if not lot.units:
            lots.popleft()
    if left:
        lots.append(_Lot(units=left, price=fill.price, ts=fill.ts_event, fee=fee))
    return found


class Contribution(Struct, frozen=True, kw_only=True):
    """An instrument's share of the profit: `pnl` of its fills, price moves and dividends after `commission`."""

    instrument: str
    fills: int
    traded: Decimal
    commission: Decimal
    pnl: Decimal


def attribution(run: RecordedRun, total: Decimal) -> list[Contribution]:
    """Divide the profit by instrument; the rows add up to `total` exactly.

    Borrow fees have a row of their own, and so has what fills, prices and booked actions do not explain, to the cent.
    """
    fills, posted = defaultdict[str, list[Fill]](list), defaultdict[str, list[Posting]](list)
    for f in run.fills:
        fills[f.instrument].append(f)
    for p in (p for b in run.record.booked for p in b.postings):
        posted[p.instrument].append(p)
    rows = []
    for iid, known in run.record.instruments.items():
        units = sum(f.side.sign * f.quantity for f in fills[iid]) + sum(p.quantity for p in posted[iid])
        flow = sum((p.cash for p in posted[iid]), -sum((f.side.sign * _value(run, f) for f in fills[iid]), Decimal(0)))
        commission = sum((run.paid.get(f.exec_id, Decimal(0)) for f in fills[iid]), Decimal(0))
        rows.append(Contribution(
            instrument=iid, fills=len(fills[iid]), traded=sum((_value(run, f) for f in fills[iid]), Decimal(0)),
            commission=commission, pnl=flow + units * known.multiplier * (known.last or 0) - commission,
        ))  # fmt: skip
    rows = sorted(rows, key=lambda row: -row.pnl)
    borrowed = Decimal(run.facts.get("borrow_cost") or 0)
    for name, pnl in ((UNASSIGNED, -borrowed), (UNEXPLAINED, total - sum((r.pnl for r in rows), -borrowed))):
        if (name == UNASSIGNED and pnl) or abs(pnl) >= _CENT / 2:
            rows.append(Contribution(instrument=name, fills=0, traded=Decimal(0), commission=Decimal(0), pnl=pnl))
    return rows


class Costs(Struct, frozen=True, kw_only=True):
    """What trading cost, in account currency; None: nobody recorded it. `spread` follows from the assumed spread."""

    commission: Decimal
    spread: Decimal | None
    impact: Decimal | None
    borrow: Decimal | None

    @property
    def total(self) -> Decimal | None:
        """Return the sum, None where a part is unknown."""
        parts = (self.commission, self.spread, self.impact, self.borrow)
        return sum((p for p in parts if p is not None), Decimal(0)) if None not in parts else None


def costs(run: RecordedRun) -> Costs:
    """Return the costs of a run; of the slippage, the assumed half spread of all that was traded is the spread."""
    commission, assumed = sum(run.paid.values(), Decimal(0)), run.facts.get("assumptions") or {}
    slipped, borrow = run.facts.get("slippage_cost"), run.facts.get("borrow_cost")
    if slipped is None or borrow is None:
        return Costs(commission=commission, spread=None, impact=None, borrow=None)
    impact = Decimal(0)
    if Decimal(assumed.get("impact", 0)):
        traded = sum((_value(run, f) for f in run.fills), Decimal(0))
        impact = max(Decimal(slipped) - traded * Decimal(assumed.get("half_spread_bps", 0)) / 10_000, Decimal(0))
    return Costs(commission=commission, spread=Decimal(slipped) - impact, impact=impact, borrow=Decimal(borrow))


def _value(run: RecordedRun, fill: Fill) -> Decimal:
    return fill.price * fill.quantity * run.record.instruments[fill.instrument].multiplier


def scaled(run: RecordedRun, paid: Costs, times: Sequence[float]) -> dict[str, Floats]:
    """Return the ratios of a run had its costs been so many times as high and its trades the same, shape (n_times,).

    Nothing is run again: commissions fall on the day of their fill, slippage on the days in proportion to what was
    traded, borrow fees in proportion to what was short.
    """
    daily, count = run.daily, len(run.daily["ts"])
    commission, traded = np.zeros(count), np.zeros(count)
    for f in run.fills:
        day = min(int(daily["ts"].searchsorted(f.ts_event)), count - 1)
        commission[day] += float(run.paid.get(f.exec_id, 0))
        traded[day] += float(_value(run, f))
    cost = commission + _spread_over(float((paid.spread or 0) + (paid.impact or 0)), traded)
    cost += _spread_over(float(paid.borrow or 0), np.nan_to_num(daily["gross"] - daily["net"]))
    curves = daily["equity"][:, None] - np.cumsum(cost)[:, None] * (np.array(times) - 1)
    return ratios(np.concatenate((np.full((1, len(times)), float(run.record.capital)), curves)))


def _spread_over(amount: float, weights: Floats) -> Floats:
    total = weights.sum()
    return weights * (amount / total) if total > 0 else np.zeros(len(weights))
