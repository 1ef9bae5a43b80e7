"""The session's steps about market data: subscribed after the first session, observed over the second, then ended."""

from tests.clients.callbacks import At, Callback, Like, lots
from tests.clients.market import MINUTES, epoch, level
from tests.clients.script import NEXT_SESSION, Step, comes, step, stock

_LAST = MINUTES - 1


def cents(day: int, minute: int, more: int = 0) -> float:
    """Return AAPL's open of a minute, and so many cents more."""
    return round(level(day, minute) + more / 100, 2)


def volume(first: int, last: int) -> int:
    """Return what is traded of AAPL in the minutes from `first` to `last`."""
    return sum(range(1_000 + first, 1_001 + last))


def bar(req_id: int, day: int, minute: int, at: object, *, last: int | None = None) -> Callback:
    """Want one historical bar of AAPL, of the minutes to `last`."""
    until = minute if last is None else last
    traded = volume(minute, until)
    return comes("historicalData", reqId=req_id, bar={
        "date": at, "open": cents(day, minute), "high": cents(day, until, 2), "low": cents(day, minute, -1),
        "close": cents(day, until, 1), "volume": lots(175, traded), "barCount": -1, "average": -1.0,
    })  # fmt: skip


def tick(req_id: int, number: int, price: float, size: int) -> list[Callback]:
    """Want a price and the size that goes with it: in lots below version 159, see `ibkr.md` 1.3."""
    of = {1: 0, 2: 3, 4: 5}
    return [
        comes("tickPrice", reqId=req_id, tick=number, price=price),
        comes("tickSize", reqId=req_id, tick=of[number], size=lots(159, size)),
    ]


def price(req_id: int, number: int, value: float) -> Callback:
    """Want a price that has no size."""
    return comes("tickPrice", reqId=req_id, tick=number, price=value)


def history(req_id: int, duration: str, size: str, what: str, *, end: str = "", fmt: int = 1, keep: bool = False,
            symbol: str = "AAPL") -> list[object]:  # fmt: skip
    """Ask for bars."""
    return ["reqHistoricalData", req_id, stock(symbol), end, duration, size, what, 1, fmt, keep, []]


def refused(req_id: int, code: int, text: str) -> Callback:
    """Want an error about a request."""
    return comes("error", reqId=req_id, code=code, text=Like(text))


HISTORY: list[Step] = [
    step(
        "minute bars",
        history(9401, "180 S", "1 min", "TRADES"),
        wanted=[
            *(bar(9401, 0, MINUTES - n, At(f"20240102 09:{60 - n}:00")) for n in (3, 2, 1)),
            comes("historicalDataEnd", reqId=9401, start=At("20240102 09:57:00"), end=At("20240102 10:00:00")),
        ],
    ),
    step(
        "daily bars carry a date only",
        history(9402, "1 D", "1 day", "TRADES"),
        wanted=[bar(9402, 0, 0, "20240102", last=_LAST), comes("historicalDataEnd", reqId=9402)],
    ),
    step(
        "midpoints with epoch times, up to a moment",
        history(9403, "60 S", "1 min", "MIDPOINT", end="20240102 09:35:00 US/Eastern", fmt=2),
        wanted=[
            comes("historicalData", reqId=9403, bar={
                "date": str(epoch(0, 4)), "open": 100.04, "high": 100.06, "low": 100.03, "close": 100.05, "volume": -1,
            }),
            comes("historicalDataEnd", reqId=9403, start=At("20240102 09:34:00"), end=At("20240102 09:35:00")),
        ],
    ),
    step(
        "bid and ask",
        history(9404, "60 S", "1 min", "BID_ASK"),
        wanted=[
            comes("historicalData", reqId=9404, bar={"high": cents(0, _LAST, 3), "low": cents(0, _LAST, -2)}),
            comes("historicalDataEnd", reqId=9404),
        ],
    ),
    step("nothing finer than the data", history(9405, "60 S", "30 secs", "TRADES"),
         wanted=[refused(9405, 162, "Historical Market Data Service error message:.*no data.*")]),
    step("a wrong end", history(9406, "60 S", "1 min", "TRADES", end="yesterday"),
         wanted=[refused(9406, 10314, "End Date/Time.*")]),
    step("a wrong bar size", history(9407, "60 S", "7 mins", "TRADES"), wanted=[refused(9407, 321, ".*bar size.*")]),
    step("the end of a history that nobody asked for", ["cancelHistoricalData", 9409],
         wanted=[refused(9409, 366, "No historical data query.*")]),
    step("head timestamp", ["reqHeadTimeStamp", 9411, stock(), "TRADES", 1, 1],
         wanted=[comes("headTimestamp", reqId=9411, time="20240102-14:30:00")]),
    step("head timestamp as epoch", ["reqHeadTimeStamp", 9412, stock(), "TRADES", 1, 2],
         wanted=[comes("headTimestamp", reqId=9412, time=str(epoch(0)))]),
]  # fmt: skip

