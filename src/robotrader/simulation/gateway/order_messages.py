"""What the gateway says of orders: layouts for server versions 157 to 200, and their encoders.

Constants are what a real Gateway shows for a plain stock order; see `messages` for the notation and the sources.
"""

import re

from robotrader.model import OrderType, Side
from robotrader.simulation.gateway.messages import C11, Speaker, at_exchange, error
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.tickets import UNSENT, Preview, Report, Ticket
from robotrader.simulation.gateway.wire import UNSET_DOUBLE, encode, fields_frame, stamp

_U = UNSET_DOUBLE
SIDES = {Side.BUY: "BOT", Side.SELL: "SLD"}
_OCA_TYPE = 3  # what TWS shows of an order without a group

ORDER_STATUS = """id=3 orderId status filled remaining average permId parentId lastPrice clientId whyHeld
 mktCapPrice=0"""
OPEN_ORDER = f"""id=5 orderId {C11} action quantity type limit aux tif ocaGroup account openClose= origin=0
 orderRef clientId permId outsideRth hidden=0 discretionary=0 goodAfter= sharesAllocation= faGroup= faMethod=
 faPercentage= [<177]faProfile= model= goodTill rule80A= percentOffset= settlingFirm= shortSaleSlot=0 location=
 exemptCode=-1 auction=0 startPrice= stockRef= delta= rangeLow= rangeHigh= displaySize= block=0 sweep=0 allOrNone=0
 minQty= ocaType eTrade=0 firmQuote=0 nbboCap= parentId trigger=0 volatility= volType=0 dnType=None dnAux=0
 dnConId=0 dnFirm= dnAccount= dnIntent= dnOpenClose=? dnShort=0 dnSlot=0 dnLocation= contUpdate=0 refPriceType=0
 trailStop trailPercent basisPoints= basisType= comboDescription= nLegs=0 nOrderLegs=0 nSmart=0 scaleInit= scaleSubs=
 scaleIncrement= hedgeType= optOut=0 clearingAccount= clearingIntent=IB notHeld=0 dnContract=0 algo= solicited=0
 whatIf=0 status initBefore={_U} maintBefore={_U} equityBefore={_U} initChange={_U} maintChange={_U} equityChange={_U}
 initAfter={_U} maintAfter={_U} equityAfter={_U} commission={_U} minCommission={_U} maxCommission={_U} currency=
 [195]marginCurrency= [195]i1={_U} [195]i2={_U} [195]i3={_U} [195]i4={_U} [195]i5={_U} [195]i6={_U} [195]i7={_U}
 [195]i8={_U} [195]i9={_U} [195]suggestedSize= [195]rejectReason= [195]allocations=0
 warning= randomSize=0 randomPrice=0 conditions=0 adjustedType=None triggerPrice={_U} trailStop limitOffset={_U}
 adjustedStop={_U} adjustedStopLimit={_U} adjustedTrailing={_U} adjustedUnit=0 softName= softValue= softDisplay=
 cashQty= noAutoHedge=0 omsContainer=0 discretionaryUpTo=0 priceManagement= [158]duration= [160]postToAts=
 [162]autoCancelParent=0 [170]minTradeQty= [170]minCompeteSize=100 [170]competeOffset=0.02 [170]midWhole= [170]midHalf=
 [183]customerAccount= [184]professional=0 [185]bondAccrued= [189]overnight=0 [193]extOperator= [193]manual=
 [198]submitter= [199]imbalanceOnly=0"""
COMPLETED_ORDER = f"""id=101 {C11} action quantity type limit aux tif ocaGroup account openClose= origin=0
 orderRef permId outsideRth hidden=0 discretionary=0 goodAfter= faGroup= faMethod= faPercentage= [<177]faProfile=
 model= goodTill rule80A= percentOffset= settlingFirm= shortSaleSlot=0 location= exemptCode=-1 startPrice= stockRef=
 delta= rangeLow= rangeHigh= displaySize= sweep=0 allOrNone=0 minQty= ocaType trigger=0 volatility= volType=0
 dnType=None dnAux=0 dnConId=0 dnShort=0 dnSlot=0 dnLocation= contUpdate=0 refPriceType=0 trailStop trailPercent
 comboDescription= nLegs=0 nOrderLegs=0 nSmart=0 scaleInit= scaleSubs= scaleIncrement= hedgeType= clearingAccount=
 clearingIntent=IB notHeld=0 dnContract=0 algo= solicited=0 status randomSize=0 randomPrice=0 conditions=0 trailStop
 limitOffset= cashQty= noAutoHedge=1 omsContainer=0 autoCancelDate= filled refFutConId= autoCancelParent=0 shareholder=
 imbalanceOnly=0 routeToBbo=0 parentPermId=0 completedTime endedAs [170]minTradeQty= [170]minCompeteSize=100
 [170]competeOffset=0.02 [170]midWhole= [170]midHalf= [183]customerAccount= [184]professional=0 [198]submitter="""
