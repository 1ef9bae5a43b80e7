"""What a scenario's own journal says of how fast it was noticed and stopped, and of what was sent and lost after that.

Times are of the simulated clock, from the `breach` that the scenario names.
"""

from collections.abc import Iterable

from msgspec import Struct

from robotrader.model import (
    BreakOpened,
    Deny,
    ExternalFill,
    ExternalOrder,
    LinkChanged,
    OrderSending,
    SetTradingState,
    TradingState,
)
from tests.scenarios.play import Outcome
from tests.scenarios.script import Scenario


class Measured(Struct, frozen=True, kw_only=True):
    """Seconds to the first sign of it in the journal and until less might be sent, None = never.

    `after` orders were sent although trading was halted by then in their scope; `loss` is positive where it was one.
    """

    id: str
    title: str
    noticed: float | None
    by: str
    stopped: float | None
    after: int
    loss: float
    cap: float


def measure(scenario: Scenario, outcome: Outcome) -> Measured | None:
    """Return the figures of a scenario, None where it names no breach."""
    if scenario.breach is None:
        return None
    noticed, by, stopped, after = None, "", None, 0
    halted: dict[tuple[str | None, str | None], bool] = {}
    for at, record in outcome.trail:
        since = at - scenario.breach
        if since < 0:
            continue
        if noticed is None and (by := _sign(record)):
            noticed = since
        state = _state(record)
        if state is not None:
            halted[state[0]] = state[1].severity >= TradingState.HALTED.severity
            stopped = since if stopped is None and state[1] is not TradingState.ACTIVE else stopped
        if isinstance(record, OrderSending):
            order = outcome.trader.orders.get(record.order_id)
            scopes = {(None, None), (order.order.strategy, None), (None, order.order.instrument)} if order else set()
            after += any(halted.get(scope) for scope in scopes)
    return Measured(id=scenario.id, title=scenario.title, noticed=noticed, by=by, stopped=stopped, after=after,
                    loss=float(outcome.loss), cap=scenario.expect.max_loss)  # fmt: skip


def _sign(record: object) -> str:
    """Return how a record shows that something is wrong, "" where it does not."""
    state = _state(record)
    if state is not None and state[1] is not TradingState.ACTIVE:
        return "link" if isinstance(record, LinkChanged) else str(state[1])
    return next((words for kind, words in _SIGNS.items() if isinstance(record, kind)), "")


_SIGNS: dict[type, str] = {
    Deny: "risk refuses",
    BreakOpened: "ticket",
    ExternalFill: "not ours",
    ExternalOrder: "not ours",
}


def _state(record: object) -> tuple[tuple[str | None, str | None], TradingState] | None:
    """Return scope and state where a record changes what may be sent; the link has a scope of its own, all orders."""
    if isinstance(record, SetTradingState):
        return (record.strategy, record.instrument), record.state
    return ((None, None), record.trading) if isinstance(record, LinkChanged) else None


def table(found: Iterable[Measured]) -> str:
    """Return the table as Markdown."""
    lines = [
        "| scenario | first sign | noticed after | stopped after | sent while halted | loss / cap |",
        "|---|---|---|---|---|---|",
    ]
    for m in found:
        loss = f"{max(m.loss, 0.0):,.0f} / {m.cap:,.0f}"
        lines.append(
            f"| {m.id} {m.title} | {m.by or '–'} | {_seconds(m.noticed)} | {_seconds(m.stopped)} | {m.after} | {loss} |"
        )
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} s"
