"""What clients may ask: messages decoded to frozen records (knowledge file `ibkr.md` 1.7).

Decoders accept all dialects of 157 to 200: ib_async leaves unset fields empty, the official clients
send literal unset numbers.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct

from robotrader.simulation.gateway.layout import names
from robotrader.simulation.gateway.wire import UNSET_DOUBLE, UNSET_INTEGER, Fields


class Refused(Exception):
    """A request reads well but cannot be done; carries IBKR's error code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class ContractQuery(Struct, frozen=True, kw_only=True):
    """A contract as a client names it; empty fields match everything."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""


class Request(Struct, frozen=True, kw_only=True):
    """Base of all requests; `req_id` is -1 where the protocol has none."""

    req_id: int = -1


class Simple(Request, frozen=True, kw_only=True):
    """A message that holds no more than an id, if that; `what` as in `_SIMPLE`."""

    what: str


class StartApi(Request, frozen=True, kw_only=True):
    """71: the client says who it is."""

    client_id: int


class AccountUpdates(Request, frozen=True, kw_only=True):
    """6: account values and portfolio, once and on change."""

    subscribe: bool


class AccountSummary(Request, frozen=True, kw_only=True):
    """62: chosen account values."""

    tags: tuple[str, ...]


class ContractDetails(Request, frozen=True, kw_only=True):
    """9: everything about the contracts that match."""

    contract: ContractQuery


class History(Request, frozen=True, kw_only=True):
    """20: bars up to `end` (empty: now)."""

    contract: ContractQuery
    end: str
    bar_size: str
    duration: str
    what: str
    epoch_dates: bool
    keep_up_to_date: bool


class MarketData(Request, frozen=True, kw_only=True):
    """1: level 1 ticks."""

    contract: ContractQuery
    generics: tuple[str, ...]
    snapshot: bool


class MarketDataType(Request, frozen=True, kw_only=True):
    """59: live (1), frozen (2), delayed (3), delayed frozen (4)."""

    kind: int


class PlaceOrder(Request, frozen=True, kw_only=True):
    """3: a new order, or new terms of an open one (`req_id` is the order id).

    `unsupported` names the order attributes that were set and that this simulator does not have.
    """

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
    unsupported: tuple[str, ...] = ()


class Executions(Request, frozen=True, kw_only=True):
    """7: executions that pass the filter; empty fields pass everything."""

    client_id: int
    time: str
    symbol: str
    exchange: str
    side: str
    last_days: int | None = None


_ORDER_HEAD = """tif ocaGroup account openClose origin orderRef transmit parentId block sweep displaySize trigger
outsideRth hidden"""
_ORDER_BODY = """sharesAllocation discretionary goodAfterTime goodTillDate faGroup faMethod faPercentage [<177]faProfile
model shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset eTrade
firmQuote nbboCap auction startPrice stockRef delta rangeLow rangeHigh override volatility volType dnType dnAux"""
_ORDER_MIDDLE = "contUpdate refPriceType trailStop trailPercent scaleInit scaleSubs scaleIncrement"
_ORDER_HEDGE = "scaleTable activeStart activeStop hedgeType"
_ORDER_CLEARING = "optOut clearingAccount clearingIntent notHeld dnContract"
_ORDER_TAIL = "algoId whatIf miscOptions solicited randomSize randomPrice conditions"
_ORDER_ADJUSTED = """adjustedType triggerPrice limitOffset adjustedStop adjustedStopLimit adjustedTrailing
adjustedUnit extOperator softName softValue cashQty"""

_NOT_HERE = (
    "ocaGroup", "parentId", "hidden", "discretionary", "goodAfterTime", "goodTillDate", "faGroup", "model", "allOrNone",
    "minQty", "percentOffset", "trailPercent", "scaleInit", "scaleSubs", "hedgeType", "dnContract", "algoStrategy",
    "whatIf", "conditions", "cashQty",
)  # fmt: skip
_ZERO = frozenset({"", "0", "0.0", "false", UNSET_DOUBLE, UNSET_INTEGER, "1.7976931348623157e+308"})


def _contract(fields: Fields) -> ContractQuery:
    con_id, symbol, sec_type = fields.integer() or 0, fields.text(), fields.text()
    fields.skip(4)  # expiry, strike, right, multiplier: stocks have none
    exchange, primary, currency, local = fields.text(), fields.text(), fields.text(), fields.text()
    fields.skip()
    return ContractQuery(
        con_id=con_id, symbol=symbol, sec_type=sec_type, exchange=exchange, primary_exchange=primary,
        currency=currency, local_symbol=local,
    )  # fmt: skip


def _place_order(fields: Fields, version: int) -> PlaceOrder:
    order_id, contract = fields.required(), _contract(fields)
    fields.skip(2)  # secIdType, secId
    action, quantity, order_type = fields.text(), fields.decimal(), fields.text()
    limit, aux = fields.decimal(), fields.decimal()
    found = _named(fields, _ORDER_HEAD, version)
    plain = order_type in {"MKT", "LMT", "STP"} and contract.sec_type != "BAG"  # others are refused, so need no reading
    if plain:
        found |= _order_extras(fields, version)
    unsupported = [name for name in _NOT_HERE if found.get(name, "") not in _ZERO]
    if found["transmit"] in _ZERO:
        unsupported.append("transmit=false")
    return PlaceOrder(
        req_id=order_id, contract=contract, action=action, quantity=quantity, order_type=order_type, limit=limit,
        aux=aux, tif=found["tif"], account=found["account"], order_ref=found["orderRef"],
        outside_rth=found["outsideRth"] not in _ZERO, unsupported=tuple(unsupported),
    )  # fmt: skip


def _named(fields: Fields, layout: str, version: int) -> dict[str, str]:
    return {name: fields.text() for name, _ in names(layout, version)}


def _order_extras(fields: Fields, version: int) -> dict[str, str]:
    """Read the optional attributes; some bring further fields when they are set."""
    found = _named(fields, _ORDER_BODY, version)
    if found["dnType"]:
        fields.skip(8)
    found |= _named(fields, _ORDER_MIDDLE, version)
    if found["scaleIncrement"] not in _ZERO:
        fields.skip(7)
    found |= _named(fields, _ORDER_HEDGE, version)
    if found["hedgeType"]:
        fields.skip()
    found |= _named(fields, _ORDER_CLEARING, version)
    if found["dnContract"] not in _ZERO:
        fields.skip(3)
    found["algoStrategy"] = fields.text()
    if found["algoStrategy"]:
        fields.skip(2 * (fields.integer() or 0))
    found |= _named(fields, _ORDER_TAIL, version)
    if found["conditions"] in _ZERO:
        found |= _named(fields, _ORDER_ADJUSTED, version)
    return found


def _cancel_order(fields: Fields, version: int) -> Simple:
    if version < 192:
        fields.skip()
    return Simple(what="cancel order", req_id=fields.required())


def _history(fields: Fields, _version: int) -> History:
    req_id, contract = fields.required(), _contract(fields)
    fields.skip()  # expired contracts: stocks do not expire
    end, bar_size, duration = fields.text(), fields.text(), fields.text()
    fields.skip()  # regular hours only: the data has no others
    what, date_format = fields.text(), fields.integer()
    return History(
        req_id=req_id, contract=contract, end=end, bar_size=bar_size, duration=duration, what=what,
        epoch_dates=date_format == 2, keep_up_to_date=fields.flag(),
    )  # fmt: skip


def _market_data(fields: Fields, _version: int) -> MarketData:
    fields.skip()
    req_id, contract = fields.required(), _contract(fields)
    if fields.flag():
        fields.skip(3)
    generics = tuple(g for g in fields.text().split(",") if g)
    return MarketData(req_id=req_id, contract=contract, generics=generics, snapshot=fields.flag())


def _executions(fields: Fields, version: int) -> Executions:
    fields.skip()
    req_id, client_id = fields.required(), fields.integer() or 0
    fields.skip()  # one account
    time, symbol, _sec_type, exchange, side = (fields.text() for _ in range(5))
    last_days = fields.integer() if version >= 200 else None
    return Executions(
        req_id=req_id, client_id=client_id, time=time, symbol=symbol, exchange=exchange, side=side, last_days=last_days
    )


def _start(fields: Fields, _version: int) -> StartApi:
    fields.skip()
    return StartApi(client_id=fields.required())


def _account_updates(fields: Fields, _version: int) -> AccountUpdates:
    fields.skip()
    return AccountUpdates(subscribe=fields.flag())


def _account_summary(fields: Fields, _version: int) -> AccountSummary:
    fields.skip()
    req_id = fields.required()
    fields.skip()  # group: there is one account
    return AccountSummary(req_id=req_id, tags=tuple(t.strip() for t in fields.text().split(",") if t.strip()))


def _contract_details(fields: Fields, _version: int) -> ContractDetails:
    fields.skip()
    return ContractDetails(req_id=fields.required(), contract=_contract(fields))


def _market_data_type(fields: Fields, _version: int) -> MarketDataType:
    fields.skip()
    return MarketDataType(kind=fields.required())


def _simple(what: str, *, with_id: bool) -> "Decoder":
    def decode_simple(fields: Fields, _version: int) -> Simple:
        if with_id:
            fields.skip()
        return Simple(what=what, req_id=fields.required() if with_id else -1)

    return decode_simple


Decoder = Callable[[Fields, int], Request]
_SIMPLE = {
    "5": "own open orders", "8": "next id", "15": "bind orders", "16": "all open orders", "17": "accounts",
    "49": "time", "58": "cancel all", "61": "positions", "64": "end positions", "99": "completed orders",
}  # fmt: skip
_SIMPLE_WITH_ID = {
    "2": "end quotes", "25": "end history", "63": "end summary", "76": "account values", "77": "end account values",
}  # fmt: skip
_DECODERS: dict[str, Decoder] = {
    "1": _market_data, "3": _place_order, "4": _cancel_order, "6": _account_updates, "7": _executions,
    "9": _contract_details, "20": _history, "59": _market_data_type, "62": _account_summary, "71": _start,
    **{number: _simple(what, with_id=False) for number, what in _SIMPLE.items()},
    **{number: _simple(what, with_id=True) for number, what in _SIMPLE_WITH_ID.items()},
}  # fmt: skip


def decode(fields: list[str], version: int) -> Request:
    """Return the request that these fields are.

    Raises
    ------
    Refused
        No message has this id.
    Malformed
        Its fields do not read as they should.
    """
    decoder = _DECODERS.get(fields[0] if fields else "")
    if decoder is None:
        raise Refused(321, f"Error validating request: cause - Unknown message id {fields[0][:20] if fields else ''!r}")
    return decoder(Fields(fields[1:]), version)
