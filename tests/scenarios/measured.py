"""What a scenario's own journal says of how fast it was noticed and stopped, and of what was sent and lost after that.

Times are of the simulated clock, from the `breach` that the scenario names.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BreakOpened,
    ConditionChanged,
    Deny,
    ExternalFill,
    ExternalOrder,
    HaltReported,
    LinkChanged,
    LinkState,
    OrderSending,
    RunStarted,
    SetLimits,
    SetTradingState,
    Submit,
    TradingState,
)
from tests.scenarios.play import Outcome
from tests.scenarios.script import Scenario

Scope = tuple[str | None, str | None]
_LINK: Scope = ("the link", None)
_MACHINE: Scope = ("the machine", None)


class Measured(Struct, frozen=True, kw_only=True):
    """Seconds to the first sign of it in the journal and until less might be sent, None = never, or no breach.

    `entries` are the orders sent since the breach that made a position larger, `after` those of any kind that were sent
    although trading was halted by then in their scope; `loss` is positive where it was one. `state` is that of trading
    at the end.
    """

    id: str
    title: str
    mutant: str
    noticed: float | None = None
    by: str = ""
    stopped: float | None = None
    entries: int | None = None
    after: int | None = None
    state: str
    loss: float
    cap: float


def measure(scenario: Scenario, outcome: Outcome) -> Measured:
    """Return the figures of a scenario: those of time only where it names a breach."""
    halted = dict[Scope, TradingState]()
    whole = Measured(id=scenario.id, title=scenario.title, mutant=scenario.mutant, loss=float(outcome.loss),
                     cap=scenario.expect.max_loss, state="")  # fmt: skip
    if scenario.breach is not None:
        whole = _since(scenario.breach, outcome, whole)
        if whole.noticed is None and scenario.expect.ended:
            ended = outcome.ended_at - scenario.breach
            whole = structs.replace(whole, noticed=ended, by="the trader ends", stopped=ended)
    for _, record in outcome.trail:
        if isinstance(record, SetTradingState):
            halted[_scope(record)] = record.state
    worst = max(halted.items(), key=lambda item: item[1].severity, default=((None, None), TradingState.ACTIVE))
    where = " ".join(part for part in worst[0] if part) if worst[1] is not TradingState.ACTIVE else ""
    return structs.replace(whole, state=f"{worst[1]} {where}".strip())


def _since(breach: float, outcome: Outcome, whole: Measured) -> Measured:
    noticed, by, stopped, after, entries = None, "", None, 0, 0
    halted: dict[Scope, bool] = {}
    larger = {r.order.id for _, r in outcome.trail if isinstance(r, Submit) and _makes_larger(r)}
    for at, record in _told(outcome):
        since = at - breach
        if since < 0:
            continue
        if noticed is None and (by := _sign(record)):
            noticed = since
        state = _state(record)
        if state is not None:
            halted[state[0]] = state[1].severity >= TradingState.HALTED.severity
            stopped = since if stopped is None and state[1] is not TradingState.ACTIVE else stopped
        if isinstance(record, OrderSending):
            entries += record.order_id in larger
            order = outcome.trader.orders.get(record.order_id)
            scopes = (
                {_LINK, (None, None), (order.order.strategy, None), (None, order.order.instrument)} if order else set()
            )
            after += any(halted.get(scope) for scope in scopes)
    return structs.replace(whole, noticed=noticed, by=by, stopped=stopped, after=after, entries=entries)


def _told(outcome: Outcome) -> Iterator[tuple[float, AnyEvent | AnyCommand]]:
    """Yield the records without the way that the link goes whenever a trader is started."""
    starting = False
    for at, record in outcome.trail:
        starting = starting or isinstance(record, RunStarted)
        if starting and isinstance(record, LinkChanged):
            starting = record.state is not LinkState.READY
        else:
            yield at, record


def _makes_larger(submit: Submit) -> bool:
    """Tell whether an order was decided to hold more; what protects a position was not decided by a strategy."""
    made = submit.decision
    return made is not None and abs(made.target.quantity) > abs(made.position + made.working)


def _sign(record: object) -> str:
    """Return how a record shows that something is wrong, "" where it does not."""
    state = _state(record)
    if state is not None and state[1] is not TradingState.ACTIVE:
        return _WORDS.get(type(record), str(state[1]))
    return next((words for kind, words in _SIGNS.items() if isinstance(record, kind)), "")


_WORDS: dict[type, str] = {
    LinkChanged: "link",
    HaltReported: "the exchange halts",
    ConditionChanged: "the machine",
}
_SIGNS: dict[type, str] = {
    Deny: "risk refuses",
    BreakOpened: "ticket",
    ExternalFill: "not ours",
    ExternalOrder: "not ours",
    SetLimits: "limits are kept",
}


def _scope(record: SetTradingState) -> Scope:
    return record.strategy, record.instrument


def _state(record: object) -> tuple[Scope, TradingState] | None:
    """Return scope and state where a record changes what may be sent.

    Link and machine have scopes of their own, for all orders. A daily reset is no sign of anything.
    """
    if isinstance(record, SetTradingState):
        return _scope(record), record.state
    if isinstance(record, HaltReported):
        return (None, record.instrument), TradingState.HALTED if record.halted else TradingState.ACTIVE
    if isinstance(record, LinkChanged) and record.state is not LinkState.RESET_WINDOW:
        return _LINK, record.trading
    if isinstance(record, ConditionChanged):
        return _MACHINE, record.state
    return None


_COLUMNS = ("scenario", "first sign", "detected after", "stopped after", "entries since", "sent while halted",
            "loss / cap", "state at the end", "planted bug that fails it")  # fmt: skip


def table(found: Iterable[Measured]) -> str:
    """Return the table as Markdown."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    for m in found:
        cells = (
            f"{m.id} {m.title}", m.by or "–", _seconds(m.noticed), _seconds(m.stopped), _count(m.entries),
            _count(m.after), f"{max(m.loss, 0.0):,.0f} / {m.cap:,.0f}", m.state, m.mutant.replace("_", " "),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} s"
