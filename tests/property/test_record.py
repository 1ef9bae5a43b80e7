"""The record is the whole truth: what comes twice counts once, and replay gives back bytes and state."""

import asyncio
from math import nan

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from robotrader.engine.recovery import replay
from robotrader.engine.write_ahead import WriteAhead
from robotrader.execution.lifecycle import OPEN
from robotrader.model import (
    Action,
    AnyEvent,
    InvariantViolation,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderState,
    OrderUnresolved,
    Submit,
    TradingHalted,
)
from robotrader.ports import BrokerMessage, RequestRow
from tests import builders as make
from tests.fakes import MemoryStorage, Script, message, snapshot
from tests.unit.engine.stage import ask, execution
from tests.unit.engine.world import Life, commands

view = st.sampled_from([1.0, 0.0, -1.0, 0.5, nan])
DAYS = 8
scripts = st.lists(st.tuples(view, view), min_size=DAYS, max_size=DAYS).map(lambda rows: dict(enumerate(rows)))
USUAL = ("accept", "fill", "fill", "part")
UNUSUAL = ("cancel", "expire", "reject", "unknown")
STOPS = ("flag", "halted", "request", *Action, Action.RESUME, Action.RESUME)
kinds = st.sampled_from(["bars"] * 10 + ["usual"] * 10 + ["unusual"] * 4 + ["stop"] * 2)
which = st.integers(0, 9)
step = kinds.flatmap(
    lambda kind: st.just(kind) if kind == "bars" else st.sampled_from(STOPS) if kind == "stop"
    else st.tuples(st.sampled_from(USUAL if kind == "usual" else UNUSUAL), which)
)  # fmt: skip
steps = st.lists(step, min_size=5, max_size=30)
Step = str | tuple[str, int] | Action


