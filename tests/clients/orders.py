"""The session's steps about orders."""

from typing import Any

from tests.clients.callbacks import At, Callback, Like
from tests.clients.market import MINUTES, epoch
from tests.clients.script import (
    AAPL,
    ACCOUNT,
    NEXT_SESSION,
    Step,
    cancel,
    comes,
    opened,
    place,
    refused,
    step,
)


def execution(number: int, revision: int = 1) -> str:
    """Return the id of the n-th execution of the account."""
    return f"0000e0d5.{number:08x}.01.{revision:02}"


def filled(order_id: int, number: int, side: str, fill: tuple[int, float], at: str, **values: Any) -> list[Callback]:
    """Want what the fill of a whole order brings, in IBKR's order: `fill` is quantity and price."""
    exec_id, (quantity, price) = execution(number), fill
    return [
        comes("execDetails", reqId=-1, contract={"conId": values.get("contract", AAPL), "exchange": "SMART"},
              execution={
                  "execId": exec_id, "orderId": order_id, "clientId": values.get("client", 1), "acctNumber": ACCOUNT,
                  "exchange": values.get("exchange", "NASDAQ"), "side": side, "shares": quantity, "price": price,
                  "time": At(at), "cumQty": quantity, "avgPrice": price, "orderRef": values.get("ref", ""),
                  "liquidation": values.get("liquidation", 0), "lastLiquidity": 2,
              }),
        *opened(order_id, "Filled", filled=quantity, remaining=0, average=price, lastPrice=price,
                parentId=values.get("parent", 0)),
        comes("commissionReport", report={
            "execId": exec_id, "commission": values.get("commission", 1.0), "currency": "USD",
            "realizedPNL": values.get("realized"),
        }),
    ]  # fmt: skip


def cancelled(order_id: int, reason: str = "") -> list[Callback]:
    """Want what a cancelled order brings."""
    return [
        comes("orderStatus", orderId=order_id, status="Cancelled"),
        refused(order_id, 202, f"Order Canceled - reason:{reason}"),
    ]


ORDERS: list[Step] = [
    step(
        "a market order waits for the open",
        place(1, "BUY", 100, "MKT", orderRef="RT-1"),
        wanted=[
            opened(1, "PreSubmitted", filled=0, remaining=100, average=0, permId=1_000_000_000, clientId=1, parentId=0,
                   order={"action": "BUY", "totalQuantity": 100, "orderType": "MKT", "tif": "DAY", "account": ACCOUNT,
                          "orderRef": "RT-1", "permId": 1_000_000_000, "clientId": 1}),
        ],
    ),
    step(
        "it fills at the open",
        NEXT_SESSION,
        wanted=[
            filled(1, 1, "BOT", (100, 108.01), "20240104 09:30:00", ref="RT-1"),
            comes("accountSummary", reqId=9211, tag="NetLiquidation", value="1000028.00"),
            comes("pnl", reqId=9221, daily=28, unrealized=28, realized=0),
            comes("pnlSingle", reqId=9222, position=100, daily=28, unrealized=28, realized=0, value=10_830),
            comes("positionMulti", reqId=9231, account=ACCOUNT, contract={"conId": AAPL}, position=100,
                  averageCost=108.02, model=""),
            comes("position", account=ACCOUNT, contract={"conId": AAPL, "exchange": "NASDAQ"}, position=100,
                  averageCost=108.02),
            comes("updateAccountValue", key="CashBalance", value="989198.000000", currency="USD"),
            comes("updatePortfolio", contract={"conId": AAPL, "primaryExchange": "NASDAQ"}, position=100,
                  marketPrice=108.30, marketValue=10_830, averageCost=108.02, unrealized=28, realized=0,
                  account=ACCOUNT),
            comes("accountUpdateMulti", reqId=9201, key="CashBalance", value="989198.000000"),
            comes("currentTime", time=epoch(2, MINUTES)),
        ],
    ),
    step(
        "a limit order rests",
        place(2, "BUY", 10, "LMT", lmtPrice=90.5, orderRef="RT-2"),
        wanted=[
            opened(2, "PreSubmitted", filled=0, remaining=10),
            opened(2, "Submitted", filled=0, remaining=10, order={"lmtPrice": 90.5, "orderRef": "RT-2"}),
        ],
    ),
    step("open orders", ["reqOpenOrders"], wanted=[opened(2, "Submitted", remaining=10), comes("openOrderEnd")]),
    step("modify", place(2, "BUY", 20, "LMT", lmtPrice=91.0, orderRef="RT-2"),
         wanted=[opened(2, "Submitted", remaining=20, order={"totalQuantity": 20, "lmtPrice": 91.0})]),
    step("cancel", cancel(2),
         wanted=[cancelled(2)]),
    step("cancel what was filled", cancel(1), wanted=[refused(1, 161, Like("Cancel attempted .*"))]),
    step("cancel what nobody knows", cancel(77), wanted=[refused(77, 10147, Like("OrderId 77 .* is not found.*"))]),
    step("modify what was filled", place(1, "BUY", 200, "MKT"), wanted=[refused(1, 104, Like("Cannot modify .*"))]),
    step(
        "executions",
        ["reqExecutions", 9301, {"ExecutionFilter": {}}],
        wanted=[
            comes("execDetails", reqId=9301, contract={"conId": AAPL},
                  execution={"execId": execution(1), "time": At("20240104 09:30:00"), "price": 108.01}),
            comes("commissionReport", report={"execId": execution(1), "commission": 1.0}),
            comes("execDetailsEnd", reqId=9301),
        ],
    ),
    step(
        "completed orders",
        ["reqCompletedOrders", False],
        wanted=[
            comes("completedOrder", contract={"conId": AAPL},
                  order={"action": "BUY", "totalQuantity": 100, "orderType": "MKT", "filledQuantity": 100,
                         "orderRef": "RT-1", "permId": 1_000_000_000},
                  state={"status": "Filled", "completedTime": At("20240104 09:30:00")}),
            comes("completedOrder", order={"lmtPrice": 91.0, "orderRef": "RT-2"},
                  state={"status": "Cancelled", "completedStatus": "Cancelled by Trader"}),
            comes("completedOrdersEnd"),
        ],
    ),
]  # fmt: skip

