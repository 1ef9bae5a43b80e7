"""Every cent of small backtests, worked out by hand: ten bars at most (ATR(14) alone needs fifteen)."""

import math
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import CorporateAction, stock
from robotrader.simulation.venue import FillAt
from tests import builders as make
from tests.goldens.worksheet import CAPITAL, NAN, Row, Sheet, play, shown

Q: Row = (100.0, 101.0, 99.0, 100.0)  # a quiet day
GONE: Row = (NAN, NAN, NAN, NAN, NAN)
UNTRADED: Row = (100.0, 101.0, 99.0, 100.0, 0.0)


def split(new: int, old: int, day: int) -> CorporateAction:
    return make.split(new, old, day=day)


MARKET = (
    Sheet(
        name="a decision at the close is filled at the next open",
        bars=((10.0, 10.2, 9.9, 10.1), (10.5, 11.0, 10.4, 10.9), (10.8, 11.2, 10.7, 11.1)),
        views={0: 1},
        fills=("1o BUY 100 10.50 0",),
        cash="-1050.00",
        held=100,
    ),
    Sheet(
        name="half the spread is paid on both sides, rounded to the cent",
        bars=((10.0, 10.2, 9.9, 10.1), (10.5, 11.0, 10.4, 10.9), (11.0, 11.2, 10.7, 11.1)),
        views={0: 1, 1: 0},
        # 10.50 x 1.001 = 10.5105; 11.00 x 0.999 = 10.989
        fills=("1o BUY 100 10.51 0", "2o SELL 100 10.99 0"),
        cash="-1051.00 +1099.00",
        bps="10",
    ),
    Sheet(
        name="impact grows with the square root of the size",
        # no return is known: 3 % a day; a million traded the day before: 0.03 x sqrt(50 / 1e6) = 0.000213 (rounded up);
        # 100.00 x 1.000213 = 100.0213. Day 2: two such days, 100.00 x (1 - 0.000213) = 99.9787
        bars=(Q, Q, Q),
        views={0: 1, 1: 0},
        sizer="fixed:50",
        impact="1",
        fills=("1o BUY 50 100.02 0", "2o SELL 50 99.98 0"),
        cash="-5001.00 +4999.00",
    ),
    Sheet(
        name="the close that decides also fills, where that is asked for",
        bars=((10.0, 10.2, 9.9, 10.1), (10.5, 11.0, 10.4, 10.9)),
        views={0: 1, 1: 0},
        fill=FillAt.THIS_CLOSE,
        fills=("0c BUY 100 10.10 0", "1c SELL 100 10.90 0"),
        cash="-1010.00 +1090.00",
    ),
    Sheet(
        name="the next close fills, where that is asked for",
        bars=((10.0, 10.2, 9.9, 10.1), (10.5, 11.0, 10.4, 10.9), (10.8, 11.2, 10.7, 11.1)),
        views={0: 1, 1: 0},
        fill=FillAt.NEXT_CLOSE,
        fills=("1c BUY 100 10.90 0", "2c SELL 100 11.10 0"),
        cash="-1090.00 +1110.00",
    ),
    Sheet(
        name="an early close is the next close",
        bars=(Q, (100.0, 101.0, 99.0, 100.5), Q),
        views={0: 1},
        fill=FillAt.NEXT_CLOSE,
        close_early={1: 3},
        fills=("1c BUY 100 100.50 0",),
        cash="-10050.00",
        held=100,
    ),
    Sheet(
        name="a day order lives for the short session only, and the exit is planned anew at its close",
        bars=(Q, Q, UNTRADED, Q),
        views={0: 1, 1: 0, 2: 0},
        close_early={2: 3},
        orders=3,
        fills=("1o BUY 100 100.00 0", "3o SELL 100 100.00 0"),
        cash="-10000 +10000",
    ),
    Sheet(
        name="a missing bar fills nothing, and the entry is gone",
        bars=(Q, GONE, Q, Q),
        views={0: 1},
        fills=(),
        cash="",
        orders=1,
    ),
    Sheet(
        name="a bar without volume fills nothing, and the entry is gone",
        bars=(Q, UNTRADED, Q),
        views={0: 1},
        fills=(),
        cash="",
        orders=1,
    ),
    Sheet(
        name="a tenth of the volume fills; what is left of an entry expires with the day",
        bars=(Q, (100.0, 101.0, 99.0, 100.0, 600.0), Q),
        views={0: 1},
        participation=0.1,
        fills=("1o BUY 60 100.00 0",),
        cash="-6000",
        held=60,
    ),
    Sheet(
        name="what is left of an exit is sold on the next day, by another order with another minimum fee",
        bars=(Q, Q, (100.0, 101.0, 99.0, 100.0, 600.0), Q),
        views={0: 1, 1: 0, 2: 0},
        participation=0.1,
        costs="ibkr_fixed",
        # 60 sold: 1.00 + 6,000 x 0.0000278 + 60 x 0.000166; then 40: 1.00 + 4,000 x 0.0000278 + 40 x 0.000166
        fills=("1o BUY 100 100.00 1", "2o SELL 60 100.00 1.17676", "3o SELL 40 100.00 1.11784"),
        cash="-10000 -1 +6000 -1.17676 +4000 -1.11784",
        orders=3,
    ),
    Sheet(
        name="within a day the order carries on, and pays its minimum once",
        bars=(Q, (100.0, 101.0, 99.0, 100.0, 600.0), (101.0, 101.0, 99.0, 100.0), Q),
        views={0: 1},
        minutes=True,
        participation=0.1,
        costs="ibkr_fixed",
        fills=("1o BUY 60 100.00 1", "2o BUY 40 101.00 0"),
        cash="-6000 -1 -4040",
        held=100,
        orders=1,
    ),
    Sheet(
        name="a short gains what the price loses",
        bars=(Q, Q, (90.0, 91.0, 89.0, 90.0)),
        views={0: -1, 1: 0},
        fills=("1o SELL 100 100.00 0", "2o BUY 100 90.00 0"),
        cash="+10000 -9000",
    ),
    Sheet(
        name="a flip is one order of twice the size",
        bars=(Q, Q, (102.0, 103.0, 101.0, 102.0), (99.0, 100.0, 98.0, 99.0)),
        views={0: 1, 1: -1, 2: 0},
        fills=("1o BUY 100 100.00 0", "2o SELL 200 102.00 0", "3o BUY 100 99.00 0"),
        cash="-10000 +20400 -9900",
    ),
)

