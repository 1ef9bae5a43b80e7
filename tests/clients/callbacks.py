"""What clients call back, by name: one vocabulary over three clients, expectations on it, and differences in it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tests.clients.market import EASTERN

_CONTRACT_ACCOUNT = "contract position marketPrice marketValue averageCost unrealized realized account"
PARAMETERS: Mapping[str, Sequence[str]] = {
    name: line.split()
    for name, line in {
        "accountDownloadEnd": "account", "accountSummary": "reqId account tag value currency",
        "accountSummaryEnd": "reqId", "accountUpdateMulti": "reqId account model key value currency",
        "accountUpdateMultiEnd": "reqId", "commissionReport": "report", "completedOrder": "contract order state",
        "completedOrdersEnd": "", "contractDetails": "reqId details", "contractDetailsEnd": "reqId",
        "currentTime": "time", "error": "reqId code text advanced time", "execDetails": "reqId contract execution",
        "execDetailsEnd": "reqId", "familyCodes": "codes", "headTimestamp": "reqId time", "historicalData": "reqId bar",
        "historicalDataEnd": "reqId start end", "historicalDataUpdate": "reqId bar", "managedAccounts": "accounts",
        "marketDataType": "reqId type", "marketRule": "rule increments", "nextValidId": "orderId",
        "openOrder": "orderId contract order state", "openOrderEnd": "", "orderBound": "permId clientId orderId",
        "orderStatus": "orderId status filled remaining average permId parentId lastPrice clientId whyHeld cap",
        "pnl": "reqId daily unrealized realized", "pnlSingle": "reqId position daily unrealized realized value",
        "position": "account contract position averageCost", "positionEnd": "",
        "positionMulti": "reqId account model contract position averageCost", "positionMultiEnd": "reqId",
        "realtimeBar": "reqId time open high low close volume wap count", "symbolSamples": "reqId contracts",
        "tickByTickAllLast": "reqId type time price size attributes exchange conditions",
        "tickByTickBidAsk": "reqId time bid ask bidSize askSize attributes", "tickByTickMidPoint": "reqId time price",
        "tickGeneric": "reqId tick value", "tickPrice": "reqId tick price attributes",
        "tickReqParams": "reqId minTick exchange permissions", "tickSize": "reqId tick size",
        "tickSnapshotEnd": "reqId", "tickString": "reqId tick value", "updateAccountTime": "time",
        "updateAccountValue": "key value currency account", "updatePortfolio": _CONTRACT_ACCOUNT,
        "userInfo": "reqId brand",
    }.items()
}  # fmt: skip
PUSHED = frozenset({
    "accountSummary", "accountSummaryEnd", "accountUpdateMulti", "historicalDataUpdate", "pnl", "pnlSingle", "position",
    "positionMulti", "realtimeBar", "tickByTickAllLast", "tickByTickBidAsk", "tickByTickMidPoint", "tickGeneric",
    "tickPrice", "tickSize", "tickString", "updateAccountTime", "updateAccountValue", "updatePortfolio",
})  # fmt: skip
"""What comes whenever it changes: a step that does not speak of it overlooks it."""
_RENAMED = {"commissionAndFees": "commission", "wap": "average", "minCommissionAndFees": "minCommission",
            "maxCommissionAndFees": "maxCommission", "commissionAndFeesCurrency": "commissionCurrency"}  # fmt: skip
_SHOWN = 300
_ZONED = re.compile(r"(\d{8})  ?(\d\d:\d\d:\d\d)(?: US/Eastern)?")


class Callback(NamedTuple):
    """One callback: its name, and its values by the names of `PARAMETERS`."""

    name: str
    values: Mapping[str, Any]


def named(call: Sequence[Any]) -> Callback:
    """Return what a driver wrote down in the common vocabulary."""
    name, *values = call
    return Callback(name, dict(zip(PARAMETERS[name], map(_renamed, values), strict=False)))


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_RENAMED.get(key, key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value


class At:
    """A time of the exchange: zoned from version 174, else two spaces and no zone; ib_async may have parsed it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, found: Any, version: int) -> bool:
        date, clock = self.text.split()
        return bool(found in {_epoch(self.text), f"{self.text} US/Eastern" if version >= 174 else f"{date}  {clock}"})

    def __repr__(self) -> str:
        return f"the time {self.text}"


