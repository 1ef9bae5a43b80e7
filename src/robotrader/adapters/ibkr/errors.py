"""IBKR's codes, classified by what they tell; IBKR's own texts stay opaque.

Source: IBKR's message codes and the issue threads behind `ibkr.md` 1.8 in the project's knowledge base.
"""

import re
from enum import StrEnum

from robotrader.model import BrokerUnavailable, DataError, DataGap, PacingLimit, RoboTraderError


class ErrorClass(StrEnum):
    """What a code tells; an unlisted code is UNKNOWN, and so is the outcome of an order it names."""

    LINK_LOST = "link lost"
    LINK_RESTORED = "link restored"
    FARM_BROKEN = "data farm broken"
    FARM_OK = "data farm usable"
    NOTICE = "notice"
    CLIENT = "said by a client library"
    SESSION = "session ends"
    REJECTED = "rejected"
    CANCELED = "canceled"
    CANCEL_OUTCOME = "cancel not carried out"
    UNCHANGED = "order stays as it was"
    HELD = "held"
    WARNING = "warning, the order is alive"
    NO_DATA = "no data"
    HISTORY = "history request ended"
    MARKET_DATA = "market data refused, delayed or lost"
    ACCOUNT = "account subscription lost"
    UNKNOWN = "unknown"


_CODES: dict[ErrorClass, tuple[int, ...]] = {
    ErrorClass.LINK_LOST: (1100, 2110),
    ErrorClass.LINK_RESTORED: (1101, 1102),
    ErrorClass.FARM_BROKEN: (2103, 2105),
    ErrorClass.FARM_OK: (2104, 2106, 2107, 2108),  # an idle farm wakes on demand
    ErrorClass.NOTICE: (2119, 2148, 2157, 2158),
    ErrorClass.CLIENT: tuple(range(501, 510)),
    ErrorClass.SESSION: (100, 326, 1300, 10141),
    ErrorClass.REJECTED: (
        103, 105, 106, 107, 109, 110, 111, 200, 201, 203, 320, 321, 382, 383, 387, 388, 420, 434, 435, 451, 460, 461,
        10006, 10243, 10268, 10269, 10270, 10311, 10329,
    ),
    ErrorClass.CANCELED: (202,),
    ErrorClass.CANCEL_OUTCOME: (135, 136, 161, 10147, 10148, 10149),
    ErrorClass.UNCHANGED: (104, 2102, 10318),
    ErrorClass.HELD: (404,),
    ErrorClass.WARNING: (163, 165, 399, 2109, 2137, 2161, 2174, 2176, 10349),
    ErrorClass.NO_DATA: (162,),
    ErrorClass.HISTORY: (366, 10182, 10314),
    ErrorClass.MARKET_DATA: (
        101, 300, 309, 316, 317, 322, 354, 10089, 10090, 10167, 10168, 10185, 10186, 10189, 10190, 10197, 10225,
    ),
    ErrorClass.ACCOUNT: (2100, 2101),
}  # fmt: skip

_CLASSES = {code: kind for kind, codes in _CODES.items() for code in codes}

HARMLESS = frozenset({ErrorClass.NOTICE, ErrorClass.FARM_OK, ErrorClass.FARM_BROKEN, ErrorClass.WARNING})
"""Classes that end no request."""


def classify(code: int) -> ErrorClass:
    """Return the class of a code."""
    return _CLASSES.get(code, ErrorClass.UNKNOWN)


def farm(text: str) -> str:
    """Return the farm that a text names in its last word: `OK:usfarm.nj`, `demand.ushmds`."""
    return re.split("[:.]", text.rsplit(maxsplit=1)[-1], maxsplit=1)[-1]


def request_failure(code: int, text: str) -> RoboTraderError:
    """Return the error that a refused request of ours means; `DataGap` is the plain "there is no data"."""
    kinds = {ErrorClass.SESSION: PacingLimit, ErrorClass.NO_DATA: DataGap, ErrorClass.REJECTED: DataError}
    kind = kinds.get(classify(code), BrokerUnavailable)
    if "pacing" in text.lower():  # 162 also says "pacing violation"
        kind = PacingLimit
    return kind(f"the gateway answered {code}: {text}", code=code)
