"""Hold an outcome against what the scenario expects; every failure is a sentence."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

from robotrader.model import (
    NANOS_PER_SECOND,
    OUR_PREFIX,
    Deny,
    LinkState,
    OrderRejected,
    OrderSending,
    PortfolioMarked,
    Replace,
    Submit,
)
from robotrader.simulation.gateway.record import Placement
from tests.scenarios.play import CASH, Outcome
from tests.scenarios.script import Expect, Scenario

_HOUR_NS = 3_600 * 10**9


def failures(scenario: Scenario, outcome: Outcome) -> list[str]:
    """Return what does not hold."""
    found = [sentence for check in _CHECKS for sentence in check(scenario.expect, outcome)]
    found += _probes(scenario, outcome)
    found += () if scenario.restores else _as_decided(outcome)
    if outcome.killed != len(scenario.kills):
        found.append(f"{outcome.killed} of {len(scenario.kills)} kills happened")
    return found


def _new_orders(outcome: Outcome) -> list[Placement]:
    return [p for p in outcome.record.placements if not p.modify and p.code == 0]


def _never_twice(_: Expect, outcome: Outcome) -> Iterator[str]:
    """No scenario allows a second order of one intent."""
    placed = (p for p in outcome.record.placements if not p.modify)
    for ref, count in Counter(p.order_ref for p in placed if p.order_ref).items():
        if count > 1:
            yield f"order {ref} was placed {count} times"


def _as_decided(outcome: Outcome) -> Iterator[str]:
    """What is at the broker is what the journal says was decided: as many units of every order, and no other order."""
    decided = Counter[str]()
    for command in outcome.commands:
        if isinstance(command, Submit | Replace):
            decided[command.order.id] = max(decided[command.order.id], command.order.quantity)
    for placed in (p for p in outcome.record.placements if p.code == 0 and p.order_ref.startswith(OUR_PREFIX)):
        if (units := placed.order.quantity or 0) > decided[placed.order_ref]:
            yield f"order {placed.order_ref} was sent with {units} units, {decided[placed.order_ref]} were decided"


def _counts(expect: Expect, outcome: Outcome) -> Iterator[str]:
    if (found := len(_new_orders(outcome))) != expect.orders:
        yield f"{found} orders were taken by the gateway, expected {expect.orders}"
    if (found := len(outcome.record.executions)) != expect.fills:
        yield f"{found} fills, expected {expect.fills}"
    if (found := sum(p.modify and p.code == 0 for p in outcome.record.placements)) != expect.changes:
        yield f"{found} changes were taken by the gateway, expected {expect.changes}"
    if outcome.stops != expect.stops:
        yield f"stops for {outcome.stops} rest at the gateway, expected {expect.stops}"
    refused = [p.code for p in outcome.record.placements if p.code]
    if expect.refused:
        refused = [e.code for e in outcome.events if isinstance(e, OrderRejected)]
    if len(refused) != expect.refused:
        yield f"the gateway refused {len(refused)} orders, expected {expect.refused}: {refused}"


def _positions(expect: Expect, outcome: Outcome) -> Iterator[str]:
    broker = {iid.partition(".")[0]: q for iid, q in outcome.record.positions.items()}
    if broker != expect.positions:
        yield f"the broker holds {broker}, expected {expect.positions}"
    ours: Counter[str] = Counter()
    for (_, iid), quantity in outcome.trader_positions.items():
        ours[iid.partition(".")[0]] += quantity
    books, wanted = {i: q for i, q in ours.items() if q}, expect.positions if expect.books is None else expect.books
    if books != wanted:
        yield f"our books hold {books}, expected {wanted}"


def _verified(_: Expect, outcome: Outcome) -> Iterator[str]:
    if not outcome.verified.ok:
        yield f"the journal does not verify: {outcome.verified}"


def _states(expect: Expect, outcome: Outcome) -> Iterator[str]:
    trader = outcome.trader
    if (state := trader.states.of((None, None))[0]) != expect.trading_state:
        yield f"trading is {state}, expected {expect.trading_state}: {trader.states.of((None, None))[1]}"
    if expect.reason not in (why := trader.states.of((None, None))[1]):
        yield f"trading is {state} because of '{why}', expected '{expect.reason}'"
    if expect.ended not in outcome.ended:
        yield f"the trader ended with '{outcome.ended}', expected '{expect.ended}'"
    if (unknown := sum(w.unresolved for w in trader.orders.open_orders())) != expect.unknown:
        yield f"{unknown} orders are of unknown outcome, expected {expect.unknown}"


def _link(expect: Expect, outcome: Outcome) -> Iterator[str]:
    path = tuple(state.value for state, _ in groupby(link.state for link in outcome.links))
    if expect.link is not None and path != expect.link:
        yield f"the link went {' → '.join(path)}, expected {' → '.join(expect.link)}"
    last = outcome.links[-1]
    if expect.ready_by is not None and (
        last.state is not LinkState.READY or outcome.seconds(last.ts_event) > expect.ready_by
    ):
        since = outcome.seconds(last.ts_event)
        yield f"the link was {last.state} from {since:.0f} s, expected READY by {expect.ready_by}"


def _quiet(expect: Expect, outcome: Outcome) -> Iterator[str]:
    for start, end in expect.quiet:
        sent = [e for e in outcome.events if isinstance(e, OrderSending) and start <= outcome.seconds(e.ts_init) < end]
        if sent:
            yield f"{len(sent)} orders were sent between {start} and {end} s"


def _rivals(expect: Expect, outcome: Outcome) -> Iterator[str]:
    pairs = zip(expect.rivals, outcome.rivals, strict=False)
    if len(expect.rivals) != len(outcome.rivals) or any(wanted not in found for wanted, found in pairs):
        yield f"the rivals ended with {list(outcome.rivals)}, expected {list(expect.rivals)}"
    clients = tuple(sorted({p.client_id for p in _new_orders(outcome)}))
    if expect.clients is not None and clients != expect.clients:
        yield f"orders of the clients {clients} were taken, expected {expect.clients}"


def _journal(expect: Expect, outcome: Outcome) -> Iterator[str]:
    denied = sum(isinstance(c, Deny) for c in outcome.commands)
    if denied < expect.denied:
        yield f"{denied} orders were refused by risk, expected {expect.denied} at least"
    sent = [e.ts_init for e in outcome.events if isinstance(e, OrderSending)]
    busiest = max((sum(ts <= other < ts + NANOS_PER_SECOND for other in sent) for ts in set(sent)), default=0)
    if busiest > expect.a_second:
        yield f"{busiest} orders were sent within a second, at most {expect.a_second} were allowed"
    kinds = Counter(type(record).__name__ for record in (*outcome.events, *outcome.commands))
    if found := {kind: kinds[kind] for kind, count in expect.recorded.items() if kinds[kind] != count}:
        yield f"the journal has {found}, expected {expect.recorded}"


def _bounds(expect: Expect, outcome: Outcome) -> Iterator[str]:
    if expect.logins is not None and len(outcome.logins) > expect.logins:
        yield f"{len(outcome.logins)} logins, at most {expect.logins} were allowed"
    busiest = max(sum(ts <= other < ts + _HOUR_NS for other in outcome.logins) for ts in outcome.logins)
    if busiest > expect.logins_an_hour:
        yield f"{busiest} logins within an hour, at most {expect.logins_an_hour} were allowed"
    if outcome.loss > expect.max_loss:
        yield f"a loss of {outcome.loss}, at most {expect.max_loss} was allowed"
    gain = max((c.equity - CASH for c in outcome.commands if isinstance(c, PortfolioMarked)), default=CASH - CASH)
    if expect.max_gain is not None and gain > expect.max_gain:
        yield f"our books were worth {gain} more than at first, at most {expect.max_gain} was allowed"
    if expect.waiting is not None and outcome.waiting > expect.waiting:
        yield f"{outcome.waiting} arrivals waited at once, at most {expect.waiting} were allowed"
    if tuple(outcome.flattened) != expect.flattened:
        yield f"the flattens left {outcome.flattened}, expected {list(expect.flattened)}"


def _probes(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    for probe in scenario.probes:
        seen = outcome.probes.get(probe.at)
        if seen is None:
            yield f"at {probe.at} s nobody could look"
            continue
        codes = {alert["code"] for alert in seen["alerts"]}
        orders = seen["open_orders"]
        if seen["broker"] != probe.broker or not set(probe.alerts) <= codes or probe.open_orders not in {None, orders}:
            said = f"{seen['broker']}, alerts {sorted(codes)}, {orders} open orders"
            yield f"at {probe.at} s status said {said}; expected {probe}"


_CHECKS: tuple[Callable[[Expect, Outcome], Iterator[str]], ...] = (
    _never_twice, _counts, _positions, _verified, _states, _link, _quiet, _bounds, _rivals, _journal,
)  # fmt: skip