EXECUTION = f"""id=11 reqId orderId {C11} execId time account exchange side quantity price permId clientId
 liquidation cumulative average orderRef evRule= evMultiplier= model= lastLiquidity=2 [178]pendingRevision=0
 [198]submitter="""
COMMISSION = f"id=59 v=1 execId commission currency realized yield={_U} yieldDate="


PREVIEW = re.sub(r"\b(whatIf|(?:init|maint|equity)(?:Before|Change|After)|commission|currency)=\S*", r"\1", OPEN_ORDER)
"""An openOrder that answers a what-if order: the margin fields say something."""


def report(to: Speaker, item: Report, now: int) -> bytes:
    """Encode what happened to an order, as it happens."""
    match item:
        case _, Preview() as preview:
            return encode(PREVIEW, to.version, _order(to, preview.ticket) | _margins(to, preview))
        case "orderBound", Ticket() as ticket:
            return fields_frame(100, ticket.perm_id, ticket.client_id, ticket.order_id)
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
    terms, order = ticket.terms, ticket.order
    trails = terms.type is OrderType.TRAIL
    return to.contracts.fields[terms.instrument] | {
        "orderId": ticket.order_id, "clientId": ticket.client_id, "permId": ticket.perm_id, "account": to.account,
        "action": terms.side, "quantity": terms.quantity, "type": terms.type, "limit": terms.limit_price or 0,
        "aux": (terms.trail if trails else terms.stop_price) or 0, "tif": terms.tif, "orderRef": order.order_ref,
        "outsideRth": order.outside_rth, "status": ticket.status, "filled": ticket.filled,
        "remaining": terms.quantity - ticket.filled, "average": ticket.average, "lastPrice": ticket.last_price,
        "whyHeld": "" if ticket.held == UNSENT else ticket.held, "ocaGroup": order.oca_group,
        "ocaType": order.oca_type or _OCA_TYPE, "parentId": order.parent_id, "goodTill": order.good_till,
        "trailStop": terms.stop_price if trails else None, "trailPercent": terms.trail_percent,
    }  # fmt: skip


def _margins(to: Speaker, preview: Preview) -> dict[str, object]:
    """Return what a what-if order would change; maintenance margin is what initial margin is."""
    fields: dict[str, object] = {
        "whatIf": True, "commission": preview.commission,
        "currency": to.contracts.fields[preview.ticket.terms.instrument]["currency"],
    }  # fmt: skip
    for name, (before, after) in (("init", preview.margin), ("maint", preview.margin), ("equity", preview.equity)):
        amounts = {"Before": before, "Change": after - before, "After": after}
        fields |= {name + when: format(amount, ".2f") for when, amount in amounts.items()}
    return fields


def execution_details(to: Speaker, e: Execution, req_id: int) -> bytes:
    """Encode one execution; `req_id` -1 when it happens now."""
    values = {
        "reqId": req_id, "orderId": e.order_id, "execId": e.exec_id, "time": stamp(e.ts, to.version),
        "account": to.account, "side": SIDES[e.side], "quantity": e.quantity, "price": e.price,
        "permId": e.perm_id, "clientId": e.client_id, "cumulative": e.cumulative, "average": e.average,
        "orderRef": e.order_ref, "liquidation": e.liquidation,
    }  # fmt: skip
    return encode(EXECUTION, to.version, at_exchange(to, e.instrument) | values)


def commission(to: Speaker, e: Execution) -> bytes:
    """Encode what one execution cost; the profit is unset when it only opened a position."""
    values = {
        "execId": e.exec_id, "commission": e.commission, "currency": to.contracts.fields[e.instrument]["currency"],
        "realized": _U if e.realized is None else e.realized,
    }  # fmt: skip
    return encode(COMMISSION, to.version, values)