TYPES: list[Step] = [
    step("a stop waits for its trigger", place(10, "BUY", 10, "STP", auxPrice=112.10),
         wanted=[opened(10, "PreSubmitted", whyHeld="trigger", order={"orderType": "STP", "auxPrice": 112.10})]),
    step("a stop limit", place(11, "BUY", 10, "STP LMT", auxPrice=112.20, lmtPrice=112.25),
         wanted=[opened(11, "PreSubmitted", whyHeld="trigger",
                        order={"orderType": "STP LMT", "auxPrice": 112.20, "lmtPrice": 112.25})]),
    step("a trailing stop", place(12, "SELL", 10, "TRAIL", auxPrice=0.02, trailStopPrice=108.20),
         wanted=[opened(12, "PreSubmitted", whyHeld="trigger",
                        order={"orderType": "TRAIL", "auxPrice": 0.02, "trailStopPrice": 108.20})]),
    step("market on open", place(13, "BUY", 10, "MKT", tif="OPG"),
         wanted=[opened(13, "PreSubmitted", order={"tif": "OPG"})]),
    step("limit on open, too low", place(14, "BUY", 10, "LMT", lmtPrice=111.0, tif="OPG"),
         wanted=[opened(14, "PreSubmitted", order={"lmtPrice": 111.0, "tif": "OPG"})]),
    step("market on close", place(15, "BUY", 10, "MOC"),
         wanted=[opened(15, "PreSubmitted", order={"orderType": "MOC"})]),
    step("limit on close", place(16, "BUY", 10, "LOC", lmtPrice=113.0),
         wanted=[opened(16, "PreSubmitted", order={"orderType": "LOC", "lmtPrice": 113.0})]),
    step("immediate or cancel, marketable", place(17, "BUY", 10, "LMT", lmtPrice=112.50, tif="IOC"),
         wanted=[opened(17, "PreSubmitted"), opened(17, "Submitted", order={"tif": "IOC"})]),
    step("immediate or cancel, too low", place(18, "BUY", 10, "LMT", lmtPrice=100.0, tif="IOC"),
         wanted=[opened(18, "PreSubmitted"), opened(18, "Submitted")]),
    step("fill or kill, too low", place(19, "BUY", 10, "LMT", lmtPrice=100.0, tif="FOK"),
         wanted=[opened(19, "PreSubmitted"), opened(19, "Submitted", order={"tif": "FOK"})]),
    step("good till cancelled", place(20, "BUY", 10, "LMT", lmtPrice=95.0, tif="GTC"),
         wanted=[opened(20, "PreSubmitted"), opened(20, "Submitted", order={"tif": "GTC"})]),
    step("good till a date", place(21, "BUY", 10, "LMT", lmtPrice=95.5, tif="GTD",
                                   goodTillDate="20240105 09:45:00 US/Eastern"),
         wanted=[opened(21, "PreSubmitted"), opened(21, "Submitted", order={"tif": "GTD"})]),
    step(
        "each is decided in its time",
        NEXT_SESSION,
        wanted=[
            filled(13, 2, "BOT", (10, 112.01), "20240105 09:30:00"),
            comes("orderStatus", orderId=14, status="Cancelled", remaining=10),
            filled(17, 3, "BOT", (10, 112.0), "20240105 09:30:00"),
            comes("orderStatus", orderId=18, status="PendingCancel", remaining=10),
            comes("orderStatus", orderId=18, status="Cancelled", remaining=10),
            comes("orderStatus", orderId=19, status="Inactive", remaining=10),
            filled(12, 4, "SLD", (10, 111.99), "20240105 09:32:00", commission=1.032793, realized=31.858874),
            filled(10, 5, "BOT", (10, 112.11), "20240105 09:39:00"),
            comes("orderStatus", orderId=21, status="Cancelled", remaining=10),
            filled(11, 6, "BOT", (10, 112.20), "20240105 09:49:00"),
            filled(15, 7, "BOT", (10, 112.30), "20240105 10:00:00"),
            filled(16, 8, "BOT", (10, 112.30), "20240105 10:00:00"),
            comes("currentTime", time=epoch(3, MINUTES)),
        ],
    ),
]  # fmt: skip