def word(life: Life, what: str, n: int) -> BrokerMessage | None:
    """Make what the broker may say of one of the orders that went over the wire."""
    if not life.broker.submitted:
        return None
    order, number = life.broker.submitted[n % len(life.broker.submitted)]
    working = life.storage.orders[order.id]
    key = {"ts_event": order.ts_event, "ts_init": 0, "order_id": order.id}
    left = max(working.leaves, 1)
    exec_id = f"{number}-{working.filled}"
    said: dict[str, AnyEvent] = {
        "accept": make.accepted(order.id, perm_id=number),
        "fill": execution(order, "100.00", quantity=left, exec_id=exec_id),
        "part": execution(order, "100.00", quantity=max(left // 3, 1), exec_id=exec_id),
        "cancel": OrderCanceled(**key),  # type: ignore[arg-type]
        "expire": OrderExpired(**key),  # type: ignore[arg-type]
        "reject": OrderRejected(**key, code=201, reason="no"),  # type: ignore[arg-type]
        "unknown": OrderUnresolved(**key, reason="no answer"),  # type: ignore[arg-type]
    }
    return message(said[what])


async def live(life: Life, path: WriteAhead, found: list[Step]) -> None:
    """Let all this happen to a process."""
    day = 0
    for n, one in enumerate(found):
        if one == "bars" and day < DAYS:
            life.clock.advance(make.T0 + day * make.DAY)
            await path.carry_out(await path.record([make.bars_closed(day, 100.0 + day, 50.0 - day)]))
            day += 1
        elif one == "flag":
            life.flag = None if life.flag else "flag file"
        elif one == "request":
            life.storage.request(RequestRow(id=f"w{n}", ts=0, action=Action.HALT, reason="x", actor="me"))
        else:
            heard = arrival(life, one, n)
            await path.carry_out(await path.record([] if heard is None else [heard]))


def arrival(life: Life, one: Step, n: int) -> AnyEvent | BrokerMessage | None:
    """Make what arrives in this step."""
    if isinstance(one, Action):
        return ask(one, n=n)
    if one == "halted":
        return TradingHalted(ts_event=make.T0, ts_init=make.T0, reason="x")
    return word(life, *one) if isinstance(one, tuple) else None


def lived(script: Script, found: list[Step]) -> tuple[Life, WriteAhead]:
    """Return a process that lived through this."""

    async def run() -> tuple[Life, WriteAhead]:
        life = Life(MemoryStorage(), script=script)
        path = await life.path()
        await live(life, path, found)
        return life, path

    return asyncio.run(run())


@given(scripts, steps)
def test_replay_gives_back_every_byte_and_the_very_state(script: Script, found: list[Step]) -> None:
    life, path = lived(script, found)
    again = replay(life.storage.rows, Life(MemoryStorage(), script=script).source)
    assert again.identical, again.first_difference
    assert make.digest(again.trader) == make.digest(path._trader)


@given(scripts, steps, st.randoms(use_true_random=False))
def test_what_the_broker_said_may_all_be_said_again(script: Script, found: list[Step], random: object) -> None:
    life, path = lived(script, [s for s in found if not (isinstance(s, tuple) and s[0] == "unknown")])
    said = [msgspec.json.decode(r.payload, type=BrokerMessage) for r in life.storage.rows if r.kind == "raw"]
    random.shuffle(said)  # type: ignore[attr-defined]
    before = make.digest(path._trader)
    assert asyncio.run(path.record(said)) == []
    assert make.digest(path._trader) == before


@given(scripts, steps)
def test_no_order_is_sent_twice_or_without_its_decision_or_while_halted(script: Script, found: list[Step]) -> None:
    async def run() -> None:
        life = Life(MemoryStorage(), script=script)
        path = await life.path()

        def at_the_write(order: object) -> None:
            assert life.flag is None
            assert not [r for r in life.storage.requests.values() if ("RequestReceived", r.id) not in life.storage.keys]
            assert path._trader.states.of((None, None))[0].severity < 2
            state = life.storage.orders[order.id].state  # type: ignore[attr-defined]
            assert state is OrderState.SENDING

        life.broker.on_submit = at_the_write
        await live(life, path, found)
        assert len(set(life.broker.sent)) == len(life.broker.sent)
        decided = {c.order.id for c in commands(life.storage) if isinstance(c, Submit)}
        assert set(life.broker.sent) <= decided
        numbers = [number for _, number in life.broker.submitted]
        assert numbers == sorted(set(numbers))

    asyncio.run(run())


@given(scripts, steps)
def test_open_quantities_and_positions_are_what_the_orders_say(script: Script, found: list[Step]) -> None:
    """What planning and checks read is kept step by step; it must equal what the orders add up to."""
    life, path = lived(script, found)
    trader = path._trader
    for instrument in (make.SPY.id, make.QQQ.id):
        of_it = [w for w in trader.orders if w.order.instrument == instrument]
        net = sum(w.order.side.sign * w.leaves for w in of_it if w.state in OPEN)
        assert trader.orders.net(make.TREND, instrument) == net
        assert trader.ledger.quantity(instrument) == sum(w.order.side.sign * w.filled for w in of_it)
    assert trader.orders.open_orders() == [w for w in trader.orders if w.state in OPEN]
    assert life.storage.orders == {w.order.id: w for w in trader.orders}, "and the journal shows the same"


@given(scripts, steps)
def test_a_later_life_recovers_whatever_the_earlier_one_left_behind(script: Script, found: list[Step]) -> None:
    """A crash anywhere: the next start settles every order that may have been sent, and sends none of them again."""
    life, path = lived(script, found)
    second = Life(life.storage, script=script, now=life.clock.now())
    positions = {i: path._trader.ledger.quantity(i) for i in (make.SPY.id, make.QQQ.id)}
    second.broker.snapshots = [snapshot(positions=positions)]
    runner = second.runner()
    try:
        asyncio.run(runner.start())
    except InvariantViolation as error:
        raise AssertionError(f"a start after a crash must not fail: {error}") from error
    assert not set(second.broker.sent) & set(life.broker.sent)
    left = [w for w in runner._replayed.trader.orders if w.state in {OrderState.SENDING, OrderState.AUTHORIZED}]
    assert left == [] or all(w.order.id in second.broker.sent for w in left)
