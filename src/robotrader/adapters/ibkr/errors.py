"""IBKR's codes, classified by what they tell; IBKR's own texts stay opaque.

Source: IBKR's message codes and the issue threads behind `ibkr.md` 1.8 in the project's knowledge base.
"""

from enum import StrEnum

from robotrader.model import BrokerUnavailable, DataError, DataGap, PacingLimit, RoboTraderError


class ErrorClass(StrEnum):
    """What a code tells; an unlisted code is UNKNOWN, and so is the outcome of an order it names."""

    LINK_LOST = "link lost"
    LINK_RESTORED = "link restored"
    NOTICE = "notice"
    SESSION = "session ends"
    REJECTED = "rejected"
    CANCELED = "canceled"
    CANCEL_OUTCOME = "cancel not carried out"
    UNCHANGED = "order stays as it was"
    HELD = "held"
    WARNING = "warning, the order is alive"
    NO_DATA = "no data"
    UNKNOWN = "unknown"


_CODES: dict[ErrorClass, tuple[int, ...]] = {
    ErrorClass.LINK_LOST: (1100, 2110),
    ErrorClass.LINK_RESTORED: (1101, 1102),
    ErrorClass.NOTICE: (2100, 2103, 2104, 2105, 2106, 2107, 2108, 2119, 2148, 2157, 2158),
    ErrorClass.SESSION: (100, 326, 507, 1300),
    ErrorClass.REJECTED: (
        103, 105, 106, 107, 109, 110, 111, 200, 201, 203, 320, 321, 382, 383, 387, 388, 420, 434, 435, 451, 460, 461,
        10243, 10268, 10269, 10270, 10311, 10329,
    ),
    ErrorClass.CANCELED: (202,),
    ErrorClass.CANCEL_OUTCOME: (135, 136, 161, 10147, 10148, 10149),
    ErrorClass.UNCHANGED: (104, 2102, 10318),
    ErrorClass.HELD: (404,),
    ErrorClass.WARNING: (163, 165, 399, 2109, 2137, 2161, 2174, 2176, 10349),
    ErrorClass.NO_DATA: (162,),
}  # fmt: skip

_CLASSES = {code: kind for kind, codes in _CODES.items() for code in codes}

HARMLESS = frozenset({ErrorClass.NOTICE, ErrorClass.WARNING})
"""Classes that end no request."""


def classify(code: int) -> ErrorClass:
    """Return the class of a code."""
    return _CLASSES.get(code, ErrorClass.UNKNOWN)


def request_failure(code: int, text: str) -> RoboTraderError:
    """Return the error that a refused request of ours means; `DataGap` is the plain "there is no data"."""
    kinds = {ErrorClass.SESSION: PacingLimit, ErrorClass.NO_DATA: DataGap, ErrorClass.REJECTED: DataError}
    kind = kinds.get(classify(code), BrokerUnavailable)
    if "pacing" in text.lower():  # 162 also says "pacing violation"
        kind = PacingLimit
    return kind(f"the gateway answered {code}: {text}", code=code)
