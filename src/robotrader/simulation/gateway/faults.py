"""Fault scripts: what goes wrong, and when. Data and its reader; `script` carries it out.

A script is YAML: a `seed` and a list of `faults`. Each fault has one trigger and one action with its parameters; the
guide (docs/guide/gateway-simulator.md) describes them all.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct, structs

from robotrader.model import ConfigError, Side
from robotrader.simulation.gateway import messages, order_messages
from robotrader.simulation.gateway.schedule import TIME_OF_DAY, TIME_OF_WEEK

T = TypeVar("T")

OUTGOING = {
    "1": "tickPrice", "2": "tickSize", "3": "orderStatus", "4": "error", "5": "openOrder", "6": "updateAccountValue",
    "7": "updatePortfolio", "8": "updateAccountTime", "9": "nextValidId", "10": "contractDetails", "11": "execDetails",
    "15": "managedAccounts", "17": "historicalData", "45": "tickGeneric", "46": "tickString", "49": "currentTime",
    "50": "realtimeBar", "52": "contractDetailsEnd", "53": "openOrderEnd", "54": "accountDownloadEnd",
    "55": "execDetailsEnd", "57": "tickSnapshotEnd", "58": "marketDataType", "59": "commissionReport", "61": "position",
    "62": "positionEnd", "63": "accountSummary", "64": "accountSummaryEnd", "71": "positionMulti",
    "72": "positionMultiEnd", "73": "accountUpdateMulti", "74": "accountUpdateMultiEnd", "79": "symbolSamples",
    "81": "tickReqParams", "88": "headTimestamp", "90": "historicalDataUpdate", "93": "marketRule", "94": "pnl",
    "95": "pnlSingle", "99": "tickByTick", "100": "orderBound", "101": "completedOrder", "102": "completedOrdersEnd",
    "108": "historicalDataEnd",
}  # fmt: skip
"""Messages to clients by id, as IBKR's client interface calls them."""
INCOMING = {
    "1": "reqMktData", "2": "cancelMktData", "3": "placeOrder", "4": "cancelOrder", "5": "reqOpenOrders",
    "6": "reqAccountUpdates", "7": "reqExecutions", "8": "reqIds", "9": "reqContractDetails",
    "15": "reqAutoOpenOrders", "16": "reqAllOpenOrders", "17": "reqManagedAccts", "20": "reqHistoricalData",
    "25": "cancelHistoricalData", "49": "reqCurrentTime", "50": "reqRealTimeBars", "58": "reqGlobalCancel",
    "61": "reqPositions", "62": "reqAccountSummary", "71": "startApi", "74": "reqPositionsMulti",
    "76": "reqAccountUpdatesMulti", "81": "reqMatchingSymbols", "87": "reqHeadTimestamp", "91": "reqMarketRule",
    "92": "reqPnL", "94": "reqPnLSingle", "97": "reqTickByTickData", "99": "reqCompletedOrders",
}  # fmt: skip
"""Messages of clients by id."""
TICKS = frozenset({"tickPrice", "tickSize", "tickGeneric", "tickString", "tickByTick", "realtimeBar"})
LAYOUTS = {
    "openOrder": order_messages.OPEN_ORDER, "orderStatus": order_messages.ORDER_STATUS, "error": messages.ERROR,
    "execDetails": order_messages.EXECUTION, "commissionReport": order_messages.COMMISSION,
    "execDetailsEnd": "id v reqId",
}  # fmt: skip
"""Outgoing messages whose fields `where` can name."""
FARMS = {
    2103: ("Market data farm connection is {}:usfarm", 2104, TICKS),
    2105: ("HMDS data farm connection is {}:ushmds", 2106,
           frozenset({"historicalData", "historicalDataUpdate", "historicalDataEnd", "headTimestamp", "realtimeBar"})),
    2157: ("Sec-def data farm connection is {}:secdefnj", 2158,
           frozenset({"contractDetails", "contractDetailsEnd", "symbolSamples"})),
}  # fmt: skip
"""Codes of broken data farms: text, the code when it is well again, the messages that it sends."""
OK_NOTICES = [(well, text.format("OK")) for text, well, _ in FARMS.values()]
TEXTS = {
    100: "Max rate of messages per second has been exceeded:max=50 rec=51 (1)",
    162: "Historical Market Data Service error message:Historical data request pacing violation",
    326: "Unable to connect as the client id is already in use. Retry with a unique client id.",
    354: "Requested market data is not subscribed. Delayed market data is available.",
    1100: "Connectivity between IBKR and Trader Workstation has been lost.",
    1101: "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IBKR and Trader Workstation has been restored - data maintained.",
    1300: "TWS socket port has been reset and this connection is being dropped.",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
    10197: "No market data during competing live session",
}