class From:
    """A value that differs by version: `new` from version `since`, `old` below."""

    def __init__(self, since: int, new: Any, old: Any = None) -> None:
        self.since, self.new, self.old = since, new, old

    def __call__(self, found: Any, version: int) -> bool:
        return not mismatches(self.new if version >= self.since else self.old, found, version)

    def __repr__(self) -> str:
        return f"{self.new!r} from version {self.since}, below {self.old!r}"


def lots(since: int, shares: int) -> From:
    """Want a size: in shares from version `since`, below in lots of 100, and those whole numbers below 163."""
    return From(since, shares, From(163, shares / 100, shares // 100))


class Like:
    """A text that fits a pattern as a whole."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __call__(self, found: Any, _version: int) -> bool:
        return isinstance(found, str) and re.fullmatch(self.pattern, found) is not None

    def __repr__(self) -> str:
        return f"text like {self.pattern}"


def anything(_found: Any, _version: int) -> bool:
    """Take any value, or none."""
    return True


def mismatches(wanted: Any, found: Any, version: int, where: str = "") -> list[str]:
    """Say where a value is not what was wanted; of objects only the named attributes count, and they must exist."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        parts = [mismatches(v, found.get(k, "missing"), version, f"{where}.{k}") for k, v in wanted.items()]
        return [line for part in parts for line in part]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        parts = [mismatches(w, f, version, f"{where}[{i}]") for i, (w, f) in enumerate(zip(wanted, found, strict=True))]
        return [line for part in parts for line in part]
    good = wanted(found, version) if callable(wanted) else wanted == found
    return [] if good else [f"{where.removeprefix('.')}: expected {wanted!r}, found {found!r}"]


def unexpected(
    wanted: Sequence[Callback], found: Sequence[Callback], version: int, *, quiet: bool = False
) -> list[str]:
    """Say what came otherwise: `wanted` shall come in this order, and nothing more but, unless `quiet`, `PUSHED`."""
    at = 0
    for call in found:
        here = (
            mismatches(wanted[at].values, call.values, version) if at < len(wanted) else ["nothing more was expected"]
        )
        if at < len(wanted) and wanted[at].name == call.name and not here:
            at += 1
        elif quiet or call.name not in PUSHED:
            reason = here if at >= len(wanted) or wanted[at].name == call.name else [f"expected {wanted[at].name}"]
            return [f"{'; '.join(reason)}: {call.name} {str(dict(call.values))[:_SHOWN]}"]
    return [f"never came: {call.name} {str(dict(call.values))[:_SHOWN]}" for call in wanted[at : at + 1]]


def differences(one: Any, other: Any, same: Callable[[str], bool], where: str = "") -> Iterator[str]:
    """Say in what two clients' values differ; only attributes that both know and that `same` names are compared."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() & other.keys()):
            if same(key):
                yield from differences(one[key], other[key], same, f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, same, f"{where}[{i}]")
    elif _canonical(one) != _canonical(other):
        yield f"{where.removeprefix('.')}: {one!r} and {other!r}"


def _canonical(value: Any) -> Any:
    """Return a leaf without a client's style: unset may be shown as empty or 0, times are epoch seconds."""
    if not value:
        return None
    return _epoch(value) if isinstance(value, str) and _ZONED.fullmatch(value) else value


def _epoch(text: str) -> int:
    match = _ZONED.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time of the exchange: {text}")
    return int(datetime.strptime(f"{match[1]} {match[2]}", "%Y%m%d %H:%M:%S").replace(tzinfo=EASTERN).timestamp())