QUOTES: list[Step] = [
    step(
        "quotes with real-time volume and shortable shares",
        ["reqMktData", 9501, stock(), "233,236", False, False, []],
        wanted=[
            comes("marketDataType", reqId=9501, type=1),
            comes("tickReqParams", reqId=9501, minTick=0.01, exchange="9c0001", permissions=3),
            tick(9501, 1, 100.29, 400),
            tick(9501, 2, 100.31, 600),
            tick(9501, 4, 100.30, 500),
            price(9501, 6, 100.31),
            price(9501, 7, 99.99),
            price(9501, 14, 100.0),
            comes("tickSize", reqId=9501, tick=8, size=lots(159, volume(0, _LAST))),
            comes("tickString", reqId=9501, tick=45, value=str(epoch(0, MINUTES))),
            comes("tickGeneric", reqId=9501, tick=49, value=0),
            comes("tickString", reqId=9501, tick=48, value=Like(rf"100.30;(500|5);{epoch(0, MINUTES)}000;.*;true")),
            comes("tickGeneric", reqId=9501, tick=46, value=3),
            comes("tickSize", reqId=9501, tick=89, size=10_000_000),
        ],
    ),
    step(
        "a snapshot ends",
        ["reqMktData", 9502, stock("IBM"), "", True, False, []],
        wanted=[
            comes("marketDataType", reqId=9502, type=1), comes("tickReqParams", reqId=9502), tick(9502, 1, 49.99, 500),
            tick(9502, 2, 50.01, 700), comes("tickSnapshotEnd", reqId=9502),
        ],
    ),
    step("delayed data are not needed where live data are allowed", ["reqMarketDataType", 3],
         ["reqMktData", 9503, stock("IBM"), "", False, False, []],
         wanted=[comes("marketDataType", reqId=9503, type=1), comes("tickReqParams", reqId=9503)]),
    step("trading in it is halted until the market goes on", ["reqMatchingSymbols", 9700, "halt"],
         wanted=[comes("symbolSamples", reqId=9700, contracts=[]), comes("tickGeneric", reqId=9503, tick=49, value=2)]),
    step("one id twice", ["reqMktData", 9501, stock("IBM"), "", False, False, []],
         wanted=[refused(9501, 322, ".*Duplicate ticker id")]),
    step("quotes of what nobody knows", ["reqMktData", 9504, stock("NOPE"), "", False, False, []],
         wanted=[refused(9504, 200, "No security definition.*")]),
    step("the end of quotes that nobody asked for", ["cancelMktData", 9599],
         wanted=[refused(9599, 300, "Can't find EId with tickerId:9599")]),
]  # fmt: skip

STREAMS: list[Step] = [
    step("tick by tick: nothing is told of the past",
         ["reqTickByTickData", 9511, stock(), "Last", 0, False],
         ["reqTickByTickData", 9512, stock(), "BidAsk", 0, False],
         ["reqTickByTickData", 9513, stock(), "MidPoint", 0, False]),
    step("real-time bars", ["reqRealTimeBars", 9521, stock(), 5, "TRADES", True, []]),
    step(
        "bars that are kept up to date",
        history(9531, "1 D", "10 mins", "TRADES", keep=True),
        wanted=[
            *(bar(9531, 0, m, At(f"20240102 09:{30 + m}:00"), last=m + 9) for m in (0, 10, 20)),
            comes("historicalDataEnd", reqId=9531),
        ],
    ),
]  # fmt: skip


def _real_time(second: int, opened: int, close: int) -> Callback:
    """Want a bar of five seconds of the second session's first minute; prices in cents above the open."""
    low, high = sorted((opened, close))
    return comes("realtimeBar", reqId=9521, time=epoch(1) + second, open=cents(1, 0, opened), high=cents(1, 0, high),
                 low=cents(1, 0, low), close=cents(1, 0, close), volume=lots(175, 83 if second else 84), wap=-1,
                 count=-1)  # fmt: skip


def _update(minute: int, at: str) -> Callback:
    wanted = bar(9531, 1, minute, At(at), last=minute + 9)
    return Callback("historicalDataUpdate", wanted.values)


OBSERVED: list[Step] = [
    step(
        "a session of quotes, ticks and bars",
        NEXT_SESSION,
        wanted=[
            tick(9501, 1, 104.29, 800), tick(9501, 2, 104.31, 100), tick(9501, 4, 104.30, 900), price(9501, 6, 104.31),
            price(9501, 7, 103.99), price(9501, 9, 100.30), price(9501, 14, 104.0),
            comes("tickString", reqId=9501, tick=45, value=str(epoch(1, MINUTES))),
            comes("tickByTickAllLast", reqId=9511, type=1, time=epoch(1, MINUTES), price=104.30,
                  size=lots(159, 900), exchange="NASDAQ", conditions=""),
            comes("tickByTickBidAsk", reqId=9512, time=epoch(1, MINUTES), bid=104.29, ask=104.31,
                  bidSize=lots(159, 800), askSize=lots(159, 100)),
            comes("tickByTickMidPoint", reqId=9513, time=epoch(1, MINUTES), price=104.30),
            _real_time(0, 0, 0), _real_time(10, 0, -1), _real_time(20, -1, 0),
            _update(0, "20240103 09:30:00"), _update(10, "20240103 09:40:00"), _update(20, "20240103 09:50:00"),
            comes("currentTime", time=epoch(1, MINUTES)),
        ],
    ),
    step("every subscription is ended", ["cancelMktData", 9501], ["cancelMktData", 9503],
         *(["cancelTickByTickData", n] for n in (9511, 9512, 9513)), ["cancelRealTimeBars", 9521],
         ["cancelHistoricalData", 9531]),
]  # fmt: skip
