"""The session's steps about the connection, the account and contracts."""

from tests.clients.callbacks import From, Like, anything
from tests.clients.market import DAYS, MINUTES, epoch
from tests.clients.script import AAPL, ACCOUNT, NEXT_SESSION, Step, comes, step, stock

HOURS = ";".join(f"{day:%Y%m%d}:0930-{day:%Y%m%d}:1000" for day in DAYS[1:7])
CONNECT: list[Step] = [
    step(
        "connect",
        ["connect", 1],
        wanted=[
            comes("managedAccounts", accounts=ACCOUNT),
            comes("nextValidId", orderId=1),
            comes("error", reqId=-1, code=2104, text="Market data farm connection is OK:usfarm"),
            comes("error", reqId=-1, code=2106, text="HMDS data farm connection is OK:ushmds"),
            comes("error", reqId=-1, code=2158, text=Like("Sec-def data farm connection is OK:.*"),
                  advanced=From(166, "", anything), time=From(194, (epoch(0) - 3_600) * 1_000, anything)),
        ],
    ),
    step("managed accounts", ["reqManagedAccts"], wanted=[comes("managedAccounts", accounts=ACCOUNT)]),
    step("next id", ["reqIds", -1], wanted=[comes("nextValidId", orderId=1)]),
    step("the first question for the time tells it", NEXT_SESSION,
         wanted=[comes("currentTime", time=epoch(0) - 3_600)]),
    step("a session passes", NEXT_SESSION, wanted=[comes("currentTime", time=epoch(0, MINUTES))]),
]  # fmt: skip

CONTRACTS: list[Step] = [
    step(
        "contract details",
        ["reqContractDetails", 9101, stock()],
        wanted=[
            comes("contractDetails", reqId=9101, details={
                "contract": {
                    "conId": AAPL, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "primaryExchange": "NASDAQ",
                    "currency": "USD", "localSymbol": "AAPL", "tradingClass": "NMS",
                },
                "marketName": "NMS", "minTick": 0.01, "priceMagnifier": 1, "validExchanges": "SMART,NASDAQ",
                "timeZoneId": "US/Eastern", "tradingHours": HOURS, "liquidHours": HOURS, "stockType": "COMMON",
                "aggGroup": 1, "marketRuleIds": "26,26",
            }),
            comes("contractDetailsEnd", reqId=9101),
        ],
    ),
    step(
        "contract details by id",
        ["reqContractDetails", 9103, {"Contract": {"conId": AAPL, "exchange": "SMART"}}],
        wanted=[
            comes("contractDetails", reqId=9103, details={"contract": {"symbol": "AAPL"}}),
            comes("contractDetailsEnd", reqId=9103),
        ],
    ),
    step(
        "symbol search",
        ["reqMatchingSymbols", 9111, "aa"],
        wanted=[comes("symbolSamples", reqId=9111, contracts=[{
            "contract": {"conId": AAPL, "symbol": "AAPL", "secType": "STK", "primaryExchange": "NASDAQ",
                         "currency": "USD"}, "derivativeSecTypes": []}])],
    ),
    step("market rule", ["reqMarketRule", 26],
         wanted=[comes("marketRule", rule=26, increments=[{"lowEdge": 0, "increment": 0.01}])]),
    step("no market rule", ["reqMarketRule", 99],
         wanted=[comes("error", code=321, text=Like(".*Invalid market rule id.*"))]),
    step("details of what nobody knows", ["reqContractDetails", 9102, stock("NOPE")],
         wanted=[comes("error", reqId=9102, code=200, text=Like("No security definition has been found.*"))]),
]  # fmt: skip

VALUES: list[Step] = [
    step("family codes", ["reqFamilyCodes"], wanted=[comes("familyCodes", codes=[{"accountID": ACCOUNT}])]),
    step(
        "account summary",
        ["reqAccountSummary", 9211, "All", "NetLiquidation,BuyingPower,AccountType,Cushion"],
        wanted=[
            comes("accountSummary", reqId=9211, account=ACCOUNT, tag="NetLiquidation", value="1000000.00",
                  currency="USD"),
            comes("accountSummary", reqId=9211, tag="BuyingPower", value="4000000.00"),
            comes("accountSummary", reqId=9211, tag="AccountType", value="INDIVIDUAL", currency=""),
            comes("accountSummary", reqId=9211, tag="Cushion", value="1.000000", currency=""),
            comes("accountSummaryEnd", reqId=9211),
        ],
    ),
    step("two summaries at most", ["reqAccountSummary", 9212, "All", "$LEDGER"],
         ["reqAccountSummary", 9213, "All", "NetLiquidation"],
         wanted=[comes("accountSummaryEnd", reqId=9212),
                 comes("error", reqId=9213, code=322, text=Like(".*Maximum number of account summary.*"))]),
    step("a summary is ended", ["cancelAccountSummary", 9212]),
    step("profit", ["reqPnL", 9221, ACCOUNT, ""], ["reqPnLSingle", 9222, ACCOUNT, "", AAPL],
         wanted=[comes("pnl", reqId=9221, daily=0, unrealized=0, realized=0),
                 comes("pnlSingle", reqId=9222, position=0, daily=0, unrealized=0, realized=0, value=0)]),
    step("no positions by model", ["reqPositionsMulti", 9231, ACCOUNT, ""],
         wanted=[comes("positionMultiEnd", reqId=9231)]),
    step("no positions", ["reqPositions"], wanted=[comes("positionEnd")]),
    step(
        "account updates",
        ["reqAccountUpdates", True, ""],
        wanted=[
            comes("updateAccountValue", key="AccountType", value="INDIVIDUAL", currency="", account=ACCOUNT),
            comes("updateAccountValue", key="BuyingPower", value="4000000.00", currency="USD", account=ACCOUNT),
            comes("updateAccountValue", key="NetLiquidation", value="1000000.00", currency="USD", account=ACCOUNT),
            comes("updateAccountTime", time="10:00"),
            comes("accountDownloadEnd", account=ACCOUNT),
        ],
    ),
    step(
        "account updates multi",
        ["reqAccountUpdatesMulti", 9201, ACCOUNT, "", False],
        wanted=[
            comes("accountUpdateMulti", reqId=9201, account=ACCOUNT, key="NetLiquidation", value="1000000.00",
                  currency="USD", model=""),
            comes("accountUpdateMultiEnd", reqId=9201),
        ],
    ),
]  # fmt: skip
