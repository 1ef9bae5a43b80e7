"""The matrix: who is judged by whom, and what may differ."""

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from tests.clients import account, data, events, orders
from tests.clients.callbacks import Callback, differences
from tests.clients.script import MASTER, Step
from tests.clients.session import GATEWAY, Seen, gateway, perform

VERSIONS = (157, 178, 200)
SESSION: list[Step] = [
    *account.CONNECT, *account.CONTRACTS, *data.HISTORY, *data.QUOTES, *data.STREAMS, *data.OBSERVED, *account.VALUES,
    *orders.ORDERS, *orders.TYPES, *orders.GROUPS, *orders.CLIENTS, *orders.FILTERS, *events.EVENTS, *orders.REFUSED,
    *events.END,
]  # fmt: skip
GATES = {
    "advanced": 166, "competeAgainstBestOffset": 170, "minCompeteSize": 170, "minSize": 164, "sizeIncrement": 164,
    "suggestedSizeIncrement": 164, "historicalData.volume": 175, "historicalDataUpdate.volume": 175,
    "realtimeBar.volume": 175, "tickSize.size": 159, "tickByTickAllLast.size": 159, "tickByTickBidAsk.bidSize": 159,
    "tickByTickBidAsk.askSize": 159, "tickString.value": 159, "error.time": 194,
}  # fmt: skip
"""Values that exist, or differ, only from a server version on (knowledge file `ibkr.md` 1.3)."""
UNREAD = frozenset({"mdSizeMultiplier", "eTradeOnly", "firmQuoteOnly"})
"""Attributes that some client shows without reading them from the wire."""


def options(folder: Path) -> list[str]:
    """Return what the gateway is started with, beside its market."""
    faults = folder / "faults.yaml"
    faults.write_text(json.dumps(events.FAULTS), encoding="utf-8")  # JSON is YAML too
    return ["--lock-step", "--step", "session", "--faults", str(faults), "--master-client-id", str(MASTER)]


def hold(client: str, version: int, folder: Path, *, command: Sequence[str] = GATEWAY) -> Seen:
    """Hold one session in a folder, at server version `version`, and return what the client saw."""
    with gateway(folder, *options(folder), "--server-version", str(version), command=command) as said:
        (seen,) = perform(client, [said["port"]], [one.instruction for one in SESSION])
    return seen


def compare(one: Seen, other: Seen) -> list[str]:
    """Say in what two clients differ, leaving out what their versions let differ."""
    found: list[str] = []
    for at, step in enumerate(SESSION):
        for who in step.wanted:
            for a, b in zip_longest(one.step(at, who), other.step(at, who), fillvalue=Callback("nothing", {})):
                if a.name != b.name:
                    found.append(f"{step.name}: {a} against {b}")
                    break
                found += [f"{step.name}: {a.name} {line}" for line in _values(a, b, one.version, other.version)]
    return found


def _values(one: Callback, other: Callback, *versions: int) -> list[str]:
    def same(name: str) -> bool:
        gate = GATES.get(f"{one.name}.{name}", GATES.get(name, 0))
        return name not in UNREAD and len({v >= gate for v in versions}) == 1

    return list(differences(one.values, other.values, same))
