"""The session's steps about what nobody asked for: corrections, manual orders, liquidation, delayed data.

The gateway does these by its fault script: a symbol search for a deed's name lets it happen, or a market rule.
"""

from typing import Any

from tests.clients.callbacks import At, Callback, Like, lots
from tests.clients.data import volume
from tests.clients.market import MINUTES, epoch
from tests.clients.orders import execution, filled
from tests.clients.script import (
    IBM,
    MASTER,
    NEXT_SESSION,
    Step,
    comes,
    opened,
    place,
    refused,
    step,
    stock,
)

_DEEDS: dict[str, dict[str, Any]] = {
    "correct": {"do": "correct", "by": "-0.05"},
    "bust": {"do": "correct", "quantity": 0},
    "lend": {"do": "lend", "symbol": "IBM", "quantity": 0},
    "halt": {"do": "halt", "symbol": "IBM", "seconds": 1},
    "type": {"do": "manual-order", "symbol": "IBM", "quantity": 7, "price": 40},
    "liquidate": {"do": "liquidate", "symbol": "AAPL", "quantity": 5},
    "delay": {"do": "delayed-data"},
}
_TO_ORDERS = ("locate", "vanish")
"""Deeds to the last order: the third question for a market rule, and the fourth."""
FAULTS = {
    "faults": [
        *({**deed, "on": "reqMatchingSymbols", "where": {"pattern": name}} for name, deed in _DEEDS.items()),
        *({"do": deed, "on": "reqMarketRule", "nth": n} for n, deed in enumerate(_TO_ORDERS, 3)),
    ]
}
"""The gateway's fault script."""


def happens(name: str, deed: str, *wanted: Any, others: dict[str, list[Callback]] | None = None) -> Step:
    """Let a deed happen."""
    search = comes("symbolSamples", reqId=9700, contracts=[])
    return step(name, ["reqMatchingSymbols", 9700, deed], wanted=[search, *wanted], others=others)


def revised(revision: int, quantity: int, **report: Any) -> list[Callback]:
    """Want a revision of the twelfth execution."""
    return [
        comes("execDetails", reqId=-1, execution={
            "execId": execution(12, revision), "orderId": 501, "shares": quantity, "price": 119.94,
            "cumQty": quantity, "time": At("20240109 09:30:00"),
        }),
        comes("commissionReport", report={"execId": execution(12, revision), **report}),
    ]  # fmt: skip


_LAST_FILLS = [
    *filled(42, 14, "BOT", (10, 124.01), "20240110 09:30:00"),
    *filled(40, 15, "SLD", (10, 50.0), "20240110 09:30:00", contract=IBM, exchange="NYSE", commission=1.01556),
]
_LAST_FILL = filled(99, 16, "BOT", (10, 128.01), "20240111 09:30:00")
_ENDED = "FCFCFCIFFCFFFFFCFCCCFFF"
_ENDS = {"F": "Filled", "C": "Cancelled", "I": "Inactive"}
_EXPIRED = comes("orderStatus", orderId=-23, status="Cancelled")