SIZES = (
    Sheet(
        name="half the equity buys whole shares only",
        bars=((37.0, 38.0, 36.0, 37.0), (37.0, 38.0, 36.0, 37.0)),
        views={0: 1},
        sizer="percent:0.5",
        fills=("1o BUY 1351 37.00 0",),
        cash="-49987",
        held=1351,  # 50,000 / 37 = 1351.35
    ),
    Sheet(
        name="all in is sized at the close and paid at the open: cash may go below zero",
        bars=((37.0, 38.0, 36.0, 37.0), (38.0, 38.5, 36.0, 37.0)),
        views={0: 1},
        sizer="all_in",
        fills=("1o BUY 2702 38.00 0",),
        cash="-102676",
        held=2702,  # 100,000 / 37 = 2702.7
    ),
    Sheet(
        name="a sum of money buys whole lots",
        bars=((37.0, 38.0, 36.0, 37.0), (37.0, 38.0, 36.0, 37.0)),
        views={0: 1},
        sizer="notional:5000",
        instrument=structs.replace(make.SPY, lot=10),
        fills=("1o BUY 130 37.00 0",),
        cash="-4810",
        held=130,  # 135.1
    ),
    Sheet(
        name="a part of the size is rounded towards nothing, long and short",
        bars=(Q, Q, Q, Q),
        views={0: 0.5, 1: -0.5},
        sizer="fixed:7",  # 3.5
        fills=("1o BUY 3 100.00 0", "2o SELL 6 100.00 0"),
        cash="-300 +600",
        held=-3,
    ),
    Sheet(
        name="an ATR of 3.00 is to cost a hundredth of the equity",
        bars=((100.0, 102.0, 99.0, 100.0),) * 17,
        views={15: 1},
        sizer="atr:0.01",  # 1,000 / 3 = 333.3
        fills=("16o BUY 333 100.00 0",),
        cash="-33300",
        held=333,
    ),
    Sheet(
        name="no ATR is known before fifteen bars: nothing is bought",
        bars=(Q,) * 5,
        views={1: 1},
        sizer="atr:0.01",
        fills=(),
        cash="",
        orders=0,
    ),
)

