"""What clients may ask (knowledge file `ibkr.md` 1.7), in all dialects of 157 to 200.

ib_async leaves unset fields empty, the official clients send literal unset numbers: both read as None.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from msgspec import Struct

from robotrader.simulation.gateway.wire import UNSET, Malformed, names

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DIGITS = 15
_ZERO = UNSET | {"0", "0.0", "false"}

_CONTRACT = """conId symbol secType expiry strike right multiplier exchange primaryExchange currency localSymbol
tradingClass"""
_LAYOUTS = {
    "1": ("quotes", f"v reqId {_CONTRACT} deltaNeutral generics snapshot"), "2": ("end quotes", "v reqId"),
    "4": ("cancel order", "[<192]v reqId"), "5": ("own open orders", ""),
    "6": ("account updates", "v subscribe account"),
    "7": ("executions", "v reqId clientId account time symbol secType exchange side [200]lastDays [200]dates"),
    "8": ("next id", ""),
    "9": ("contract details", f"v reqId {_CONTRACT} expired secIdType secId [176]issuerId"),
    "15": ("bind orders", "v bind"), "16": ("all open orders", ""), "17": ("accounts", ""),
    "20": ("history", f"reqId {_CONTRACT} expired end barSize duration regular what format keep"),
    "25": ("end history", "v reqId"), "49": ("time", ""), "58": ("cancel all", ""),
    "50": ("real-time bars", f"v reqId {_CONTRACT} barSize what regular"), "51": ("end real-time bars", "v reqId"),
    "59": ("market data type", "v kind"), "61": ("positions", ""), "64": ("end positions", ""),
    "62": ("account summary", "v reqId group tags"), "63": ("end account summary", "v reqId"),
    "71": ("start", "v clientId"), "74": ("model positions", "v reqId account model"),
    "75": ("end model positions", "v reqId"), "76": ("account values", "v reqId account model ledger"),
    "77": ("end account values", "v reqId"), "80": ("family codes", ""), "81": ("symbols", "reqId pattern"),
    "87": ("head timestamp", f"reqId {_CONTRACT} expired regular what format"), "90": ("end head timestamp", "reqId"),
    "91": ("market rule", "rule"), "92": ("profit", "reqId account model"), "93": ("end profit", "reqId"),
    "94": ("single profit", "reqId account model conId"), "95": ("end single profit", "reqId"),
    "97": ("ticks", f"reqId {_CONTRACT} kind"), "98": ("end ticks", "reqId"), "99": ("completed orders", "apiOnly"),
    "104": ("user info", "reqId"),
}  # fmt: skip
_ORDER = f"""reqId {_CONTRACT} secIdType secId action quantity type limit aux
tif ocaGroup account openClose origin orderRef transmit parentId block sweep displaySize trigger outsideRth hidden
sharesAllocation discretionary goodAfterTime goodTillDate faGroup faMethod faPercentage [<177]faProfile model
shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset eTrade
firmQuote nbboCap auction startPrice stockRef delta rangeLow rangeHigh override volatility volType dnType dnAux
contUpdate refPriceType trailStop trailPercent scaleInit scaleSubs scaleIncrement scaleTable activeStart activeStop
hedgeType optOut clearingAccount clearingIntent notHeld dnContract algoStrategy algoId whatIf miscOptions solicited
randomSize randomPrice conditions adjustedType triggerPrice limitOffset adjustedStop adjustedStopLimit
adjustedTrailing adjustedUnit extOperator softName softValue cashQty"""
_NOT_HERE = frozenset({
    "hidden", "discretionary", "goodAfterTime", "faGroup", "model", "allOrNone", "minQty", "percentOffset", "dnType",
    "scaleInit", "scaleSubs", "scaleIncrement", "hedgeType", "dnContract", "algoStrategy", "conditions", "cashQty",
})  # fmt: skip


class Refused(Exception):
    """A request reads well but cannot be done; carries IBKR's error code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class ContractQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A contract as a client names it; empty fields match everything."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""


class PlaceOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new order, or new terms of an open one; `unsupported` is the first attribute set that is not simulated."""

    order_id: int
    contract: ContractQuery
    action: str
    quantity: Decimal | None
    order_type: str
    limit: Decimal | None
    aux: Decimal | None
    tif: str
    account: str
    order_ref: str
    outside_rth: bool = False
    unsupported: str = ""
    transmit: bool = True
    parent_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    good_till: str = ""
    trail_stop: Decimal | None = None
    trail_percent: Decimal | None = None
    what_if: bool = False


class Request(NamedTuple):
    """One message by what it asks for; `req_id` is -1 where there is none, `rest` holds what follows the layout."""

    what: str
    values: Mapping[str, str]
    req_id: int = -1
    rest: tuple[str, ...] = ()

    def flag(self, name: str) -> bool:
        """Return a field as a truth value; unset is false."""
        return self.values[name] not in _ZERO

    def integer(self, name: str) -> int | None:
        """Return a field as a whole number; unset is None."""
        found = self.values[name]
        if found in UNSET:
            return None
        if not _INTEGER.fullmatch(found):
            raise Malformed(f"{name}: expected a whole number, found {found[:40]!r}")
        return int(found)

    def required(self, name: str) -> int:
        """Return a field as a whole number that must be there."""
        found = self.integer(name)
        if found is None:
            raise Malformed(f"{name}: a number is missing")
        return found

    def decimal(self, name: str) -> Decimal | None:
        """Return a field as an exact number; unset is None."""
        found = self.values[name]
        if found in UNSET:
            return None
        try:
            value = Decimal(found)
        except InvalidOperation:
            raise Malformed(f"{name}: expected a number, found {found[:40]!r}") from None
        if not value.is_finite() or abs(value.adjusted()) > _DIGITS:
            raise Malformed(f"{name}: no quantity or price is {found[:40]!r}")
        return value

    @property
    def contract(self) -> ContractQuery:
        """Return the contract that the message names."""
        values = self.values
        return ContractQuery(
            con_id=self.integer("conId") or 0, symbol=values["symbol"] or values["localSymbol"],
            sec_type=values["secType"], exchange=values["exchange"], primary_exchange=values["primaryExchange"],
            currency=values["currency"],
        )  # fmt: skip

    @property
    def order(self) -> PlaceOrder:
        """Return the order that the message places.

        Some attributes bring further fields when they are set. None of those is simulated, so that the fields
        after the first one need no reading.
        """
        values = self.values
        unsupported = next((n for n, v in values.items() if n in _NOT_HERE and v not in _ZERO), "")
        return PlaceOrder(
            order_id=self.req_id, contract=self.contract, action=values["action"], quantity=self.decimal("quantity"),
            order_type=values["type"], limit=self.decimal("limit"), aux=self.decimal("aux"), tif=values["tif"],
            account=values["account"], order_ref=values["orderRef"], outside_rth=self.flag("outsideRth"),
            unsupported=unsupported, transmit=self.flag("transmit"), parent_id=self.integer("parentId") or 0,
            oca_group=values["ocaGroup"], oca_type=self.integer("ocaType") or 0, good_till=values["goodTillDate"],
            trail_stop=self.decimal("trailStop"), trail_percent=self.decimal("trailPercent"),
            what_if=self.flag("whatIf"),
        )  # fmt: skip


def decode(fields: list[str], version: int) -> Request:
    """Return the request that these fields are; Refused for an unknown message, Malformed when fields are missing."""
    number = fields[0] if fields else ""
    what, layout = ("place order", _ORDER) if number == "3" else _LAYOUTS.get(number, ("", ""))
    if not what:
        raise Refused(321, f"Error validating request: cause - Unknown message id {number[:20]!r}")
    wanted = [name for name, _ in names(layout, version)]
    if len(fields) <= len(wanted):
        raise Malformed(f"{what}: expected {len(wanted)} fields, found {len(fields) - 1}")
    request = Request(what, dict(zip(wanted, fields[1:], strict=False)), rest=tuple(fields[len(wanted) + 1 :]))
    return request._replace(req_id=request.required("reqId")) if "reqId" in wanted else request