GROUPS: list[Step] = [
    step("a bracket is held until its last order is sent",
         place(30, "BUY", 10, "MKT", transmit=False),
         place(31, "SELL", 10, "LMT", lmtPrice=116.20, parentId=30, transmit=False)),
    step("then all of it is there", place(32, "SELL", 10, "STP", auxPrice=115.0, parentId=30),
         wanted=[opened(30, "PreSubmitted", parentId=0), opened(31, "PreSubmitted", parentId=30, whyHeld="child"),
                 opened(32, "PreSubmitted", parentId=30, whyHeld="child")]),
    step("one cancels the other", place(33, "BUY", 10, "LMT", lmtPrice=115.0, ocaGroup="g", ocaType=1),
         place(34, "BUY", 10, "STP", auxPrice=116.05, ocaGroup="g", ocaType=1),
         wanted=[opened(33, "PreSubmitted"), opened(33, "Submitted", order={"ocaGroup": "g", "ocaType": 1}),
                 opened(34, "PreSubmitted", whyHeld="trigger", order={"ocaGroup": "g"})]),
    step("what if", place(35, "BUY", 100, "MKT", whatIf=True),
         wanted=[comes("openOrder", orderId=35, order={"whatIf": True, "totalQuantity": 100}, state={
             "status": "PreSubmitted", "initMarginBefore": "8422.50", "initMarginChange": "5615.00",
             "initMarginAfter": "14037.50", "maintMarginBefore": "8422.50", "maintMarginChange": "5615.00",
             "maintMarginAfter": "14037.50", "equityWithLoanBefore": "1000426.67", "equityWithLoanChange": "-1.00",
             "equityWithLoanAfter": "1000425.67", "commission": 1.0, "commissionCurrency": "USD"})]),
    step(
        "a parent wakes its children, and one of a group cancels the others",
        NEXT_SESSION,
        wanted=[
            filled(30, 9, "BOT", (10, 116.01), "20240108 09:30:00"),
            opened(32, "PreSubmitted", whyHeld="trigger", parentId=30),
            opened(31, "Submitted", whyHeld="", parentId=30),
            filled(34, 10, "BOT", (10, 116.06), "20240108 09:34:00"),
            cancelled(33, "OCA group filled"),
            filled(31, 11, "SLD", (10, 116.20), "20240108 09:50:00", parent=30, commission=1.033964,
                   realized=56.678291),
            cancelled(32, "OCA group filled"),
            comes("currentTime", time=epoch(4, MINUTES)),
        ],
    ),
]  # fmt: skip

