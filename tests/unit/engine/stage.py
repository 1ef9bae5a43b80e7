"""A trader on a stage: strategies that say what the script says, and short names for what happens to it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.model import (
    Action,
    AnyCommand,
    Cancel,
    Deny,
    InstrumentId,
    Order,
    OrderAccepted,
    OrderFilled,
    OrderSending,
    RequestReceived,
    Resize,
    RiskLimit,
    RunStarted,
    SetTradingState,
    StrategyConfig,
    StrategyId,
    Submit,
)
from robotrader.model import Fill as Execution
from tests import builders as make
from tests.fakes import Script, ScriptedSource, scripted

D = Decimal
NO_LIMITS = RiskLimit(profile="none")
NAN = float("nan")
SECOND_STRATEGY = StrategyId("second")


def config(strategy: StrategyId = make.TREND, *, sizer: str = "fixed:100", capital: str = "100000") -> StrategyConfig:
    """Make a strategy on SPY and QQQ."""
    return StrategyConfig(id=strategy, source="scripted", universe=(make.SPY.id, make.QQQ.id), capital=D(capital),
                          sizer=sizer)  # fmt: skip


def started(*configs: StrategyConfig, limits: RiskLimit = NO_LIMITS, run_id: str = "run-1") -> RunStarted:
    """Make the start of a run of these strategies; `trend` alone if none are named."""
    return structs.replace(make.run_started(run_id), strategies=configs or (config(),), limits=limits)


def trader(
    script: Script | Mapping[StrategyId, Script], *configs: StrategyConfig, limits: RiskLimit = NO_LIMITS,
    resize: Resize = Resize.ON_CHANGE, made: list[ScriptedSource] | None = None,
) -> Trader:  # fmt: skip
    """Make a trader that was started: one script for `trend`, or several by strategy id."""
    scripts = script if script and isinstance(next(iter(script)), str) else {make.TREND: script}
    one = Trader(scripted(scripts, resize=resize, made=made))  # type: ignore[arg-type]
    one.handle(started(*configs, limits=limits))
    return one


def orders(commands: Sequence[AnyCommand]) -> list[Order]:
    """Return the orders that are to be sent."""
    return [c.order for c in commands if isinstance(c, Submit)]


def the_order(commands: Sequence[AnyCommand]) -> Order:
    """Return the one order that is to be sent."""
    (one,) = orders(commands)
    return one


def denied(commands: Sequence[AnyCommand]) -> list[Deny]:
    return [c for c in commands if isinstance(c, Deny)]


def cancels(commands: Sequence[AnyCommand]) -> list[str]:
    return [c.order_id for c in commands if isinstance(c, Cancel)]


def states(commands: Sequence[AnyCommand]) -> list[SetTradingState]:
    return [c for c in commands if isinstance(c, SetTradingState)]


def send(to: Trader, order: Order, number: int = 1) -> None:
    """Let the order go out and be accepted."""
    ts = order.ts_event
    to.handle(OrderSending(ts_event=ts, ts_init=ts, order_id=order.id, epoch=1, broker_order_id=number))
    to.handle(OrderAccepted(ts_event=ts, ts_init=ts, order_id=order.id, perm_id=1_000 + number))


def fill(
    to: Trader, order: Order, price: str, *, quantity: int | None = None, exec_id: str = ""
) -> Sequence[AnyCommand]:
    """Let the order fill; whole unless told."""
    return to.handle(execution(order, price, quantity=quantity, exec_id=exec_id))


def execution(order: Order, price: str, *, quantity: int | None = None, exec_id: str = "") -> OrderFilled:
    """Make an execution of an order, a second after its decision."""
    ts = order.ts_event + 1_000_000_000
    booked = Execution(
        exec_id=exec_id or f"x{order.id}", revision=1, order_id=order.id, strategy=order.strategy,
        instrument=order.instrument, side=order.side, quantity=order.quantity if quantity is None else quantity,
        price=D(price), ts_event=ts,
    )  # fmt: skip
    return OrderFilled(ts_event=ts, ts_init=ts, fill=booked)


def buy_and_fill(to: Trader, day: int = 0, price: str = "100.00") -> Order:
    """Let the script's buy order of that day be sent and filled."""
    order = the_order(to.handle(make.bars_closed(day)))
    send(to, order, day + 1)
    fill(to, order, price)
    return order


def ask(
    action: Action, *, n: int = 1, strategy: StrategyId | None = None, instrument: InstrumentId | None = None
) -> RequestReceived:
    """Make an operator's request."""
    return RequestReceived(ts_event=make.T0, ts_init=make.T0, request_id=f"r{n}", action=action, reason="because",
                           actor="me", strategy=strategy, instrument=instrument)  # fmt: skip