FEES = (
    Sheet(
        name="the fixed plan costs a dollar at least, and sales pay SEC and TAF",
        bars=(Q, Q, Q),
        views={0: 1, 1: 0},
        costs="ibkr_fixed",  # 10,000 x 0.0000278 = 0.278; 100 x 0.000166 = 0.0166
        fills=("1o BUY 100 100.00 1", "2o SELL 100 100.00 1.2946"),
        cash="-10000 -1 +10000 -1.2946",
    ),
    Sheet(
        name="the fixed plan costs half a cent a share",
        bars=((10.0, 10.5, 9.5, 10.0),) * 3,
        views={0: 1},
        costs="ibkr_fixed",
        sizer="fixed:1000",
        fills=("1o BUY 1000 10.00 5",),
        cash="-10000 -5",
        held=1000,
    ),
    Sheet(
        name="no plan costs more than a hundredth of the value",
        bars=((0.5, 0.6, 0.4, 0.5),) * 3,
        views={0: 1},
        costs="ibkr_fixed",
        sizer="fixed:100",
        fills=("1o BUY 100 0.50 0.5",),
        cash="-50 -0.50",
        held=100,
    ),
    Sheet(
        name="the tiered plan costs 35 cents at least, and passes fees on",
        # 0.35; 0.35 x (0.000175 + 0.000563) = 0.0002583; 100 x (0.0002 + 0.003) = 0.32: 0.6702583
        bars=(Q, Q),
        views={0: 1},
        costs="ibkr_tiered",
        fills=("1o BUY 100 100.00 0.670258",),
        cash="-10000 -0.670258",
        held=100,
    ),
    Sheet(
        name="basis points of the value",
        bars=(Q, Q),
        views={0: 1},
        costs="bps:2.5",
        fills=("1o BUY 100 100.00 2.5",),
        cash="-10000 -2.50",
        held=100,
    ),
)

LONG: dict[str, Any] = {"stop_loss": "percent:0.05", "take_profit": "percent:0.1"}  # of 100.00: 95.00 and 110.00

