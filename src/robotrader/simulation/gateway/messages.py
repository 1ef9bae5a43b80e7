"""What the gateway says: every message's layout for server versions 157 to 200, and its encoder.

Layouts are data in the notation of `wire`; sources: the knowledge file `ibkr.md` 1.6 and the
behaviour of public decoders. Orders are in `order_messages`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from robotrader.model import NANOS_PER_SECOND, InstrumentId
from robotrader.simulation.gateway.account import Holding
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.history import Row, date_text
from robotrader.simulation.gateway.requests import Request
from robotrader.simulation.gateway.wire import encode, fields_frame, frame, stamp, text

C11 = "conId symbol secType expiry= strike=0 right= multiplier exchange=SMART currency symbol tradingClass"

ERROR = "id=4 [<194]v=2 reqId code message [166]advancedJson= [194]timeMs"
CONTRACT_DETAILS = """id=10 [<164]v=8 reqId symbol secType lastTrade= [182]lastTradeDate= strike=0 right= exchange
 currency symbol tradingClass tradingClass conId minTick [<164]sizeMultiplier=100 multiplier
 orderTypes=DAY,FOK,GTC,GTD,IOC,LMT,LOC,MKT,MOC,OCA,OPG,STP,STPLMT,TRAIL,WHATIF exchanges priceMagnifier=1
 underConId=0 symbol primaryExchange contractMonth=
 industry= category= subcategory= zone=US/Eastern tradingHours tradingHours evRule= evMultiplier= nSecIds=0
 aggGroup=1 underSymbol= underSecType= marketRules realExpiry= stockType=COMMON [163][<164]sizeMinTick=1
 [164]lot [164]lot [164]lot [186]ruleCount=0"""
POSITION = "id=61 v=3 account " + C11.replace("exchange=SMART", "exchange") + " position averageCost"
POSITION_MULTI = POSITION.replace("id=61 v=3", "id=71 v=1 reqId") + " model="
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


def at_exchange(to: Speaker, instrument: InstrumentId) -> dict[str, object]:
    """Return a contract's fields as executions and positions show them: at its exchange."""
    fields = to.contracts.fields[instrument]
    return fields | {"exchange": fields["primaryExchange"] or "SMART"}


def contract_details(to: Speaker, instrument: InstrumentId, shown: Mapping[str, object]) -> bytes:
    """Encode one contract's details; `shown`: reqId, exchange and tradingHours as IBKR writes them."""
    return encode(CONTRACT_DETAILS, to.version, {**to.contracts.fields[instrument], **shown})


def symbol_samples(version: int, req_id: int, found: Sequence[Mapping[str, object]]) -> bytes:
    """Encode the answer to a symbol search: contracts by the names of the layouts."""
    names = ("conId", "symbol", "secType", "primaryExchange", "currency")
    more = (0, *("", "") * (version >= 176))  # no derivatives; description and issuer
    return fields_frame(79, req_id, len(found), *(v for f in found for v in (*(f[n] for n in names), *more)))


def position(to: Speaker, instrument: InstrumentId, held: Holding, req_id: int = -1) -> bytes:
    """Encode one position; with a request id in the message that is per model."""
    values = {"account": to.account, "position": held.quantity, "averageCost": held.average_cost, "reqId": req_id}
    layout = POSITION if req_id < 0 else POSITION_MULTI
    return encode(layout, to.version, at_exchange(to, instrument) | values)


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


def real_time_bar(version: int, req_id: int, bar: Row) -> bytes:
    """Encode a bar of five seconds; -1 as in history."""
    opened, _, *prices, volume = bar
    size = shares(volume, version, 175)
    return fields_frame(50, 3, req_id, int(opened) // NANOS_PER_SECOND, *prices, size, -1, -1)


def shares(volume: float, version: int, since: int) -> str:
    """Return a size as text: in shares from version `since`, in lots of 100 below; -1 when there is none."""
    if volume < 0:
        return "-1"
    size = volume if version >= since else volume / 100
    if version < 163 or size == int(size):
        return str(int(size))  # old clients read whole numbers only
    return text(size)
