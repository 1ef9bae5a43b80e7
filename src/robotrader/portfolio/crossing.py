"""Opposite orders of several strategies meet inside, at one price, before the broker sees any. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from robotrader.model import StrategyId


class Transfer(NamedTuple):
    """`seller` gives `buyer` so many units at a price: two book entries that add up to zero."""

    buyer: StrategyId
    seller: StrategyId
    quantity: int
    price: Decimal


def cross(wanted: Mapping[StrategyId, int], price: Decimal) -> tuple[Transfer, ...]:
    """Cross what strategies want to trade (signed units) of one instrument at one time.

    The smallest trades of each side meet first, ties by id: what remains is on one side only, and belongs to those
    that have most to trade.
    """
    left = {name: quantity for name, quantity in wanted.items() if quantity}
    order = sorted(left, key=lambda name: (abs(left[name]), name))
    buyers, sellers = ([name for name in order if left[name] * sign > 0] for sign in (1, -1))
    transfers = []
    while buyers and sellers:
        buyer, seller = buyers[0], sellers[0]
        quantity = min(left[buyer], -left[seller])
        transfers.append(Transfer(buyer, seller, quantity, price))
        left[buyer] -= quantity
        left[seller] += quantity
        for side in (buyers, sellers):
            if not left[side[0]]:
                side.pop(0)
    return tuple(transfers)
