"""What a seed stands for: a short market, a trader, faults on the way, and crashes. All of it drawn from the seed."""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from msgspec import Struct

from robotrader.model import Side
from robotrader.simulation.gateway.faults import Fault
from tests.chaos.crash import Crash, Point

SYMBOLS = ("AAA", "BBB", "CCC")
DAY_S = 86_400
REPORTS = ("openOrder", "orderStatus", "execDetails", "commissionReport")
SIZERS = ("fixed:100", "fixed:100", "fixed:7", "percent:0.02")
MARKETS = 3
"""Different markets; each is made once a process."""


class Plan(Struct, frozen=True, kw_only=True):
    """One run.

    `market` and `first` say which bars and with which of them it begins, `sessions` how many it has; `participation`
    is the share of a bar's volume that fills; `names` say what each of `faults` is; `crashes` are those of the first
    lives, one each. `halts` counts the commits since the first with an order on its way: at that one an operator halts
    trading, and resumes it later (0: never); at `stops` likewise the trader is asked to stop, and started again; at
    `reconciles` an operator asks for a comparison with the broker.
    `slow_s` is what the gateway takes to read a message; `shuffled` lets ready tasks run in any order.
    """

    seed: int
    market: int = 0
    first: int = 40
    sessions: int = 8
    symbols: tuple[str, ...] = ("AAA",)
    sizer: str = "fixed:100"
    strategy: str = "Flip"
    stop_loss: str | None = None
    take_profit: str | None = None
    time_exit: str | None = None
    participation: float | None = None
    faults: tuple[Fault, ...] = ()
    crashes: tuple[Crash | None, ...] = ()
    names: tuple[str, ...] = ()
    halts: int = 0
    stops: int = 0
    reconciles: int = 0
    slow_s: float = 0.0
    shuffled: bool = False
    latency_s: float = 0.002


def _fault(do: str, **options: Any) -> tuple[Fault, ...]:
    return (Fault(do=do, **options),)


def _report(rng: Random) -> dict[str, Any]:
    """Draw one of the messages about orders, and from which one on, how often."""
    return {"on": rng.choice(REPORTS), "nth": rng.randint(1, 4), "times": rng.randint(1, 3)}


def _place(rng: Random) -> dict[str, Any]:
    return {"on": "placeOrder", "nth": rng.randint(1, 4)}


def _when(rng: Random) -> dict[str, Any]:
    """Draw a moment: a message about or with an order, or a time request, and at times a while later."""
    name = rng.choice(("placeOrder", "openOrder", "orderStatus", "execDetails", "commissionReport", "reqCurrentTime",
                       "reqOpenOrders", "reqPositions", "reqHistoricalData", "cancelOrder"))  # fmt: skip
    found: dict[str, Any] = {"on": name, "nth": rng.randint(1, 5)}
    if rng.random() < 0.2:
        found["wait"] = rng.choice((1, 1.5 * DAY_S))
    return found


def _link_lost(rng: Random) -> tuple[Fault, ...]:
    return _fault("link-lost", **_when(rng), seconds=rng.choice((1, DAY_S)), restored=rng.choice((1101, 1102)),
                  requests=rng.choice(("queue", "swallow")), reports=rng.choice(("late", "lost")))  # fmt: skip


def _restart(rng: Random, *, rollback: bool) -> tuple[Fault, ...]:
    return _fault("restart", **_when(rng), seconds=rng.choice((1, 30, 200)), rollback=rollback)


def _in_use(rng: Random) -> tuple[Fault, ...]:
    refused = Fault(on="startApi", do="refuse", nth=2, times=rng.randint(1, 3), code=326)
    return (refused, *_fault("reset", **_when(rng)))


def _correct(rng: Random, **terms: Any) -> tuple[Fault, ...]:
    return _fault("correct", on="execDetails", nth=rng.randint(1, 3), wait=rng.choice((0, DAY_S)), **terms)


def _stock(rng: Random) -> dict[str, Any]:
    return {**_when(rng), "symbol": "AAA", "quantity": rng.choice((1, 50, 100))}


