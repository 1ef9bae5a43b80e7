"""From the text of an instrument to the instrument."""

from robotrader.model import Instrument, Venue, stock


def instrument_of(text: str) -> Instrument:
    """Make the instrument named `SYMBOL` or `SYMBOL.VENUE`; without a known venue it trades on SMART.

    A suffix that is no venue belongs to the symbol: `BRK.B` is a share class.
    """
    symbol, _, suffix = text.rpartition(".")
    if symbol and suffix in Venue.__members__:
        return stock(symbol, Venue(suffix))
    return stock(text)
