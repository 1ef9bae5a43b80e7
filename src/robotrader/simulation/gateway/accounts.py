"""Answers about the account: values, summary, positions and profit, each kept up to date until it is cancelled."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from robotrader.model import NANOS_PER_SECOND, InstrumentId
from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection, Frames, Sent, State, Stream
from robotrader.simulation.gateway.record import Execution, effective
from robotrader.simulation.gateway.requests import ContractQuery, Refused, Request
from robotrader.simulation.gateway.wire import fields_frame, local

_EVERY = 180 * NANOS_PER_SECOND
"""Account values are told when a trade changed them, and else every three minutes."""
_NO_CURRENCY = frozenset({
    "AccountCode", "AccountReady", "AccountType", "Cushion", "DayTradesRemaining", "HighestSeverity", "Leverage",
})  # fmt: skip
_LEDGER = ("CashBalance", "StockMarketValue", "NetLiquidation", "RealizedPnL", "UnrealizedPnL")
_SUMMARY_ONLY = {
    "SettledCash": "TotalCashValue", "ReqTEquity": "EquityWithLoanValue", "ReqTMargin": "InitMarginReq",
} | {
    prefix + name: name for prefix in ("Full", "LookAhead")
    for name in ("InitMarginReq", "MaintMarginReq", "AvailableFunds", "ExcessLiquidity")
}  # fmt: skip
"""Tags of the summary that equal a value of the account: there is one segment, and no night margin."""
_SUMMARIES = 2


def _mine(book: Book, request: Request) -> None:
    if request.values["account"] not in {"", "All", book.account.name}:
        raise Refused(321, f"Error validating request: cause - Invalid account code {request.values['account']!r}")


def _stream(book: Book, state: State, every: int = _EVERY) -> Stream:
    """Return a stream that looks when a trade, or the correction of one, changed the account, and every so many ns."""
    return Stream(lambda: (book.account.cash, len(book.executions), book.market.now // every), state)


def _with_currency(values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for key, value in values.items():
        yield key, value, "" if key in _NO_CURRENCY else "USD"


def _account_updates(book: Book, to: Connection, request: Request) -> None:
    _mine(book, request)
    to.unsubscribe("account")
    if not request.flag("subscribe"):
        return
    account, last = book.account, book.market.last

    def state(_sent: Sent) -> Frames:
        for row in _with_currency(account.values(last)):
            yield row[0], fields_frame(6, 2, *row, account.name)
        for iid, holding in account.holdings.items():
            worth = account.value(iid, last.get(iid))
            line = {
                "position": holding.quantity, "price": last.get(iid), "value": worth, "realized": holding.realized,
                "averageCost": holding.average_cost, "unrealized": worth - holding.cost,
            }  # fmt: skip
            yield (iid,), messages.portfolio(to.speaker, iid, line)
        yield None, fields_frame(8, 1, local(book.market.now).strftime("%H:%M"))

    to.subscribe("account", -1, _stream(book, state))
    to.send(fields_frame(54, 1, account.name))


def _account_values(book: Book, to: Connection, request: Request) -> None:
    _mine(book, request)
    start = (73, 1, request.req_id, book.account.name, request.values["model"])

    def state(_sent: Sent) -> Frames:
        for row in _with_currency(book.account.values(book.market.last)):
            if row[0] in _LEDGER or not request.flag("ledger"):
                yield row[0], fields_frame(*start, *row)

    to.subscribe("account values", request.req_id, _stream(book, state))
    to.send(fields_frame(74, 1, request.req_id))


def _summary(book: Book, to: Connection, request: Request) -> None:
    if request.values["group"] != "All":
        raise Refused(321, f"Error validating request: cause - Unknown account group {request.values['group']!r}")
    if to.count("account summary") >= _SUMMARIES:
        raise Refused(322, "Error processing request: cause - Maximum number of account summary requests exceeded")
    tags = [tag.strip() for tag in request.values["tags"].split(",")]
    keys = [key for tag in tags for key in (_LEDGER if tag.startswith("$LEDGER") else (tag,))]

    def state(_sent: Sent) -> Frames:
        values = _summary_values(book)
        for row in _with_currency({key: values[key] for key in keys if key in values}):
            yield row[0], fields_frame(63, 1, request.req_id, book.account.name, *row)

    to.subscribe("account summary", request.req_id, _stream(book, state))
    to.send(fields_frame(64, 1, request.req_id))


def _summary_values(book: Book) -> dict[str, str]:
    values = book.account.values(book.market.last)
    equity, free = Decimal(values["NetLiquidation"]), Decimal(values["ExcessLiquidity"])
    ratios = {"Cushion": free, "Leverage": Decimal(values["GrossPositionValue"])}
    shown = {key: format(round(value / equity, 6), "f") for key, value in ratios.items() if equity > 0}
    fixed = {"AccruedCash": "0.00", "DayTradesRemaining": "-1", "HighestSeverity": "0"}
    return values | {tag: values[same] for tag, same in _SUMMARY_ONLY.items()} | shown | fixed


def _positions(book: Book, to: Connection, request: Request) -> None:
    """Tell the positions, of the account or, with a request id, of a model."""
    req_id = request.req_id
    if req_id < 0:
        to.unsubscribe("positions")
    else:
        _mine(book, request)

    def state(sent: Sent) -> Frames:
        for iid, holding in book.account.holdings.items():
            if holding.quantity or iid in sent:  # a flat one is news only to who knew another
                yield iid, messages.position(to.speaker, iid, holding, req_id)

    to.subscribe(request.what, req_id, _stream(book, state))
    to.send(fields_frame(62, 1) if req_id < 0 else fields_frame(72, 1, req_id))


def _profits(book: Book, to: Connection, request: Request) -> None:
    _mine(book, request)

    def state(_sent: Sent) -> Frames:
        today = _session_trades(book)
        parts = [_profit(book, iid, today) for iid in book.account.holdings]
        yield None, fields_frame(94, request.req_id, *(sum(p[k] for p in parts) for k in range(3)))

    to.subscribe("profit", request.req_id, _stream(book, state, NANOS_PER_SECOND))


def _single_profit(book: Book, to: Connection, request: Request) -> None:
    _mine(book, request)
    iid = book.contracts.one(ContractQuery(con_id=request.required("conId"))).id

    def state(_sent: Sent) -> Frames:
        values: tuple[object, ...] = (0,) * 5
        if (holding := book.account.holdings.get(iid)) is not None:
            value = book.account.value(iid, book.market.last.get(iid))
            values = (holding.quantity, *_profit(book, iid, _session_trades(book)), value)
        yield None, fields_frame(95, request.req_id, *values)

    to.subscribe("single profit", request.req_id, _stream(book, state, NANOS_PER_SECOND))


def _profit(
    book: Book, iid: InstrumentId, today: Mapping[InstrumentId, Sequence[Execution]]
) -> tuple[Decimal, Decimal, Decimal]:
    """Return a holding's profit since the last session's close, not yet realized, and realized in this session."""
    market, holding, trades = book.market, book.account.holdings[iid], today.get(iid, ())
    multiplier, quote = market.instruments[iid].multiplier, market.quote(iid)
    worth, held = book.account.value(iid, market.last.get(iid)), holding.quantity
    for e in trades:
        held -= e.side.sign * e.quantity
    before = held * multiplier * Decimal(repr(quote.previous)) if quote and quote.previous else Decimal(0)
    paid = sum((e.side.sign * e.quantity * e.price * multiplier + e.commission for e in trades), Decimal(0))
    return worth - before - paid, worth - holding.cost, sum((e.realized or Decimal(0) for e in trades), Decimal(0))


def _session_trades(book: Book) -> dict[InstrumentId, list[Execution]]:
    """Return the session's executions by instrument, corrected ones as they are now."""
    opened, found = book.market.session_open, defaultdict(list)
    for e in effective(e for e in book.executions if e.ts >= opened).values():
        found[e.instrument].append(e)
    return found


ANSWERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "account summary": _summary, "account updates": _account_updates, "account values": _account_values,
    "model positions": _positions, "positions": _positions, "profit": _profits, "single profit": _single_profit,
}  # fmt: skip
