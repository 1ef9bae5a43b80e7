"""What operators may ask of a running trader, and how its link to the broker may be."""

from enum import StrEnum


class Action(StrEnum):
    """What an operator may ask of a running trader."""

    LOCK = "lock"
    HALT = "halt"
    REDUCE = "reduce"
    RESUME = "resume"
    RECONCILE = "reconcile"
    RESOLVE = "resolve"
    LIMIT = "limit"
    ARM = "arm"
    PROMOTE = "promote"
    DEMOTE = "demote"


class LinkState(StrEnum):
    """State of the connection to the broker.

    DISCONNECTED: no way to IBKR, and none is tried now. CONNECTING: trying. SYNCING: a session is open, and what
    happened meanwhile is being compared. READY: all is well. DEGRADED: connected, but something is unfit (a data farm,
    a clock). RESET_WINDOW: the broker's known reset is near or under way. LOGIN_NEEDED: a person must log in.
    """

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    SYNCING = "SYNCING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    RESET_WINDOW = "RESET_WINDOW"
    LOGIN_NEEDED = "LOGIN_NEEDED"
