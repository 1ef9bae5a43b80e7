"""The orders of a run of the kernel with stops or targets, as the event engine has them."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from robotrader.model import (
    InstrumentId,
    Order,
    OrderId,
    OrderType,
    Purpose,
    Side,
    StrategyId,
    TimeInForce,
    derive_order_id,
)
from robotrader.research import kernel_layout as layout
from robotrader.research.kernel_layout import Run

_KINDS = (
    (Purpose.TARGET, OrderType.MARKET, TimeInForce.DAY),
    (Purpose.STOP_LOSS, OrderType.STOP, TimeInForce.GTC),
    (Purpose.TAKE_PROFIT, OrderType.LIMIT, TimeInForce.GTC),
)
_FIELDS = (layout.L_KIND, layout.L_SIZE, layout.L_PRICE, layout.L_TS, layout.L_ATTEMPT, layout.L_PARENT, layout.L_GROUP)


def linked_orders(
    run: Run, slots: Sequence[tuple[StrategyId, InstrumentId, str]], ticks: Mapping[InstrumentId, Decimal]
) -> Iterator[Order]:
    """Yield the orders as they were decided; `slots` are (strategy, instrument, version)."""
    count = run.totals[layout.ORDERS]
    rows = run.links[:count][:, _FIELDS].tolist()
    where = run.orders[:count, layout.O_SLOT].tolist()
    ids: list[OrderId] = [
        derive_order_id(strategy=slots[slot][0], version=slots[slot][2], ts_event=ts, instrument=slots[slot][1],
                        purpose=_KINDS[kind][0], n=attempt)
        for slot, (kind, _, _, ts, attempt, _, _) in zip(where, rows, strict=True)
    ]  # fmt: skip
    for key, slot, (kind, size, price, ts, _, parent, group) in zip(ids, where, rows, strict=True):
        strategy, iid, _ = slots[slot]
        purpose, order_type, tif = _KINDS[kind]
        yield Order(
            id=key, strategy=strategy, instrument=iid, side=Side.BUY if size > 0 else Side.SELL, quantity=abs(size),
            ts_event=ts, type=order_type, tif=tif, purpose=purpose, parent=ids[parent] if parent >= 0 else None,
            stop_price=price * ticks[iid] if kind == layout.STOP else None,
            limit_price=price * ticks[iid] if kind == layout.LIMIT else None,
            oca_group=f"OCA-{ids[group]}" if group >= 0 else None,
        )  # fmt: skip
