"""What a demo did: the trader's journal, judged by the gateway's own record of placements and executions."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct

from robotrader import bootstrap
from robotrader.execution.fingerprint import fills_hash, orders_hash
from robotrader.model import OrderState, VirtualTraded
from robotrader.ports import FillRow, OrderRow
from robotrader.simulation.gateway.record import GatewayRecord

ALL = 10_000_000


class Judgement(Struct, frozen=True, kw_only=True):
    """The two records compared; every list names what only one side has."""

    duplicate_orders: tuple[str, ...]
    lost_fills: tuple[str, ...]
    invented_fills: tuple[str, ...]
    unknown_orders: tuple[str, ...]
    never_received: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Tell whether both sides say the same; an order that was voided as never received is no difference."""
        return not (
            self.duplicate_orders or self.lost_fills or self.invented_fills or self.unknown_orders or self.differences
        )


def judge(
    record: GatewayRecord, orders: tuple[OrderRow, ...], fills: tuple[FillRow, ...], *,
    positions: dict[str, int], cash: Decimal | None,
) -> Judgement:  # fmt: skip
    """Compare the trader's journal with what the gateway received and executed."""
    placed = Counter(p.order_ref for p in record.placements if not p.modify)
    known = {row.working.order.id: row.working for row in orders}
    executed = {e.exec_id.rpartition(".")[0]: (e.order_ref, e.quantity, e.price) for e in record.executions}
    booked = {f.fill.exec_id: (f.fill.order_id, f.fill.quantity, f.fill.price) for f in fills if not f.fill.crossed}
    differences = [
        f"{exec_id}: gateway {executed[exec_id]}, journal {booked[exec_id]}"
        for exec_id in executed.keys() & booked.keys()
        if executed[exec_id] != booked[exec_id]
    ]
    theirs = {str(iid): quantity for iid, quantity in record.positions.items()}
    if theirs != positions:
        differences.append(f"positions: gateway {theirs}, journal {positions}")
    if cash is not None and cash != record.cash:
        differences.append(f"cash: gateway {record.cash}, journal {cash}")
    sent = {i for i, w in known.items() if w.broker_order_id is not None}
    never = {i for i in sent if i not in placed}
    differences += [f"{i}: sent, never received, but {known[i].state}" for i in never
                    if known[i].state is not OrderState.VOIDED]  # fmt: skip
    return Judgement(
        duplicate_orders=tuple(ref for ref, n in placed.items() if n > 1),
        lost_fills=tuple(sorted(executed.keys() - booked.keys())),
        invented_fills=tuple(sorted(booked.keys() - executed.keys())),
        unknown_orders=tuple(ref for ref in placed if ref not in known),
        never_received=tuple(sorted(never)),
        differences=tuple(differences),
    )


def report(state: Path, *, seconds: float, restarts: int) -> dict[str, Any]:
    """Return the demo's result; ids and receive times are left out of the hashes."""
    reader, verified = bootstrap.reader(state), bootstrap.verify(state)
    orders, fills = tuple(reader.orders(limit=ALL)), tuple(reader.fills(limit=ALL))
    account = reader.account()
    mark = account.mark
    positions = {str(p.instrument): p.quantity for p in reader.positions() if p.strategy is None and p.quantity}
    outside = {OrderState.DENIED, OrderState.VOIDED}
    sent = [row.working.order for row in orders if row.working.state not in outside]
    # The last mark is of the last bar; every fill and commission after it is in the broker's own report.
    judged = judge(GatewayRecord.read(state), orders, fills, positions=positions,
                   cash=None if mark is None else _cash(mark.cash, mark.ts, fills))  # fmt: skip
    failed = [name for name, result in verified.invariants.items() if not result.ok]
    return {
        "orders": len(sent),
        "fills": len(fills),
        "virtual_fills": sum(len(told.fills) for told in reader.commands(VirtualTraded)),
        "denied": sum(row.working.state is OrderState.DENIED for row in orders),
        "voided": [row.working.order.id for row in orders if row.working.state is OrderState.VOIDED],
        "orders_hash": orders_hash(sent),
        "fills_hash": fills_hash(row.fill for row in fills),
        "positions": positions,
        "cash": None if mark is None else mark.cash,
        "equity": None if mark is None else mark.equity,
        "realized_pnl": None if mark is None else mark.realized_pnl,
        "commission": None if mark is None else mark.commission,
        "reconciled": judged.clean and verified.ok,
        "invariants_checked": sum(result.checked > 0 for result in verified.invariants.values()),
        "invariants_violated": len(failed),
        "duplicate_orders": len(judged.duplicate_orders),
        "lost_fills": len(judged.lost_fills),
        "never_received": list(judged.never_received),
        "differences": [*judged.differences, *judged.unknown_orders, *judged.invented_fills, *failed],
        "chain_ok": verified.chain_ok,
        "restarts": restarts,
        "state": str(state),
        "data_note": "real daily bars 2000-2013 (bokeh_sampledata); prices scaled by Adj Close / Close",
        "seconds": round(seconds, 3),
    }


def _cash(cash: Decimal, ts: int, fills: tuple[FillRow, ...]) -> Decimal:
    """Return the marked cash; fills taken in after the mark move it on."""
    for row in fills:
        if row.ts > ts:
            cash -= row.fill.side.sign * row.fill.quantity * row.fill.price + (row.commission or Decimal(0))
    return cash