ACTIONS = {
    "drop": ("in out", ""), "delay": ("in out", "seconds"), "duplicate": ("in out", ""),
    "refuse": ("in", "code [text]"),
    "hold": ("out", "until"), "cut": ("out", ""), "burst": ("out", ""), "drop-if-empty": ("out", ""),
    "half-open": ("", "seconds"), "reset": ("", ""), "slow": ("", "seconds"), "error": ("", "code [text] [close]"),
    "link-lost": ("", "seconds restored [requests] [reports]"), "farm": ("", "code seconds"),
    "competing": ("", "seconds"), "delayed-data": ("", ""), "skew": ("", "seconds"),
    "restart": ("", "seconds [rollback]"), "session": ("", ""),
    "correct": ("", "[by] [quantity]"), "fill-late": ("", ""), "vanish": ("", ""), "expire": ("", ""),
    "locate": ("", ""), "new-perm-id": ("", ""), "lend": ("", "symbol quantity"), "halt": ("", "symbol seconds [code]"),
    "limit-state": ("", "symbol seconds"),
    "split": ("", "symbol new [old]"), "liquidate": ("", "symbol [quantity]"),
    "manual-order": ("", "symbol quantity [side] [price]"),
}  # fmt: skip
"""All actions: where the message must go that it changes ("": any trigger), and parameters (in brackets: optional)."""
_ONE_TRIGGER = "needs one trigger: at, every, weekly or on"
_PARAMETERS = frozenset(re.findall(r"\w+", " ".join(takes for _, takes in ACTIONS.values())))