EVENTS: list[Step] = [
    happens("an execution is corrected", "correct",
            others={"B": revised(2, 10, commission=1.035017, realizedPNL=94.077238)}),
    happens("and is void at last", "bust", others={"B": revised(3, 0, commission=0)}),
    happens("there is nothing to borrow", "lend"),
    step("which quotes show", ["reqMktData", 9601, stock("IBM"), "236", False, False, []],
         wanted=[comes("marketDataType", reqId=9601), comes("tickReqParams", reqId=9601),
                 comes("tickGeneric", reqId=9601, tick=46, value=1), comes("tickSize", reqId=9601, tick=89, size=0)]),
    step("no more of them", ["cancelMktData", 9601]),
    step("a short sale waits for its shares", place(40, "SELL", 10, "MKT", symbol="IBM"),
         wanted=[opened(40, "PreSubmitted", whyHeld="locate"), comes("error", reqId=40, code=404)]),
    step("they are found", ["reqMarketRule", 26],
         wanted=[comes("marketRule", rule=26), opened(40, "PreSubmitted", whyHeld="")]),
    happens("a person types an order into TWS", "type"),
    step("it has no id", ["reqAllOpenOrders"],
         wanted=[opened(40, "PreSubmitted"), opened(0, "Submitted", clientId=0), comes("openOrderEnd")]),
    step("client 0", ["connect", 0], who="Z",
         wanted=[comes("managedAccounts"), comes("nextValidId"),
                 *(comes("error", reqId=-1, code=code) for code in (2104, 2106, 2158))]),
    step("client 0 binds it", ["reqAutoOpenOrders", True], who="Z", wanted=[
        comes("orderBound", permId=1_000_000_022, clientId=0, orderId=-23),
        opened(-23, "Submitted", clientId=0, order={"lmtPrice": 40.0, "totalQuantity": 7}),
    ]),
    happens("the broker liquidates", "liquidate",
            others={"Z": filled(0, 13, "SLD", (5, 120.30), "20240109 10:00:00", client=0, liquidation=1,
                                commission=1.017552, realized=48.338575)}),
    step("an order", place(41, "BUY", 1, "LMT", lmtPrice=90.0),
         wanted=[opened(41, "PreSubmitted"), opened(41, "Submitted")]),
    step("vanishes", ["reqMarketRule", 26], wanted=[comes("marketRule", rule=26)]),
    step("without a word", ["reqOpenOrders"], wanted=[opened(40, "PreSubmitted"), comes("openOrderEnd")]),
    happens("live data are no longer paid for", "delay"),
    step("so that there are none", ["reqMarketDataType", 1], ["reqMktData", 9602, stock(), "", False, False, []],
         wanted=[refused(9602, 354, Like("Requested market data is not subscribed.*"))]),
    step("delayed data", ["reqMarketDataType", 3], ["reqMktData", 9603, stock(), "", False, False, []],
         wanted=[comes("error", reqId=9603, code=10167), comes("marketDataType", reqId=9603, type=3),
                 comes("tickReqParams", reqId=9603), comes("tickPrice", reqId=9603, tick=66, price=120.14),
                 comes("tickSize", reqId=9603, tick=69, size=lots(159, 900)),
                 comes("tickPrice", reqId=9603, tick=67, price=120.16),
                 comes("tickPrice", reqId=9603, tick=68, price=120.15),
                 comes("tickPrice", reqId=9603, tick=72, price=120.16),
                 comes("tickPrice", reqId=9603, tick=73, price=119.99),
                 comes("tickPrice", reqId=9603, tick=75, price=116.30),
                 comes("tickPrice", reqId=9603, tick=76, price=120.0),
                 comes("tickSize", reqId=9603, tick=74, size=lots(159, volume(0, 14))),
                 comes("tickString", reqId=9603, tick=88, value=str(epoch(5, 15)))]),
    step("they end", ["cancelMktData", 9603]),
    step("the master client", ["connect", MASTER], who="M",
         wanted=[comes("managedAccounts"), comes("nextValidId"),
                 *(comes("error", reqId=-1, code=code) for code in (2104, 2106, 2158))]),
    step("an order of another", place(42, "BUY", 10, "MKT"), wanted=[opened(42, "PreSubmitted")],
         others={"M": opened(42, "PreSubmitted", clientId=1)}),
    step("the master is told what happens to everybody's orders", NEXT_SESSION,
         wanted=[*_LAST_FILLS, comes("currentTime", time=epoch(6, MINUTES))],
         others={"Z": [_EXPIRED], "M": [*_LAST_FILLS, _EXPIRED]}),
    step("completed orders of clients, none of TWS's own", ["reqCompletedOrders", True],
         wanted=[*(comes("completedOrder", state={"status": _ENDS[letter]}) for letter in _ENDED),
                 comes("completedOrdersEnd")]),
]  # fmt: skip

END: list[Step] = [
    step("all that is told of the account ends", ["cancelAccountSummary", 9211], ["cancelAccountUpdatesMulti", 9201],
         ["cancelPnL", 9221], ["cancelPnLSingle", 9222], ["cancelPositions"], ["cancelPositionsMulti", 9231],
         ["reqAccountUpdates", False, ""], quiet=True),
    step("a last order", place(99, "BUY", 10, "MKT"), wanted=[opened(99, "PreSubmitted")], quiet=True,
         others={"M": opened(99, "PreSubmitted")}),
    step("a quiet session", NEXT_SESSION, quiet=True,
         wanted=[*_LAST_FILL, comes("currentTime", time=epoch(7, MINUTES))], others={"M": _LAST_FILL}),
]  # fmt: skip
