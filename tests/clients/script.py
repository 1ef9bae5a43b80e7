"""The scripted session: what every client does, and what it must see.

A step names the calls of one connection and, in order, the callbacks that must come of them. Values that are not named
are free; a callback that is not named may not come, unless it is `PUSHED`. The steps are in `account`, `data`, `orders`
and `events`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tests.clients.callbacks import Callback, unexpected
from tests.clients.session import Seen

ACCOUNT = "DU1234567"
AAPL, IBM = 713_954_395, 578_766_609
MASTER = 9
"""The client that is told of all orders."""
Call = Sequence[Any]


class Step(Struct, frozen=True, kw_only=True):
    """One step: calls of one connection, and by connection what must come of them; `quiet`: nothing else at all."""

    name: str
    who: str
    calls: Sequence[Call]
    wanted: Mapping[str, Sequence[Callback]]
    quiet: bool = False

    @property
    def instruction(self) -> dict[str, Any]:
        """Return what a driver is told of it."""
        return {"who": self.who, "calls": self.calls}


def step(
    name: str, *calls: Call, wanted: Iterable[Callback | Iterable[Callback]] = (), who: str = "A",
    others: Mapping[str, Sequence[Callback]] | None = None, quiet: bool = False,
) -> Step:  # fmt: skip
    """Make a step; `wanted` may hold groups of callbacks."""
    flat = [call for item in wanted for call in ([item] if isinstance(item, Callback) else item)]
    return Step(name=name, who=who, calls=calls, wanted={who: flat, **(others or {})}, quiet=quiet)


def comes(name: str, **values: Any) -> Callback:
    """Want one callback with at least these values."""
    return Callback(name, values)


def faults(steps: Sequence[Step], seen: Seen) -> list[str]:
    """Return what a client should not have seen, or should have; after its end a subscription must be silent."""
    found = [f"the client logged: {line}" for line in seen.errors]
    ended: set[tuple[str, Any]] = set()
    if len(seen.steps) < len(steps):
        found.append(f"the session ended in the step: {steps[len(seen.steps)].name}")
    for at, (one, connections) in enumerate(zip(steps, seen.steps, strict=False)):
        for who in connections:
            calls = seen.step(at, who)
            said = unexpected(one.wanted.get(who, []), calls, seen.version, quiet=one.quiet)
            said += [f"{c.name} of an ended subscription" for c in calls if (who, c.values.get("reqId")) in ended]
            found += [f"{one.name} ({who}): {line}" for line in said]
        ended -= {(one.who, call[1]) for call in one.calls if call[0].startswith("req") and len(call) > 2}
        ended |= {(one.who, call[1]) for call in one.calls if call[0] in _ENDS}
    return found


_ENDS = frozenset({
    "cancelAccountSummary", "cancelAccountUpdatesMulti", "cancelHistoricalData", "cancelMktData", "cancelPnL",
    "cancelPnLSingle", "cancelPositionsMulti", "cancelRealTimeBars", "cancelTickByTickData",
})  # fmt: skip


def stock(symbol: str = "AAPL", **more: Any) -> dict[str, Any]:
    """Name a contract."""
    return {"Contract": {"symbol": symbol, "secType": "STK", "exchange": "SMART", "currency": "USD", **more}}


def order(side: str, quantity: int, kind: str, **more: Any) -> dict[str, Any]:
    """Describe an order."""
    return {"Order": {"action": side, "totalQuantity": quantity, "orderType": kind, "tif": "DAY", **more}}


def place(order_id: int, *terms: Any, symbol: str = "AAPL", **more: Any) -> Call:
    """Place an order."""
    return ["placeOrder", order_id, stock(symbol), order(*terms, **more)]


def cancel(order_id: int) -> Call:
    """Cancel an order."""
    return ["cancelOrder", order_id, {"Cancel": {}}]


NEXT_SESSION: Call = ["reqCurrentTime"]
"""In lock-step, whoever asks for the time lets one session pass."""


def opened(order_id: int, state: str, **values: Any) -> list[Callback]:
    """Want an openOrder and the orderStatus that goes with it; `values` are of the status, `order` of the order."""
    terms = values.pop("order", {})
    return [
        comes("openOrder", orderId=order_id, order={"orderId": order_id, **terms}, state={"status": state}),
        comes("orderStatus", orderId=order_id, status=state, **values),
    ]


def refused(order_id: int, code: int, text: Any) -> Callback:
    """Want an error about an order."""
    return comes("error", reqId=order_id, code=code, text=text)
