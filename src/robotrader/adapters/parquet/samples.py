"""Real daily bars that come with the bokeh_sampledata package, which parses them when it is imported."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh_sampledata import stocks

from robotrader.adapters.calendar import sessions_of
from robotrader.data.frame import DAY_NS, BarFrame, concat, place_on_sessions
from robotrader.data.panel import PRICES
from robotrader.model import Instrument, Venue, stock

NOTE = "real daily bars 2000-2013 (bokeh_sampledata); prices scaled by Adj Close / Close, volume as traded"

_VENUES = {"AAPL": Venue.NASDAQ, "GOOG": Venue.NASDAQ, "IBM": Venue.NYSE, "MSFT": Venue.NASDAQ}


def sample_bars(symbols: Sequence[str]) -> tuple[BarFrame, tuple[Instrument, ...]]:
    """Return the sample's bars of these symbols on their sessions, and their instruments.

    They pass the gate without a finding that costs a row: a test says so, which saves every start the gate.
    Open, high, low and close are scaled by Adj Close / Close, so that splits and dividends make no jumps.
    """
    days = concat([_on_days(symbol) for symbol in symbols])
    return place_on_sessions(days, sessions_of(days.start)), tuple(stock(s, _VENUES[s]) for s in symbols)


def _on_days(symbol: str) -> BarFrame:
    raw: dict[str, Any] = {name: np.array(cells) for name, cells in getattr(stocks, symbol).items()}
    days = raw["date"].astype("datetime64[D]").astype(np.int64) * DAY_NS
    factor = raw["adj_close"] / raw["close"]
    return BarFrame(
        symbols=(symbol,), row=np.arange(1, len(days) + 1), symbol=np.zeros(len(days), np.int64), start=days, end=days,
        **{name: raw[name] * factor for name in PRICES}, volume=raw["volume"].astype(np.float64),
    )  # fmt: skip
