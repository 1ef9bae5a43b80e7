"""Serve a gateway with one planted fault: `python -m tests.clients.mutant NAME --data FILE ...`, as `gateway-sim`."""

import importlib
import pkgutil
import sys
from types import ModuleType
from typing import NamedTuple

from robotrader.cli.main import main
from robotrader.simulation import gateway


class Mutant(NamedTuple):
    """A fault in a layout, and the client and server version that must see it.

    `sign` must be in what the matrix says; empty: the message's name.
    """

    layout: str
    right: str
    wrong: str
    client: str
    version: int
    sign: str = ""


MUTANTS = {
    "openOrder lacks a field": Mutant("OPEN_ORDER", " origin=0", "", "ibapi-9.81", 157, "int() with base 10: b'RT-1'"),
    "openOrder has a field too many": Mutant("OPEN_ORDER", " origin=0", " origin=0 x=0", "ib_async-2.1", 178),
    "openOrder gains a field one version late": Mutant(
        "OPEN_ORDER", "[160]", "[161]", "ibapi-10.46", 160, "ended in the step: a market order waits for the open"
    ),
    "orderStatus swaps two fields": Mutant("ORDER_STATUS", "filled remaining", "remaining filled", "ib_async-2.1", 157),
    "execDetails swaps two fields": Mutant("EXECUTION", " quantity price", " price quantity", "ibapi-9.81", 157),
    "execDetails gains a field one version late": Mutant("EXECUTION", "[178]", "[179]", "ib_async-2.1", 178),
    "commission swaps two fields": Mutant(
        "COMMISSION",
        "commission currency",
        "currency commission",
        "ibapi-9.81",
        157,
        "could not convert string to float: b'USD'",
    ),
    "completedOrder lacks a field": Mutant("COMPLETED_ORDER", " endedAs", "", "ibapi-10.46", 178),
    "contractDetails has a field too many": Mutant(
        "CONTRACT_DETAILS", " underConId=0", " underConId=0 x=", "ibapi-9.81", 157
    ),
    "contractDetails has a field too many at its end": Mutant(
        "CONTRACT_DETAILS", "[186]ruleCount=0", "[186]ruleCount=0 x=", "ibapi-10.46", 200, "processContractDataMsg left"
    ),
    "contractDetails keeps its version": Mutant("CONTRACT_DETAILS", "[<164]v=8", "[<201]v=8", "ibapi-10.46", 178),
    "contractDetails says an older version": Mutant("CONTRACT_DETAILS", "v=8", "v=6", "ibapi-9.81", 157),
    "portfolio says an older version": Mutant(
        "PORTFOLIO", " v=8", " v=7", "ibapi-9.81", 157, "could not convert string to float: b'NMS'"
    ),
    "position swaps two fields": Mutant("POSITION", "position averageCost", "averageCost position", "ibapi-10.46", 200),
    "tickSize has a field too many": Mutant("_SIZE", "2\x006\x00", "2\x006\x006\x00", "ibapi-9.81", 157),
    "error lacks its time": Mutant("ERROR", " [194]timeMs", "", "ibapi-10.46", 200),
    "error loses its version one version late": Mutant("ERROR", "[<194]", "[<195]", "ibapi-10.46", 194),
}


def _modules() -> list[ModuleType]:
    return [importlib.import_module(f"{gateway.__name__}.{m.name}") for m in pkgutil.iter_modules(gateway.__path__)]


def plant(mutant: Mutant) -> None:
    """Put the fault where the layout is; KeyError when nothing has it."""
    planted = False
    for module in _modules():
        layout = getattr(module, mutant.layout, None)
        if isinstance(layout, str) and mutant.right in layout:
            setattr(module, mutant.layout, layout.replace(mutant.right, mutant.wrong, 1))
            planted = True
    if not planted:
        raise KeyError(f"no layout {mutant.layout} holds {mutant.right!r}")


if __name__ == "__main__":
    plant(MUTANTS[sys.argv.pop(1)])
    sys.argv.insert(1, "gateway-sim")
    main()
