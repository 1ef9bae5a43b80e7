"""What the gateway says: every message's layout for server versions 157 to 200, and its encoder.

Layouts are data in the notation of `wire`; sources: the knowledge file `ibkr.md` 1.6 and the
behaviour of public decoders. Constants are what a real Gateway shows for a plain stock order.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from robotrader.model import InstrumentId, OrderType, Side
from robotrader.simulation.gateway.book import Report, Ticket
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.history import Row, date_text
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import Request
from robotrader.simulation.gateway.wire import UNSET_DOUBLE, encode, fields_frame, frame, stamp, text

_U = UNSET_DOUBLE
_C11 = "conId symbol secType expiry= strike=0 right= multiplier exchange=SMART currency symbol tradingClass"

ERROR = "id=4 [<194]v=2 reqId code message [166]advancedJson= [194]timeMs"
ORDER_STATUS = """id=3 orderId status filled remaining average permId parentId=0 lastPrice clientId whyHeld
 mktCapPrice=0"""
OPEN_ORDER = f"""id=5 orderId {_C11} action quantity type limit aux tif ocaGroup= account openClose= origin=0
 orderRef clientId permId outsideRth hidden=0 discretionary=0 goodAfter= sharesAllocation= faGroup= faMethod=
 faPercentage= [<177]faProfile= model= goodTill= rule80A= percentOffset= settlingFirm= shortSaleSlot=0 location=
 exemptCode=-1 auction=0 startPrice= stockRef= delta= rangeLow= rangeHigh= displaySize= block=0 sweep=0 allOrNone=0
 minQty= ocaType=3 eTrade=0 firmQuote=0 nbboCap= parentId=0 trigger=0 volatility= volType=0 dnType=None dnAux=0
 dnConId=0 dnFirm= dnAccount= dnIntent= dnOpenClose=? dnShort=0 dnSlot=0 dnLocation= contUpdate=0 refPriceType=0
 trailStop= trailPercent= basisPoints= basisType= comboDescription= nLegs=0 nOrderLegs=0 nSmart=0 scaleInit= scaleSubs=
 scaleIncrement= hedgeType= optOut=0 clearingAccount= clearingIntent=IB notHeld=0 dnContract=0 algo= solicited=0
 whatIf=0 status initBefore={_U} maintBefore={_U} equityBefore={_U} initChange={_U} maintChange={_U} equityChange={_U}
 initAfter={_U} maintAfter={_U} equityAfter={_U} commission={_U} minCommission={_U} maxCommission={_U} currency=
 [195]marginCurrency= [195]i1={_U} [195]i2={_U} [195]i3={_U} [195]i4={_U} [195]i5={_U} [195]i6={_U} [195]i7={_U}
 [195]i8={_U} [195]i9={_U} [195]suggestedSize= [195]rejectReason= [195]allocations=0
 warning= randomSize=0 randomPrice=0 conditions=0 adjustedType=None triggerPrice={_U} trailStop={_U} limitOffset={_U}
 adjustedStop={_U} adjustedStopLimit={_U} adjustedTrailing={_U} adjustedUnit=0 softName= softValue= softDisplay=
 cashQty= noAutoHedge=0 omsContainer=0 discretionaryUpTo=0 priceManagement= [158]duration= [160]postToAts=
 [162]autoCancelParent=0 [170]minTradeQty= [170]minCompeteSize=100 [170]competeOffset=0.02 [170]midWhole= [170]midHalf=
 [183]customerAccount= [184]professional=0 [185]bondAccrued= [189]overnight=0 [193]extOperator= [193]manual=
 [198]submitter= [199]imbalanceOnly=0"""
COMPLETED_ORDER = f"""id=101 {_C11} action quantity type limit aux tif ocaGroup= account openClose= origin=0
 orderRef permId outsideRth hidden=0 discretionary=0 goodAfter= faGroup= faMethod= faPercentage= [<177]faProfile=
 model= goodTill= rule80A= percentOffset= settlingFirm= shortSaleSlot=0 location= exemptCode=-1 startPrice= stockRef=
 delta= rangeLow= rangeHigh= displaySize= sweep=0 allOrNone=0 minQty= ocaType=3 trigger=0 volatility= volType=0
 dnType=None dnAux=0 dnConId=0 dnShort=0 dnSlot=0 dnLocation= contUpdate=0 refPriceType=0 trailStop= trailPercent=
 comboDescription= nLegs=0 nOrderLegs=0 nSmart=0 scaleInit= scaleSubs= scaleIncrement= hedgeType= clearingAccount=
 clearingIntent=IB notHeld=0 dnContract=0 algo= solicited=0 status randomSize=0 randomPrice=0 conditions=0 trailStop=
 limitOffset= cashQty= noAutoHedge=1 omsContainer=0 autoCancelDate= filled refFutConId= autoCancelParent=0 shareholder=
 imbalanceOnly=0 routeToBbo=0 parentPermId=0 completedTime endedAs [170]minTradeQty= [170]minCompeteSize=100
 [170]competeOffset=0.02 [170]midWhole= [170]midHalf= [183]customerAccount= [184]professional=0 [198]submitter="""
EXECUTION = f"""id=11 reqId orderId {_C11} execId time account exchange side quantity price permId clientId
 liquidation=0 cumulative average orderRef evRule= evMultiplier= model= lastLiquidity=2 [178]pendingRevision=0
 [198]submitter="""
COMMISSION = f"id=59 v=1 execId commission currency realized yield={_U} yieldDate="
CONTRACT_DETAILS = """id=10 [<164]v=8 reqId symbol secType lastTrade= [182]lastTradeDate= strike=0 right= exchange=SMART
 currency symbol marketName=STK tradingClass conId minTick [<164]sizeMultiplier=100 multiplier
 orderTypes=DAY,GTC,LMT,MKT,STP exchanges priceMagnifier=1 underConId=0 symbol primaryExchange contractMonth=
 industry= category= subcategory= zone=US/Eastern tradingHours liquidHours evRule= evMultiplier= nSecIds=0
 aggGroup=1 underSymbol= underSecType= marketRules= realExpiry= stockType=COMMON [163][<164]sizeMinTick=1
 [164]lot [164]lot [164]lot [186]ruleCount=0"""
POSITION = "id=61 v=3 account " + _C11.replace("exchange=SMART", "exchange") + " position averageCost"
PORTFOLIO = """id=7 v=8 conId symbol secType expiry= strike=0 right= multiplier primaryExchange currency symbol
 tradingClass position price value averageCost unrealized realized account"""


class Speaker(NamedTuple):
    """What an encoder must know of the conversation."""

    version: int
    contracts: Contracts
    account: str


def error(version: int, req_id: int, code: int, message: str, *, now: int) -> bytes:
    """Encode an error or notice; `now` in ns UTC."""
    return encode(ERROR, version, {"reqId": req_id, "code": code, "message": message, "timeMs": now // 1_000_000})


def report(to: Speaker, item: Report, now: int) -> bytes:
    """Encode what happened to an order, as it happens."""
    match item:
        case "openOrder", Ticket() as ticket:
            return encode(OPEN_ORDER, to.version, _order(to, ticket))
        case _, Ticket() as ticket:
            return encode(ORDER_STATUS, to.version, _order(to, ticket))
        case "execDetails", Execution() as execution:
            return execution_details(to, execution, -1)
        case _, Execution() as execution:
            return commission(to, execution)
        case _, notice:
            return error(to.version, notice.order_id, notice.code, notice.text, now=now)


def completed_order(to: Speaker, ticket: Ticket) -> bytes:
    """Encode one completed order."""
    end = {"completedTime": stamp(ticket.ended_at or 0, to.version), "endedAs": ticket.ended_as}
    return encode(COMPLETED_ORDER, to.version, _order(to, ticket) | end)


def _order(to: Speaker, ticket: Ticket) -> dict[str, object]:
    terms = ticket.terms
    waits = terms.type is OrderType.STOP and ticket.open
    return to.contracts.fields[terms.instrument] | {
        "orderId": ticket.order_id, "clientId": ticket.client_id, "permId": ticket.perm_id, "account": to.account,
        "action": terms.side, "quantity": terms.quantity, "type": terms.type, "limit": terms.limit_price or 0,
        "aux": terms.stop_price or 0, "tif": terms.tif, "orderRef": ticket.order_ref, "outsideRth": ticket.outside_rth,
        "status": ticket.status, "filled": ticket.filled, "remaining": terms.quantity - ticket.filled,
        "average": ticket.average, "lastPrice": ticket.last_price, "whyHeld": "trigger" if waits else "",
    }  # fmt: skip


def execution_details(to: Speaker, e: Execution, req_id: int) -> bytes:
    """Encode one execution; `req_id` -1 when it happens now."""
    values = {
        "reqId": req_id, "orderId": e.order_id, "execId": e.exec_id, "time": stamp(e.ts, to.version),
        "account": to.account, "side": "BOT" if e.side is Side.BUY else "SLD", "quantity": e.quantity, "price": e.price,
        "permId": e.perm_id, "clientId": e.client_id, "cumulative": e.cumulative, "average": e.average,
        "orderRef": e.order_ref,
    }  # fmt: skip
    return encode(EXECUTION, to.version, _at_exchange(to, e.instrument) | values)


def _at_exchange(to: Speaker, instrument: InstrumentId) -> dict[str, object]:
    fields = to.contracts.fields[instrument]
    return fields | {"exchange": fields["primaryExchange"] or "SMART"}


def commission(to: Speaker, e: Execution) -> bytes:
    """Encode what one execution cost; the profit is unset when it only opened a position."""
    values = {
        "execId": e.exec_id, "commission": e.commission, "currency": to.contracts.fields[e.instrument]["currency"],
        "realized": _U if e.realized is None else e.realized,
    }  # fmt: skip
    return encode(COMMISSION, to.version, values)


def contract_details(to: Speaker, req_id: int, instrument: InstrumentId, hours: str) -> bytes:
    """Encode one contract's details; `hours` are the trading hours as IBKR writes them."""
    fields = to.contracts.fields[instrument]
    exchanges = ",".join(str(e) for e in ("SMART", fields["primaryExchange"]) if e)
    values = fields | {"reqId": req_id, "exchanges": exchanges, "tradingHours": hours, "liquidHours": hours}
    return encode(CONTRACT_DETAILS, to.version, values)