PROTECTED = (
    Sheet(
        name="a bar reaches the stop: sold there",
        **LONG,
        bars=(Q, Q, (98.0, 99.0, 94.0, 96.0), Q),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2c SELL 100 95.00 0"),
        cash="-10000 +9500",
        orders=3,
    ),
    Sheet(
        name="a touch is enough for a stop",
        **LONG,
        bars=(Q, Q, (98.0, 99.0, 95.0, 96.0), Q),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2c SELL 100 95.00 0"),
        cash="-10000 +9500",
    ),
    Sheet(
        name="a cent above the stop nothing happens",
        **LONG,
        bars=(Q, Q, (98.0, 99.0, 95.01, 96.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0",),
        cash="-10000",
        held=100,
    ),
    Sheet(
        name="a stop pays half the spread: it is sold below its price",
        **LONG,
        bps="10",
        bars=(Q, Q, (98.0, 99.0, 94.0, 96.0)),
        views={0: 1},  # 100.00 x 1.001; 95.00 x 0.999 = 94.905, half to even
        fills=("1o BUY 100 100.10 0", "2c SELL 100 94.90 0"),
        cash="-10010 +9490",
    ),
    Sheet(
        name="a gap through the stop: sold at the open",
        **LONG,
        bars=(Q, Q, (90.0, 99.0, 89.0, 96.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2o SELL 100 90.00 0"),
        cash="-10000 +9000",
    ),
    Sheet(
        name="the target is traded through: sold there, and without the spread",
        **LONG,
        bps="10",
        bars=(Q, Q, (108.0, 110.01, 107.0, 109.0)),
        views={0: 1},
        fills=("1o BUY 100 100.10 0", "2c SELL 100 110.00 0"),
        cash="-10010 +11000",
    ),
    Sheet(
        name="a touch is not enough for a target",
        **LONG,
        bars=(Q, Q, (108.0, 110.0, 107.0, 109.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0",),
        cash="-10000",
        held=100,
    ),
    Sheet(
        name="a gap over the target: sold at the better open",
        **LONG,
        bars=(Q, Q, (112.0, 113.0, 90.0, 91.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2o SELL 100 112.00 0"),
        cash="-10000 +11200",
    ),
    Sheet(
        name="stop and target lie within one bar: the stop",
        **LONG,
        bars=(Q, Q, (100.0, 111.0, 94.0, 110.5)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2c SELL 100 95.00 0"),
        cash="-10000 +9500",
    ),
    Sheet(
        name="the bar of the entry reaches the stop",
        **LONG,
        bars=(Q, (99.0, 99.5, 94.0, 98.0), Q),
        views={0: 1},
        fills=("1o BUY 100 99.00 0", "1c SELL 100 95.00 0"),
        cash="-9900 +9500",
    ),
    Sheet(
        name="the bar of the entry reaches the target",
        **LONG,
        bars=(Q, (101.0, 111.0, 100.0, 110.5), Q),
        views={0: 1},
        fills=("1o BUY 100 101.00 0", "1c SELL 100 110.00 0"),
        cash="-10100 +11000",
    ),
    Sheet(
        name="bought at a close, the day behind it does not count",
        **LONG,
        fill=FillAt.NEXT_CLOSE,
        bars=(Q, (100.0, 115.0, 80.0, 100.0), (98.0, 99.0, 94.0, 96.0)),
        views={0: 1},
        fills=("1c BUY 100 100.00 0", "2c SELL 100 95.00 0"),
        cash="-10000 +9500",
    ),
    Sheet(
        name="the entry itself opens beyond the stop: in and out at the open",
        **LONG,
        bps="10",
        bars=(Q, (90.0, 92.0, 89.0, 91.0), Q),
        views={0: 1},  # 90.09 and 89.91
        fills=("1o BUY 100 90.09 0", "1o SELL 100 89.91 0"),
        cash="-9009 +8991",
    ),
    Sheet(
        name="a short is stopped above its price",
        **LONG,
        bars=(Q, Q, (101.0, 106.0, 100.0, 101.0)),
        views={0: -1},
        fills=("1o SELL 100 100.00 0", "2c BUY 100 105.00 0"),
        cash="+10000 -10500",
    ),
    Sheet(
        name="a short is stopped at an open above its stop",
        **LONG,
        bars=(Q, Q, (120.0, 121.0, 100.0, 101.0)),
        views={0: -1},
        fills=("1o SELL 100 100.00 0", "2o BUY 100 120.00 0"),
        cash="+10000 -12000",
    ),
    Sheet(
        name="a short takes its profit below its price",
        **LONG,
        bars=(Q, Q, (95.0, 96.0, 89.99, 91.0)),
        views={0: -1},
        fills=("1o SELL 100 100.00 0", "2c BUY 100 90.00 0"),
        cash="+10000 -9000",
    ),
    Sheet(
        name="after a stop the strategy waits for another view",
        **LONG,
        bars=(Q, Q, (98.0, 99.0, 94.0, 96.0), Q, Q, Q, Q),
        views={0: 1, 3: 1, 4: 0, 5: 1},
        fills=("1o BUY 100 100.00 0", "2c SELL 100 95.00 0", "6o BUY 100 100.00 0"),
        cash="-10000 +9500 -10000",
        held=100,
    ),
    Sheet(
        name="an exit at the open leaves nothing to the stop in the same bar",
        **LONG,
        bars=(Q, Q, Q, (98.0, 99.0, 90.0, 91.0), (91.0, 92.0, 90.0, 91.0)),
        views={0: 1, 2: 0},
        fills=("1o BUY 100 100.00 0", "3o SELL 100 98.00 0"),
        cash="-10000 +9800",
    ),
    Sheet(
        name="a flip has its stop on the other side, in the bar of the flip as well",
        stop_loss="percent:0.05",
        bars=(Q, Q, Q, (100.0, 105.5, 99.0, 105.0), Q),
        views={0: 1, 2: -1},
        fills=("1o BUY 100 100.00 0", "3o SELL 200 100.00 0", "3c BUY 100 105.00 0"),
        cash="-10000 +20000 -10500",
    ),
    Sheet(
        name="the stop is as large as what the entry filled",
        **LONG,
        participation=0.1,
        bars=(Q, (100.0, 101.0, 99.0, 100.0, 600.0), Q, (98.0, 99.0, 94.0, 96.0)),
        views={0: 1},
        fills=("1o BUY 60 100.00 0", "3c SELL 60 95.00 0"),
        cash="-6000 +5700",
    ),
    Sheet(
        name="a stop that finds little volume sells on at the next open",
        **LONG,
        participation=0.1,
        bars=(Q, Q, (98.0, 99.0, 94.0, 96.0, 300.0), (92.0, 93.0, 91.0, 92.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2c SELL 30 95.00 0", "3o SELL 70 92.00 0"),
        cash="-10000 +2850 +6440",
    ),
    Sheet(
        name="a stop does not fill in a halt, but at the open after it",
        **LONG,
        bars=(Q, Q, GONE, (90.0, 90.0, 80.0, 85.0, 0.0), (84.0, 86.0, 83.0, 85.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "4o SELL 100 84.00 0"),
        cash="-10000 +8400",
    ),
    Sheet(
        name="a stop by ATR waits until one is known: no entry",
        stop_loss="atr:2",
        bars=(Q,) * 5,
        views={1: 1},
        fills=(),
        cash="",
        orders=0,
    ),
    Sheet(
        name="a stop two ATR of 3.00 away",
        stop_loss="atr:2",
        bars=((100.0, 102.0, 99.0, 100.0),) * 17 + ((96.0, 97.0, 93.5, 95.0),),
        views={15: 1},
        fills=("16o BUY 100 100.00 0", "17c SELL 100 94.00 0"),
        cash="-10000 +9400",
    ),
)

ACTIONS = (
    Sheet(
        name="a short pays for what it borrows, each night",
        # collateral: 102 % of 100.00 and of 110.00 in whole dollars, 102 and 113 (112.2) x 100; 3.6 % / 360 = 0.0001
        bars=(Q, (100.0, 101.0, 99.0, 100.0), (100.0, 111.0, 99.0, 110.0), Q),
        views={0: -1, 2: 0},
        borrow="0.036",
        fills=("1o SELL 100 100.00 0", "3o BUY 100 100.00 0"),
        cash="+10000 -1.02 -1.13 -10000",
    ),
    Sheet(
        name="a long pays no borrow fee",
        bars=(Q, Q, Q),
        views={0: 1},
        borrow="0.036",
        fills=("1o BUY 100 100.00 0",),
        cash="-10000",
        held=100,
    ),
    Sheet(
        name="a long receives the dividend",
        bars=(Q, Q, Q),
        views={0: 1},
        actions=(make.dividend("0.50", day=2),),
        fills=("1o BUY 100 100.00 0",),
        cash="-10000 +50",
        held=100,
    ),
    Sheet(
        name="a short pays the dividend",
        bars=(Q, Q, Q),
        views={0: -1},
        actions=(make.dividend("0.50", day=2),),
        fills=("1o SELL 100 100.00 0",),
        cash="+10000 -50",
        held=-100,
    ),
    Sheet(
        name="bought at the open of the ex date: no dividend",
        bars=(Q, Q, Q),
        views={0: 1},
        actions=(make.dividend("0.50", day=1),),
        fills=("1o BUY 100 100.00 0",),
        cash="-10000",
        held=100,
    ),
    Sheet(
        name="a split doubles the units",
        bars=(Q, Q, (50.0, 51.0, 49.0, 50.0), (50.0, 51.0, 49.0, 50.0)),
        views={0: 1, 2: 0},
        actions=(split(2, 1, 2),),
        fills=("1o BUY 100 100.00 0", "3o SELL 200 50.00 0"),
        cash="-10000 +10000",
    ),
    Sheet(
        name="half a unit of a split is paid at the last close in new units",
        sizer="fixed:5",
        bars=(Q, (100.0, 121.0, 99.0, 120.0), (80.0, 81.0, 79.0, 80.0)),
        views={0: 1},
        actions=(split(3, 2, 2),),
        # 5 become 7.5: 7, and 0.5 x 120.00 x 2 / 3 = 40.00
        fills=("1o BUY 5 100.00 0",),
        cash="-500 +40",
        held=7,
    ),
    Sheet(
        name="after a split the stop is made anew, in new units, at the close",
        stop_loss="percent:0.05",
        bars=(Q, Q, (50.0, 51.0, 49.0, 50.0), (48.0, 48.5, 47.0, 48.0)),
        views={0: 1},
        actions=(split(2, 1, 2),),
        fills=("1o BUY 100 100.00 0", "3c SELL 200 47.50 0"),
        cash="-10000 +9500",
    ),
)

FOLLOWING: dict[str, Any] = {"stop_loss": "trailing_percent:0.05"}
UP: Row = (100.0, 111.0, 99.0, 110.0)

EXITS = (
    Sheet(
        name="a trailing stop follows a close that rose: 110.00 x 0.95 = 104.50",
        **FOLLOWING,
        bars=(Q, UP, (109.0, 110.0, 104.0, 105.0), Q),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "2c SELL 100 104.50 0"),
        cash="-10000 +10450",
        orders=2,
    ),
    Sheet(
        name="a trailing stop follows the close, not the high, and not within its bar",
        **FOLLOWING,
        bars=(Q, (100.0, 130.0, 96.0, 100.0), (100.0, 101.0, 95.5, 100.0), (99.0, 99.5, 94.0, 96.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "3c SELL 100 95.00 0"),
        cash="-10000 +9500",
    ),
    Sheet(
        name="a trailing stop never goes back",
        **FOLLOWING,
        bars=(Q, UP, (108.0, 109.0, 105.0, 106.0), (105.0, 105.5, 104.0, 105.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "3c SELL 100 104.50 0"),
        cash="-10000 +10450",
    ),
    Sheet(
        name="a short's trailing stop follows downwards: 90.00 x 1.05 = 94.50",
        **FOLLOWING,
        bars=(Q, (100.0, 101.0, 89.0, 90.0), (91.0, 95.0, 90.5, 94.0)),
        views={0: -1},
        fills=("1o SELL 100 100.00 0", "2c BUY 100 94.50 0"),
        cash="+10000 -9450",
    ),
    Sheet(
        name="a position that grew keeps its trailed price for all of it",
        **FOLLOWING,
        bars=(Q, UP, (108.0, 112.0, 106.0, 110.0), (109.0, 110.0, 104.0, 105.0)),
        views={0: 0.5, 1: 1},
        fills=("1o BUY 50 100.00 0", "2o BUY 50 108.00 0", "3c SELL 100 104.50 0"),
        cash="-5000 -5400 +10450",
    ),
    Sheet(
        name="two days after the close that first saw the position it is due, and sold at the next open",
        time_exit="2d",
        bars=(Q, Q, Q, Q, Q, Q),
        views={0: 1, 4: 1, 5: 1},
        fills=("1o BUY 100 100.00 0", "4o SELL 100 100.00 0"),
        cash="-10000 +10000",
        orders=2,
    ),
    Sheet(
        name="what ended by age is opened again when the strength changes",
        time_exit="1d",
        bars=(Q, Q, Q, Q, Q, Q, Q),
        views={0: 1, 3: 1, 4: 0.5},
        fills=("1o BUY 100 100.00 0", "3o SELL 100 100.00 0", "5o BUY 50 100.00 0"),
        cash="-10000 +10000 -5000",
        held=50,
        orders=4,
    ),
    Sheet(
        name="a position that turned round is a new one, with an age of its own",
        time_exit="2d",
        bars=(Q, Q, Q, Q, Q, Q, Q),
        views={0: 1, 1: -1},
        fills=("1o BUY 100 100.00 0", "2o SELL 200 100.00 0", "5o BUY 100 100.00 0"),
        cash="-10000 +20000 -10000",
        orders=3,
    ),
    Sheet(
        name="an exit by age takes the stop with it",
        time_exit="1d",
        stop_loss="percent:0.05",
        bars=(Q, Q, Q, Q, (96.0, 96.5, 94.0, 95.0)),
        views={0: 1},
        fills=("1o BUY 100 100.00 0", "3o SELL 100 100.00 0"),
        cash="-10000 +10000",
        orders=3,
    ),
    Sheet(
        name="an exit by age that fills nothing is asked for again, and is no reason to go in again",
        time_exit="1d",
        bars=(Q, Q, Q, UNTRADED, Q, Q),
        views={0: 1, 3: 1, 4: 1, 5: 1},
        fills=("1o BUY 100 100.00 0", "4o SELL 100 100.00 0"),
        cash="-10000 +10000",
        orders=3,
    ),
)

SHEETS = (*MARKET, *SIZES, *FEES, *PROTECTED, *ACTIONS, *EXITS)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda s: s.name)
def test_every_cent(sheet: Sheet) -> None:
    result = play(sheet)
    assert shown(sheet, result) == sheet.fills
    cash = CAPITAL + sum((Decimal(part) for part in sheet.cash.split()), Decimal(0))
    assert result.final.cash == cash
    held = sum(f.side.sign * f.quantity for f in result.fills) + sum(
        p.quantity for b in result.booked for p in b.postings
    )
    assert held == sheet.held
    close = next(row[3] for row in reversed(sheet.bars) if not math.isnan(row[3]))
    assert result.final.equity == cash + sheet.held * Decimal(repr(close))
    assert result.equity[-1] == pytest.approx(float(result.final.equity), abs=1e-6)
    assert sheet.orders in {None, len(result.orders)}


def test_the_sheets_are_named_once_and_are_small() -> None:
    names = [sheet.name for sheet in SHEETS]
    assert len(set(names)) == len(names) >= 30
    assert all(len(sheet.bars) <= 10 for sheet in SHEETS if "atr" not in f"{sheet.sizer}{sheet.stop_loss}")


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda s: s.name)
def test_quiet_bars_make_no_difference(sheet: Sheet) -> None:
    first, second = play(sheet), play(sheet, skip_quiet=False)
    assert (first.fills, first.final, first.equity.tolist()) == (second.fills, second.final, second.equity.tolist())


def test_the_borrow_fee_is_named_in_the_result() -> None:
    sheet = next(s for s in SHEETS if s.borrow != "0" and s.views[0] < 0)
    assert play(sheet).borrow_cost == Decimal("2.15")


def test_a_tick_may_be_finer_than_a_cent() -> None:
    sheet = Sheet(name="", bars=(Q, (100.1234, 101.0, 99.0, 100.0)), views={0: 1}, fills=(), cash="",
                  instrument=stock("FINE", tick=Decimal("0.0001")))  # fmt: skip
    assert shown(sheet, play(sheet)) == ("1o BUY 100 100.1234 0",)
