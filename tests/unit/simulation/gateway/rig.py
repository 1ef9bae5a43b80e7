"""ib_async's decoder and encoder as independent oracles, and a market of a few bars."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any

import numpy as np
from ib_async.client import Client
from ib_async.decoder import Decoder

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, Instrument, Venue, stock
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder, Request, decode
from robotrader.simulation.gateway.wire import split
from robotrader.simulation.venue import FillAt
from robotrader.simulation.venue import Venue as MatchingVenue

SECOND = 10**9
AAPL = stock("AAPL", Venue.NASDAQ)
IBM = stock("IBM", Venue.NYSE)
FIRST_OPEN = 1_704_205_800 * SECOND  # Tuesday 2024-01-02 09:30 New York
SESSION = 23_400 * SECOND
DAY = 86_400 * SECOND


class Heard:
    """A wrapper that notes every callback."""

    defaultTimezone = UTC  # noqa: N815 - the name that the decoder looks for

    def __init__(self) -> None:
        self.ib = type("NoFacade", (), {"TimezoneTWS": None})
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, args))


def heard(version: int, *frames: bytes) -> list[tuple[str, tuple[Any, ...]]]:
    """Return what ib_async's decoder makes of frames."""
    wrapper = Heard()
    make: Any = Decoder
    decoder = make(wrapper, version)
    for data in frames:
        decoder.interpret(split(data[4:].decode()))
    return wrapper.calls


def asked(version: int, method: str, *args: Any) -> Request:
    """Return what we make of a request that ib_async wrote."""
    make: Any = Client
    client = make(Heard())
    client.connState, client._serverVersion = Client.CONNECTED, version
    sent: list[str] = []
    client.sendMsg = sent.append
    getattr(client, method)(*args)
    return decode(split(sent[0]), version)


def panel(
    *rows: tuple[float, float, float, float], spec: BarSpec = BarSpec.DAY, instruments: tuple[Instrument, ...] = (AAPL,)
) -> Panel:
    """Return daily bars (open, high, low, close) of every instrument, on consecutive days."""
    count, width = len(rows), len(instruments)
    opened = FIRST_OPEN + DAY * np.arange(count, dtype=np.int64)
    prices = np.array(rows, dtype=np.float64)
    o, h, lo, c = (np.repeat(prices[:, k : k + 1], width, axis=1) for k in range(4))
    return Panel(
        instruments=instruments, spec=spec, opened=opened, ts=opened + SESSION, open=o, high=h, low=lo, close=c,
        volume=np.full((count, width), 1e6),
    )  # fmt: skip


def flat(count: int, **options: Any) -> Panel:
    """Return bars that open at 100, range 1 each way and close at 100.5."""
    return panel(*[(100.0, 101.0, 99.0, 100.5)] * count, **options)


def book(
    data: Panel,
    *,
    costs: str = "none",
    fill: FillAt = FillAt.NEXT_OPEN,
    participation: float | None = None,
    tells_hours: bool = False,
) -> Book:
    market = Market(data)
    venue = MatchingVenue(
        market.instruments, cost_model(costs), fill=fill, half_spread_bps=Decimal(0), participation=participation
    )
    return Book(market, venue, Account("DU1", Decimal(100_000), market.instruments), tells_hours=tells_hours)


def wire_order(order_id: int = 1, *, action: str = "BUY", quantity: int = 100, **more: Any) -> PlaceOrder:
    values: dict[str, Any] = {
        "contract": ContractQuery(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD"), "order_type": "MKT",
        "limit": None, "aux": None, "tif": "DAY", "account": "", "order_ref": "RT-ONE",
    }  # fmt: skip
    return PlaceOrder(order_id=order_id, action=action, quantity=Decimal(quantity), **(values | more))