CLIENTS: list[Step] = [
    step("another client", ["connect", 2], who="B",
         wanted=[comes("managedAccounts", accounts=ACCOUNT), comes("nextValidId", orderId=1),
                 *(comes("error", reqId=-1, code=code) for code in (2104, 2106, 2158))]),
    step("its order is its own", place(500, "SELL", 5, "LMT", lmtPrice=150.0), who="B",
         wanted=[opened(500, "PreSubmitted", clientId=2), opened(500, "Submitted", clientId=2)]),
    step("its next id has grown", ["reqIds", -1], who="B", wanted=[comes("nextValidId", orderId=501)]),
    step("nobody else cancels it", cancel(500), wanted=[refused(500, 10147, Like("OrderId 500 .* is not found.*"))]),
    step("its open orders", ["reqOpenOrders"], who="B",
         wanted=[opened(500, "Submitted", clientId=2), comes("openOrderEnd")]),
    step("all open orders", ["reqAllOpenOrders"],
         wanted=[opened(20, "Submitted", clientId=1), opened(500, "Submitted", clientId=2), comes("openOrderEnd")]),
    step("only client 0 binds", ["reqAutoOpenOrders", True], wanted=[comes("error", reqId=-1, code=327)]),
    step("everything is cancelled, whoever placed it", ["reqGlobalCancel", {"Cancel": {}}],
         wanted=[cancelled(20)], others={"B": cancelled(500)}),
    step("another's order under a third", ["connect", 3], who="C",
         wanted=[comes("managedAccounts"), comes("nextValidId", orderId=1),
                 *(comes("error", reqId=-1, code=code) for code in (2104, 2106, 2158))]),
    step("a sale for another client", place(501, "SELL", 10, "MKT"), who="B", wanted=[opened(501, "PreSubmitted")]),
    step(
        "only its owner is told of the fill",
        NEXT_SESSION,
        wanted=[comes("currentTime", time=epoch(5, MINUTES))],
        others={"B": filled(501, 12, "SLD", (10, 119.99), "20240109 09:30:00", client=2, commission=1.035017,
                            realized=94.577238)},
    ),
]  # fmt: skip


def executions(name: str, req_id: int, numbers: list[int], **wanted: Any) -> Step:
    """Ask for the executions that pass a filter."""
    found = [
        [comes("execDetails", reqId=req_id, execution={"execId": execution(n)}),
         comes("commissionReport", report={"execId": execution(n)})] for n in numbers
    ]  # fmt: skip
    return step(
        f"executions {name}", ["reqExecutions", req_id, {"ExecutionFilter": wanted}],
        wanted=[*found, comes("execDetailsEnd", reqId=req_id)],
    )  # fmt: skip


FILTERS: list[Step] = [
    executions("of sales", 9311, [4, 11, 12], side="SELL"),
    executions("of another client", 9312, [12], clientId=2),
    executions("of a symbol that was not traded", 9313, [], symbol="IBM"),
    executions("since a time", 9314, [10, 11, 12], time="20240108 09:34:00 US/Eastern"),
    executions("of another exchange", 9315, [], exchange="NYSE"),
    executions("of another kind", 9316, [], secType="FUT"),
    executions("of an account that is not ours", 9317, [], acctCode="DU7"),
    executions("by all that fits", 9318, [12], clientId=2, symbol="AAPL", side="SELL", acctCode=ACCOUNT, secType="STK"),
]

REFUSED: list[Step] = [
    step("an id that was used", place(5, "BUY", 1, "MKT"), wanted=[refused(5, 103, Like("Duplicate order id.*"))]),
    step("an unknown order type", place(90, "BUY", 1, "XYZ"), wanted=[refused(90, 321, Like(".*cause - .*"))]),
    step("a limit order without its limit", place(91, "BUY", 1, "LMT"), wanted=[comes("error", reqId=91)]),
    step("a price off the grid", place(92, "BUY", 1, "LMT", lmtPrice=100.005),
         wanted=[refused(92, 110, Like("The price does not conform.*"))]),
    step("more than the account can carry", place(93, "BUY", 100_000, "MKT"),
         wanted=[refused(93, 201, Like("Order rejected.*"))]),
    step("a fraction of a share", place(94, "BUY", 1.5, "MKT"), wanted=[refused(94, 10243, Like("Fractional.*"))]),
    step("a contract that nobody knows", place(95, "BUY", 1, "MKT", symbol="NOPE"),
         wanted=[refused(95, 200, Like("No sec.*"))]),
]  # fmt: skip