Above = Annotated[float, Meta(gt=0)]
_Clock = Annotated[str, Meta(pattern=rf"^({TIME_OF_DAY})?$")]
_Weekly = Annotated[str, Meta(pattern=rf"^({TIME_OF_WEEK})?$")]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: a trigger, conditions, an action and its parameters.

    Attributes
    ----------
    at, again : float
        Seconds of the simulator's clock since it began to serve; then again after so many more.
    every, weekly : str
        New York time, `23:45`, or with its day, `sun 01:00`.
    on, where, nth : str, dict, int
        A message's name, what its fields must be (text), and the number of the first that counts.
    times : int, optional
        How often at most. None: without end what changes its message or has `again`, `every` or `weekly`; else once.
    chance, client, wait : float, int, float
        Probability, drawn from the seed; only this client; seconds from the trigger to the action.
    """

    do: str
    at: Annotated[float, Meta(ge=0)] | None = None
    again: Annotated[float, Meta(ge=0)] = 0.0
    every: _Clock = ""
    weekly: _Weekly = ""
    on: str = ""
    where: dict[str, str] = {}
    nth: Annotated[int, Meta(ge=1)] = 1
    times: Annotated[int, Meta(ge=1)] | None = None
    chance: Annotated[float, Meta(ge=0, le=1)] = 1.0
    client: int | None = None
    wait: Annotated[float, Meta(ge=0)] = 0.0
    seconds: float = 0.0
    until: str = ""
    code: int = 0
    text: str = ""
    close: bool = False
    restored: Literal[0, 1101, 1102] = 0
    requests: Literal["queue", "swallow"] = "queue"
    reports: Literal["late", "lost"] = "late"
    rollback: bool = False
    by: Decimal = Decimal(0)
    quantity: Annotated[int, Meta(ge=0)] | None = None
    symbol: str = ""
    side: Side = Side.BUY
    price: Decimal | None = None
    new: Annotated[int, Meta(ge=1)] = 1
    old: Annotated[int, Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        if self.do not in ACTIONS:
            raise ValueError(f"do must be one of {', '.join(sorted(ACTIONS))}; found {self.do!r}")
        where, takes = ACTIONS[self.do]
        directions = where.split() or ["in", "out"]
        names = {n for way, table in (("in", INCOMING), ("out", OUTGOING)) if way in directions for n in table.values()}
        given = {f.name for f in structs.fields(self) if getattr(self, f.name) != f.default} & _PARAMETERS
        fields = set(re.findall(r"\w+", LAYOUTS.get(self.on, "")))
        needed = {n for n in takes.split() if n[0] != "["}
        for well, expected in (
            (bool(self.on) + bool(self.every) + bool(self.weekly) + (self.at is not None) == 1, _ONE_TRIGGER),
            (self.on or not where, "needs a message as its trigger (on)"),
            (not self.on or self.on in names | {"tick"}, f"on must be one of {', '.join(sorted(names))}"),
            (self.on or not (self.where or self.nth > 1), "where and nth belong to on"),
            (not self.where or self.on in INCOMING.values() or self.where.keys() <= fields, "no such field in where"),
            (self.at is not None or not self.again, "again belongs to at"),
            (needed <= given <= {n.strip("[]") for n in takes.split()}, f"takes {takes or 'no parameters'}"),
            (self.text or "text" not in takes or self.code in TEXTS, f"code {self.code} needs a text"),
            (self.do != "farm" or self.code in FARMS, f"code must be one of {', '.join(map(str, FARMS))}"),
            (not self.until or self.until in names, "until must be the name of a message to clients"),
        ):
            if not well:
                raise ValueError(f"{self.do}: {expected}")

    @property
    def limit(self) -> int | None:
        """Return how often it happens at most."""
        endless = self.again or self.every or self.weekly or ACTIONS[self.do][0]
        return self.times if self.times or endless else 1


class FaultScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong; random choices come from `seed` alone."""

    faults: tuple[Fault, ...]
    seed: int = 0


def read_script(path: Path, *, seed: int | None = None) -> FaultScript:
    """Read a fault script, `seed` in place of its own; ConfigError says in which line of the file what is wrong."""
    try:
        script = from_yaml(path.read_text(encoding="utf-8"), FaultScript, source=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the fault script {path}: {error}", path=str(path)) from error
    return script if seed is None else structs.replace(script, seed=seed)


def from_yaml(text: str, kind: type[T], *, source: str) -> T:
    """Return YAML text as a value; ConfigError says in which line what is wrong.

    All scalars are texts first: `on` and `23:45` are not YAML 1.1's truth and base 60 here.
    """
    root = None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return msgspec.convert(_plain(root), kind, strict=False)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML: {error}", path=source) from error
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        line = _line(root, re.findall(r"\w+", path))
        raise ConfigError(
            f"{source}, line {line}: {problem} ({path.strip('.`') or 'the file'})", path=source
        ) from error


def _plain(node: yaml.Node | None) -> object:
    if isinstance(node, yaml.MappingNode):
        return {str(_plain(key)): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return node.value if node is not None else {}


def _line(node: yaml.Node | None, path: list[str]) -> int:
    """Return the line of what a path of keys and numbers leads to, or of the last that it finds."""
    for step in path:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), node)
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[int(step)]
    return node.start_mark.line + 1 if node is not None else 1
