"""Instruments as IBKR contracts: ids, look-up, and the fields that messages show of them."""

from collections.abc import Iterable
from decimal import Decimal
from zlib import crc32

from robotrader.model import Instrument, InstrumentId, Venue
from robotrader.simulation.gateway.requests import ContractQuery, Refused

NO_SECURITY = "No security definition has been found for the request"
_AMBIGUOUS = "The contract description specified is ambiguous; give conId or primaryExchange"
_FIRST_RULE = 26
_NO_EXCHANGE = frozenset({"", "SMART"})


class Contracts:
    """The contracts that this gateway knows; `fields` are their values by the names of the message layouts.

    `rules` are the price steps by the number of their market rule.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_symbol: dict[str, list[Instrument]] = {}
        self._by_con_id: dict[int, list[Instrument]] = {}
        self.fields: dict[InstrumentId, dict[str, object]] = {}
        self.rules: dict[int, Decimal] = {}
        for instrument in instruments:
            # From the name, so that an id does not depend on what else there is.
            con_id = 10_000_000 + crc32(instrument.id.encode()) % 900_000_000
            self._by_symbol.setdefault(instrument.symbol, []).append(instrument)
            self._by_con_id.setdefault(con_id, []).append(instrument)
            rule = next((n for n, tick in self.rules.items() if tick == instrument.tick), _FIRST_RULE + len(self.rules))
            self.rules[rule] = instrument.tick
            self.fields[instrument.id] = _fields(instrument, con_id, rule)

    def find(self, query: ContractQuery) -> list[Instrument]:
        """Return the instruments that fit the query."""
        if query.con_id:
            return self._by_con_id.get(query.con_id, [])
        return [i for i in self._by_symbol.get(query.symbol, []) if _fits(i, query)]

    def one(self, query: ContractQuery) -> Instrument:
        """Return the only instrument that fits the query; refuse (200) when there is none, or more than one."""
        found = self.find(query)
        if len(found) != 1:
            raise Refused(200, _AMBIGUOUS if found else NO_SECURITY)
        return found[0]


def _fits(instrument: Instrument, query: ContractQuery) -> bool:
    exchanges = _NO_EXCHANGE | {instrument.venue}
    return (
        query.sec_type == instrument.asset_class
        and query.currency in {"", instrument.currency}
        and query.exchange in exchanges
        and query.primary_exchange in exchanges
    )


def _fields(instrument: Instrument, con_id: int, rule: int) -> dict[str, object]:
    symbol, venue = instrument.symbol, instrument.venue
    exchanges = dict.fromkeys(("SMART", venue.value))
    return {
        "conId": con_id, "symbol": symbol, "secType": instrument.asset_class,
        "multiplier": "" if instrument.multiplier == 1 else instrument.multiplier,
        "primaryExchange": "" if venue is Venue.SMART else venue, "currency": instrument.currency,
        "tradingClass": "NMS" if venue is Venue.NASDAQ else symbol, "minTick": instrument.tick, "lot": instrument.lot,
        "exchanges": ",".join(exchanges), "marketRules": ",".join(str(rule) for _ in exchanges),
    }  # fmt: skip