FAULTS: dict[str, Callable[[Random], tuple[Fault, ...]]] = {
    "callback dropped": lambda r: _fault("drop", **_report(r)),
    "callback delayed": lambda r: _fault("delay", **_report(r), seconds=r.choice((1, DAY_S))),
    "callback duplicated": lambda r: _fault("duplicate", **_report(r)),
    "callbacks reordered": lambda r: _fault("hold", **_report(r), until=r.choice(REPORTS)),
    "Filled before execDetails": lambda r: _fault("hold", on="execDetails", until="orderStatus", nth=r.randint(1, 3)),
    "commission never": lambda r: _fault("drop", on="commissionReport", nth=r.randint(1, 3)),
    "placeOrder swallowed": lambda r: _fault("drop", **_place(r), times=1),
    "placeOrder delayed": lambda r: _fault("delay", **_place(r), times=1, seconds=r.choice((1, DAY_S))),
    "placeOrder refused": lambda r: _fault("refuse", **_place(r), times=1, code=201, text="Order rejected"),
    "cancelOrder swallowed": lambda r: _fault("drop", on="cancelOrder", times=1),
    "connection reset": lambda r: _fault("reset", **_when(r)),
    "EOF inside a frame": lambda r: _fault("cut", **(_report(r) | {"times": 1})),
    "half-open": lambda r: _fault("half-open", **_when(r), seconds=r.choice((5, 60, 300))),
    "gateway restart": lambda r: _restart(r, rollback=False),
    "gateway restart, ids roll back": lambda r: _restart(r, rollback=True),
    "1100, then 1101 or 1102": _link_lost,
    "326, client id in use": _in_use,
    "farm broken": lambda r: _fault("farm", **_when(r), code=r.choice((2103, 2105, 2157)), seconds=DAY_S),
    "100, then closed": lambda r: _fault("error", **_when(r), code=100, close=True),
    "162, history pacing": lambda r: _fault("refuse", on="reqHistoricalData", nth=r.randint(2, 5), times=2, code=162),
    "a session passes at once": lambda r: _fault("session", **_when(r)),
    "false-empty open orders": lambda r: _empty(r, "openOrder", "orderStatus"),
    "false-empty executions": lambda r: _empty(r, "execDetails"),
    "false-empty positions": lambda r: _empty(r, "position"),
    "no End of empty executions": lambda r: _fault("drop-if-empty", on="execDetailsEnd", times=r.randint(1, 3)),
    "order vanishes": lambda r: _fault("vanish", **_when(r)),
    "order expires": lambda r: _fault("expire", **_when(r)),
    "fill after cancel": lambda r: (*_fault("expire", on="openOrder", nth=r.randint(1, 3)),
                                    *_fault("fill-late", on="orderStatus", where={"status": "Cancelled"})),
    "permId changes": lambda r: _fault("new-perm-id", on="openOrder", nth=r.randint(1, 3)),
    "correction": lambda r: _correct(r, by=Decimal(r.choice(("-1", "0.5")))),
    "bust": lambda r: _correct(r, quantity=0),
    "manual order": lambda r: _fault("manual-order", **_stock(r), side=r.choice((Side.BUY, Side.SELL))),
    "liquidation": lambda r: _fault("liquidate", **_stock(r)),
}  # fmt: skip
"""The whole list, each with how it is drawn; in lock-step a fault is set off by a message or by market seconds."""


def _empty(rng: Random, *messages: str) -> tuple[Fault, ...]:
    """Leave out what one look at the broker should show, and its news before; a reset asks for that look."""
    nth, times = rng.randint(1, 3), rng.randint(1, 4)
    dropped = [Fault(on=message, do="drop", nth=nth, times=times) for message in messages]
    return (*dropped, *_fault("reset", on="placeOrder", nth=rng.randint(1, nth), wait=rng.choice((0, 0.01))))


_CRASH = {Point.BEFORE_COMMIT: 40, Point.AFTER_COMMIT: 40, Point.BEFORE_WRITE: 70, Point.AFTER_WRITE: 70,
          Point.TURN: 350}  # fmt: skip


def _crash(rng: Random) -> Crash:
    point = rng.choice(tuple(Point))
    return Crash(point=point, nth=rng.randint(1, _CRASH[point]))


def draw(seed: int) -> Plan:
    """Return the run of a seed: one to three faults, or none beside a crash, and up to two crashes."""
    rng = Random(f"chaos {seed}")
    crashes = tuple(_crash(rng) for _ in range(rng.choice((0, 0, 0, 1, 1, 2))))
    names = rng.sample(sorted(FAULTS), rng.randint(0 if crashes else 1, 3))
    faults = [(name, fault) for name in names for fault in FAULTS[name](rng)]
    return Plan(
        seed=seed, market=rng.randrange(MARKETS), first=rng.randint(35, 60), sessions=rng.randint(6, 12),
        symbols=SYMBOLS[: rng.randint(1, 3)], sizer=rng.choice(SIZERS),
        participation=rng.choice((None, None, 2e-5)), faults=tuple(fault for _, fault in faults),
        names=tuple(name for name, _ in faults), crashes=crashes, halts=rng.choice((0, 0, 0, rng.randint(1, 12))),
        slow_s=rng.choice((0.0, 0.0, 0.5)), shuffled=rng.random() < 0.5, latency_s=rng.choice((0.0, 0.002)),
        strategy=rng.choice(("Flip", "Flip", "Waves")),
        stop_loss=rng.choice((None, "percent:0.01", "percent:0.1", "trailing_percent:0.02")),
        take_profit=rng.choice((None, None, "percent:0.02")), time_exit=rng.choice((None, None, "2d")),
    )  # fmt: skip
