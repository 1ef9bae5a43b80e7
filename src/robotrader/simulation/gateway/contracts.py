"""Instruments as IBKR contracts: ids, look-up, and the fields that messages show of them."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from robotrader.model import Instrument, InstrumentId, Venue
from robotrader.simulation.gateway.requests import ContractQuery

_NO_EXCHANGE = frozenset({"", "SMART"})
_CACHE = 10_000


class Contracts:
    """The contracts that this gateway knows."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = tuple(instruments)
        self._con_ids: dict[InstrumentId, int] = {}
        for instrument in self._instruments:
            # From the name, so that an id does not depend on what else there is.
            con_id = 10_000_000 + crc32(instrument.id.encode()) % 900_000_000
            while con_id in self._con_ids.values():
                con_id += 1
            self._con_ids[instrument.id] = con_id
        self._found: dict[ContractQuery, tuple[Instrument, ...]] = {}
        self.fields: Mapping[InstrumentId, dict[str, object]] = {i.id: self._fields(i) for i in self._instruments}

    def find(self, query: ContractQuery) -> tuple[Instrument, ...]:
        """Return the instruments that fit the query."""
        found = self._found.get(query)
        if found is None:
            found = tuple(i for i in self._instruments if self._fits(i, query))
            if len(self._found) < _CACHE:
                self._found[query] = found
        return found

    def _fits(self, instrument: Instrument, query: ContractQuery) -> bool:
        if query.con_id:
            return query.con_id == self._con_ids[instrument.id]
        exchanges = _NO_EXCHANGE | {instrument.venue}
        return (
            query.sec_type == instrument.asset_class
            and (query.symbol or query.local_symbol) == instrument.symbol
            and query.currency in {"", instrument.currency}
            and query.exchange in exchanges
            and query.primary_exchange in exchanges
        )

    def _fields(self, instrument: Instrument) -> dict[str, object]:
        symbol, venue = instrument.symbol, instrument.venue
        return {
            "conId": self._con_ids[instrument.id],
            "symbol": symbol,
            "secType": instrument.asset_class,
            "multiplier": "" if instrument.multiplier == 1 else instrument.multiplier,
            "primaryExchange": "" if venue is Venue.SMART else venue,
            "currency": instrument.currency,
            "tradingClass": "NMS" if venue is Venue.NASDAQ else symbol,
            "minTick": instrument.tick,
            "lot": instrument.lot,
        }
