"""Hashes of what was decided and done, so that two runs can be compared: ids and receive times left out."""

import hashlib
from collections.abc import Iterable

from robotrader.model import Fill, Order


def orders_hash(orders: Iterable[Order]) -> str:
    """Hash decision time, strategy, instrument and terms of the orders, in a canonical order."""
    return _hash(
        (o.ts_event, o.strategy, o.instrument, o.side, o.quantity, o.type, o.limit_price, o.stop_price, o.tif)
        for o in orders
    )


def fills_hash(fills: Iterable[Fill]) -> str:
    """Hash execution time, strategy, instrument, side, quantity and price of the fills, in a canonical order."""
    return _hash((f.ts_event, f.strategy, f.instrument, f.side, f.quantity, f.price) for f in fills)


def _hash(rows: Iterable[tuple[object, ...]]) -> str:
    text = "\n".join(sorted("|".join(map(str, row)) for row in rows))
    return hashlib.sha256(text.encode()).hexdigest()