def position(to: Speaker, instrument: InstrumentId, quantity: int, average_cost: Decimal) -> bytes:
    """Encode one position."""
    values = {"account": to.account, "position": quantity, "averageCost": average_cost}
    return encode(POSITION, to.version, _at_exchange(to, instrument) | values)


def portfolio(to: Speaker, instrument: InstrumentId, values: Mapping[str, object]) -> bytes:
    """Encode one line of the portfolio: position, price, value, averageCost, unrealized, realized."""
    return encode(PORTFOLIO, to.version, {**to.contracts.fields[instrument], **values, "account": to.account})


def historical_data(version: int, request: Request, bars: Sequence[Row]) -> list[bytes]:
    """Encode the answer to a history request, with its end marker."""
    span = [stamp(int(t), version) for t in (bars[0][0], bars[-1][1])]
    parts = ["17", str(request.req_id), *(span if version < 196 else ()), str(len(bars))]
    for bar in bars:
        _, _, opened, high, low, close, volume = bar
        # -1: no weighted average price and no trade count, as IBKR sends for data that has none
        prices = (repr(opened), repr(high), repr(low), repr(close))
        parts += (date_text(bar, request, version), *prices, shares(volume, version, 175), "-1", "-1")
    answer = [frame("\0".join(parts) + "\0")]
    return answer if version < 196 else [*answer, fields_frame(108, request.req_id, *span)]


def historical_update(version: int, request: Request, bar: Row) -> bytes:
    """Encode the state of the bar that is forming."""
    _, _, opened, high, low, close, volume = bar
    when, size = date_text(bar, request, version), shares(volume, version, 175)
    return fields_frame(90, request.req_id, -1, when, opened, close, high, low, -1, size)


def shares(volume: float, version: int, since: int) -> str:
    """Return a size as text: in shares from version `since`, in lots of 100 below."""
    size = volume if version >= since else volume / 100
    if version < 163 or size == int(size):
        return str(int(size))  # old clients read whole numbers only
    return text(size)
