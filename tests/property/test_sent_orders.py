"""No sequence of intents, fills, prices and changes of limits makes the trader send an order that breaks a limit.

Hypothesis plays against the real `Trader`; what was sent is judged by books of its own, which share no code with the
gate. The suite plays a sample, `make gate-soak` 100,000 steps.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.model import NANOS_PER_SECOND as SECOND
from robotrader.model import (
    Action,
    AnyCommand,
    AnyEvent,
    BarsClosed,
    Cancel,
    InstrumentId,
    Manifest,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderConfirmed,
    OrderId,
    OrderRejected,
    OrderSending,
    OrderUnresolved,
    OrderVoided,
    RequestReceived,
    RiskLimit,
    SetLimits,
    SetTradingState,
    Side,
    StrategyConfig,
    StrategyId,
    Submit,
    TradingState,
)
from robotrader.risk import gate
from robotrader.risk.checks import CHECKS
from tests import builders as make
from tests.fakes import scripted
from tests.unit.engine.stage import NAN, config, execution, started

D = Decimal
STEPS = int(os.environ.get("GATE_STEPS", "1500"))
A_STORY = 50
SECOND_ID = StrategyId("second")
IIDS = (make.SPY.id, make.QQQ.id)
SIZERS = ("fixed:100", "fixed:37", "percent:0.2", "all_in")
CHANGES = {
    "max_order_quantity": st.sampled_from([10, 37, 100, 300]),
    "max_order_notional": st.sampled_from([3_700, 5_000, 10_000, 50_000]),
    "max_order_equity_ratio": st.sampled_from(["0.02", "0.05", "0.5"]),
    "max_position_equity_ratio": st.sampled_from(["0.02", "0.1", "0.5"]),
    "min_order_notional": st.sampled_from([0, 200, 5_001]),
    "max_gross_ratio": st.sampled_from(["0.05", "0.1", "0.5", "1.5"]),
    "max_net_ratio": st.sampled_from(["0.02", "0.1", "1"]),
    "max_open_orders": st.sampled_from([1, 2, 3, 100]),
    "max_open_orders_instrument": st.sampled_from([1, 2, 5]),
    "messages_per_s": st.sampled_from([1, 2, 3, 40]),
    "messages_per_s_instrument": st.sampled_from([1, 2, 5]),
    "bursts_per_s_strategy": st.sampled_from([1, 2]),
    "max_repeated_fills": st.sampled_from([1, 2, 10]),
    "duplicate_window_s": st.sampled_from([0.5, 2.0, 9.0]),
    "max_daily_loss_ratio": st.sampled_from(["0.01", "0.03", "0.5"]),
}
LIMITS = RiskLimit(
    profile="drawn", max_order_quantity=300, max_order_notional=D(50_000), max_position_equity_ratio=D("0.5"),
    max_gross_ratio=D("1.5"), max_net_ratio=D(1), max_open_orders=100, max_open_orders_instrument=5, messages_per_s=40,
    messages_per_s_instrument=5, bursts_per_s_strategy=2, max_repeated_fills=10, repeated_window_s=60.0,
    duplicate_window_s=2.0, max_daily_loss_ratio=D("0.5"), soft_daily_loss_ratio=D("0.4"), price_collar_ratio=D("0.03"),
)  # fmt: skip
strength = st.sampled_from([1.0, -1.0, 0.5, -0.5, 0.0, NAN])


class Spoken:
    """A strategy that says what the story says next."""

    def __init__(self) -> None:
        self.next: Sequence[float] = (NAN, NAN)

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        return self.next

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None: ...

    def compared(self) -> tuple[int, int]:
        return 0, 0


class Trading(RuleBasedStateMachine):
    """One story; `held`, `cash`, `open` and `sent` are the story's own books."""

    working = Bundle("working")

    @initialize(sizers=st.tuples(st.sampled_from(SIZERS), st.sampled_from(SIZERS)))
    def start(self, sizers: tuple[str, str]) -> None:
        self.now, self.n, self.limits = make.T0, 0, LIMITS
        self.voices = {make.TREND: Spoken(), SECOND_ID: Spoken()}
        self.price = dict(zip(IIDS, (D("100.00"), D("50.00")), strict=True))
        self.cash, self.held = D(200_000), dict.fromkeys(IIDS, 0)
        self.open: dict[OrderId, int] = {}
        self.sent: list[tuple[int, Order]] = []
        self.filled: list[tuple[int, Order]] = []
        self.on_way: set[OrderId] = set()
        self.states: defaultdict[Any, TradingState] = defaultdict(lambda: TradingState.ACTIVE)
        self.trader = Trader(self._source)
        self.trader.handle(started(config(sizer=sizers[0]), config(SECOND_ID, sizer=sizers[1]), limits=LIMITS))

    def _source(self, chosen: StrategyConfig, instruments: Any) -> tuple[Manifest, Spoken]:
        manifest, _ = scripted({chosen.id: {}})(chosen, instruments)
        return manifest, self.voices[chosen.id]

    @rule(
        target=working, first=st.tuples(strength, strength), second=st.tuples(strength, strength),
        moves=st.tuples(*[st.integers(-3, 3)] * 2), after=st.sampled_from([SECOND // 4, SECOND, 61 * SECOND, make.DAY]),
    )  # fmt: skip
    def bars(self, first: Any, second: Any, moves: tuple[int, int], after: int) -> Any:
        """Prices move, and both strategies have views."""
        self.now += after
        for iid, move in zip(IIDS, moves, strict=True):
            self.price[iid] += D(move) / 2
        self.voices[make.TREND].next, self.voices[SECOND_ID].next = first, second
        event = make.bars_closed(0, *map(float, self.price.values()))
        bars = tuple(structs.replace(bar, ts_event=self.now) for bar in event.bars)
        return self._tell(structs.replace(event, ts_event=self.now, ts_init=self.now, bars=bars))

    @rule(target=working, order=consumes(working), part=st.integers(1, 3), off=st.integers(-20, 20))
    def fill(self, order: Order, part: int, off: int) -> Any:
        """An order fills, whole or in part."""
        if order.id not in self.open:
            return multiple()
        self._go_out(order)
        quantity = max(self.open[order.id] // part, 1)
        self.n += 1
        event = execution(order, str(self.price[order.instrument] + D(off) / 100), quantity=quantity,
                          exec_id=f"x{self.n}")  # fmt: skip
        fill = structs.replace(event.fill, ts_event=self.now)
        self.held[order.instrument] += order.side.sign * quantity
        self.cash -= order.side.sign * quantity * fill.price
        self.filled.append((self.now, order))
        self.open[order.id] -= quantity
        if not self.open[order.id]:
            del self.open[order.id]
        made = self._tell(structs.replace(event, fill=fill, ts_event=self.now, ts_init=self.now))
        return multiple(*made.values, *([order] if order.id in self.open else []))

    @rule(
        target=working, order=consumes(working), how=st.sampled_from(["cancel", "reject", "void", "unknown", "known"])
    )
    def ends(self, order: Order, how: str) -> Any:
        """The broker has news of an order: it is over, or its outcome is unknown for a while."""
        if order.id not in self.open:
            return multiple()
        key: dict[str, Any] = {"ts_event": self.now, "ts_init": self.now, "order_id": order.id}
        if how == "void":
            if order.id in self.on_way:
                return multiple(order)
            del self.open[order.id]
            return self._tell(OrderVoided(**key, proven=True, reason="test"))
        self._go_out(order)
        if how in {"unknown", "known"}:
            event = OrderUnresolved(**key, reason="test") if how == "unknown" else OrderConfirmed(**key)
            return multiple(order, *self._tell(event).values)
        del self.open[order.id]
        return self._tell(OrderCanceled(**key) if how == "cancel" else OrderRejected(**key, code=201, reason="test"))

    @rule(target=working, change=st.sampled_from(sorted(CHANGES)).flatmap(lambda n: st.tuples(st.just(n), CHANGES[n])))
    def limit(self, change: tuple[str, Any]) -> Any:
        """An operator changes a limit, and somebody approves."""
        return self._ask(Action.LIMIT, change=f"{change[0]}={change[1]}", approver="you")

    @rule(
        target=working, action=st.sampled_from([Action.HALT, Action.REDUCE, Action.RESUME]),
        strategy=st.sampled_from([None, SECOND_ID]), instrument=st.sampled_from([None, make.SPY.id]),
    )  # fmt: skip
    def state(self, action: Action, strategy: StrategyId | None, instrument: InstrumentId | None) -> Any:
        """An operator halts, reduces or resumes."""
        return self._ask(action, strategy=strategy, instrument=instrument)

    def _ask(self, action: Action, **about: Any) -> Any:
        self.n += 1
        return self._tell(RequestReceived(ts_event=self.now, ts_init=self.now, request_id=f"r{self.n}", action=action,
                                          reason="test", actor="me", **about))  # fmt: skip

    def _go_out(self, order: Order) -> None:
        if order.id in self.on_way:
            return
        self.on_way.add(order.id)
        self.n += 1
        key: dict[str, Any] = {"ts_event": self.now, "ts_init": self.now, "order_id": order.id}
        self.trader.handle(OrderSending(**key, epoch=1, broker_order_id=self.n))
        self.trader.handle(OrderAccepted(**key, perm_id=self.n))

    def _tell(self, event: AnyEvent) -> Any:
        """Tell the trader, and hold everything that it then does against the story's own books."""
        new: list[Order] = []
        for command in self.trader.handle(event):
            self._obey(command, new)
        return multiple(*new)

    def _obey(self, command: AnyCommand, new: list[Order]) -> None:
        if isinstance(command, SetLimits):
            self.limits = command.limits
        elif isinstance(command, SetTradingState):
            self.states[command.strategy, command.instrument] = command.state
        elif isinstance(command, Cancel) and command.order_id in self.open and command.order_id not in self.on_way:
            del self.open[command.order_id]
            self.trader.handle(OrderVoided(ts_event=self.now, ts_init=self.now, order_id=command.order_id, proven=True,
                                           reason="test"))  # fmt: skip
        elif isinstance(command, Submit):
            assert self._broken(command.order) == []
            self.open[command.order.id] = command.order.quantity
            self.sent.append((self.now, command.order))
            new.append(command.order)

    def _opened(self, iid: InstrumentId, side: Side) -> int:
        orders = {o.id: o for _, o in self.sent}
        return sum(q for i, q in self.open.items() if (orders[i].instrument, orders[i].side) == (iid, side))

    def _broken(self, order: Order) -> list[str]:
        """Return which limits an order breaks, everything open filled."""
        limits, iid, sign = self.limits, order.instrument, order.side.sign
        value = self.price[iid] * order.quantity
        leaves = order.quantity <= -sign * self.held[iid] - self._opened(iid, order.side)
        found = [*self._broken_rates(order), *([] if leaves else self._broken_exposure(order, value))]
        most = limits.max_order_quantity or 0
        if order.quantity > (max(most, abs(self.held[iid])) if leaves else most):
            found.append("quantity")
        scopes = ((None, None), (order.strategy, None), (None, iid), (order.strategy, iid))
        worst = max((self.states[scope] for scope in scopes), key=lambda state: state.severity)
        if worst.severity > TradingState.REDUCING.severity or (worst is TradingState.REDUCING and not leaves):
            found.append(f"state {worst}")
        return found

    def _broken_rates(self, order: Order) -> list[str]:
        limits, recent = self.limits, [(ts, o) for ts, o in self.sent if ts > self.now - SECOND]
        alike = [ts for ts, o in self.sent if (o.instrument, o.side, o.quantity) == (
            order.instrument, order.side, order.quantity)]  # fmt: skip
        batches = {ts for ts, o in recent if o.strategy == order.strategy and ts != self.now}
        near = sum(o.instrument == order.instrument for _, o in recent)
        window = (limits.duplicate_window_s or 0) * SECOND
        used = {
            "messages": (len(recent), limits.messages_per_s), "near": (near, limits.messages_per_s_instrument),
            "batches": (len(batches), limits.bursts_per_s_strategy),
            "alike": (sum(self.now - ts < window for ts in alike), 1),
            "intents": (sum(o.id == order.id for _, o in self.sent), 1),
        }  # fmt: skip
        return [name for name, (so_far, limit) in used.items() if limit is not None and so_far >= limit]

    def _broken_exposure(self, order: Order, value: Decimal) -> list[str]:
        limits, iid = self.limits, order.instrument
        equity = self.cash + sum(self.held[i] * self.price[i] for i in IIDS)
        worth = {}
        for i in IIDS:
            mine = order.quantity if i == iid else 0
            buys = self._opened(i, Side.BUY) + (mine if order.side is Side.BUY else 0)
            sells = self._opened(i, Side.SELL) + (mine if order.side is Side.SELL else 0)
            worth[i] = ((self.held[i] + buys) * self.price[i], (self.held[i] - sells) * self.price[i])
        orders = {o.id: o for _, o in self.sent}
        first: dict[OrderId, tuple[int, Order]] = {}
        for ts, o in self.filled:
            first.setdefault(o.id, (ts, o))
        way = order.strategy, iid, order.side
        again = [o for ts, o in first.values()
                 if ts > self.now - 60 * SECOND and (o.strategy, o.instrument, o.side) == way]  # fmt: skip
        gross = sum((max(abs(most), abs(least)) for most, least in worth.values()), D(0))
        long, short = sum((w[0] for w in worth.values()), D(0)), sum((w[1] for w in worth.values()), D(0))
        used: dict[str, tuple[Any, Any]] = {
            "notional": (value, limits.max_order_notional),
            "notional ratio": (value, self._times(equity, limits.max_order_equity_ratio)),
            "least": (-value, None if limits.min_order_notional is None else -limits.min_order_notional),
            "position": (abs(worth[iid][0 if order.side is Side.BUY else 1]),
                         self._times(equity, limits.max_position_equity_ratio)),
            "gross": (gross, self._times(equity, limits.max_gross_ratio)),
            "net": (max(abs(long), abs(short)), self._times(equity, limits.max_net_ratio)),
            "open": (len(self.open) + 1, limits.max_open_orders),
            "open here": (sum(orders[i].instrument == iid for i in self.open) + 1, limits.max_open_orders_instrument),
            "repeated": (len(again) + 1, limits.max_repeated_fills),
        }  # fmt: skip
        return [name for name, (now, limit) in used.items() if limit is not None and now > limit]

    @staticmethod
    def _times(equity: Decimal, ratio: Decimal | None) -> Decimal | None:
        return None if ratio is None else equity * ratio


DRAWN = settings(max_examples=max(STEPS // A_STORY, 1), stateful_step_count=A_STORY, deadline=None)
Trading.TestCase.settings = DRAWN
TestTrading = pytest.mark.slow(Trading.TestCase)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["max_order_quantity", "position_limit", "exposure", "message_rate", "open_orders"])
def test_the_story_finds_a_gate_without_a_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "CHECKS", tuple(c for c in CHECKS if c.name != name))
    quick = settings(DRAWN, max_examples=200, phases=[Phase.generate], database=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Trading, settings=quick)
