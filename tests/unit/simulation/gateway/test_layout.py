"""Layouts as data: the notation, and the field counts that real gateways showed."""

from __future__ import annotations

import pytest

from robotrader.simulation.gateway import order_messages
from robotrader.simulation.gateway.wire import encode, names, split


def test_guards_and_constants() -> None:
    layout = "id=9 [<164]old=1 [163][<164]only [164]new empty= value"
    assert [n for n, _ in names(layout, 162)] == ["id", "old", "empty", "value"]
    assert [n for n, _ in names(layout, 163)] == ["id", "old", "only", "empty", "value"]
    assert [n for n, _ in names(layout, 164)] == ["id", "new", "empty", "value"]
    data = encode(layout, 163, {"only": 2.5, "value": True})
    assert split(data[4:].decode()) == ["9", "1", "2.5", "", "1"]
    with pytest.raises(KeyError):
        encode(layout, 164, {"value": 1})
    with pytest.raises(ValueError, match="layout token"):
        names("what?", 157)


@pytest.mark.parametrize(("version", "count"), [(157, 128), (173, 136), (178, 135), (200, 156)])
def test_open_order_has_its_fields(version: int, count: int) -> None:
    """136 at 173 is what a real gateway sent; the others were decoded by IBKR's own clients."""
    assert len(names(order_messages.OPEN_ORDER, version)) == count
