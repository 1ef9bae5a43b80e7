"""Small, valid values for tests: each function makes one, arguments override what a test is about."""

import hashlib
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np
from msgspec import structs

from robotrader.data.panel import Panel
from robotrader.engine.trader import Trader
from robotrader.model import (
    Approved,
    Bar,
    BarsClosed,
    BarSpec,
    BookMark,
    CheckResult,
    Commission,
    CommissionReported,
    CorporateAction,
    CorporateActionDue,
    CorporateActionKind,
    Decision,
    Denied,
    Deny,
    Fill,
    Hold,
    Instrument,
    InstrumentId,
    LinkChanged,
    LinkState,
    Order,
    OrderAccepted,
    OrderFilled,
    OrderId,
    OrderState,
    PortfolioMarked,
    Purpose,
    Replace,
    RiskCheck,
    RiskLimit,
    RunStarted,
    SessionTable,
    Side,
    Signal,
    StrategyConfig,
    StrategyId,
    Submit,
    Target,
    Venue,
    WorkingOrder,
    derive_order_id,
    stock,
)

DAY = 86_400_000_000_000
SESSION = 23_400_000_000_000  # 6.5 hours
T0 = 1_704_229_200_000_000_000  # 2024-01-02 21:00 UTC, a session close
SESSIONS = SessionTable(
    dates=tuple(f"day {k}" for k in range(-5, 60)), opens=tuple(T0 + k * DAY - SESSION for k in range(-5, 60)),
    closes=tuple(T0 + k * DAY for k in range(-5, 60)),
)  # fmt: skip
"""A session every day of the week, closing at T0 and the same time on other days."""
SPY = stock("SPY", Venue.ARCA)
QQQ = stock("QQQ", Venue.NASDAQ)
TREND = StrategyId("trend")


def link(state: LinkState, reason: str = "as told", *, sync: int = 1, ts: int = T0) -> LinkChanged:
    """Make a change of the link; it is open in the states in which it can be."""
    is_open = state in {LinkState.READY, LinkState.DEGRADED, LinkState.RESET_WINDOW}
    return LinkChanged(ts_event=ts, ts_init=ts, state=state, open=is_open, reason=reason, sync=sync)


def digest(trader: Trader) -> str:
    """Return a hash of orders, books and trading states: equal states have equal hashes."""
    books = [(b.strategy, b.cash, b.commission, b.positions()) for b in trader.ledger.books]
    state = (list(trader.orders), books, trader.states.entries())
    return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()


def bars_closed(day: int = 0, *closes: float, warmup: bool = False, ts_init: int | None = None) -> BarsClosed:
    """Make the cross-section of a day: SPY, then QQQ."""
    ts = T0 + day * DAY
    bars = tuple(
        Bar(instrument=instrument.id, ts_event=ts, open=close, high=close + 1, low=close - 1, close=close, volume=1e6,
            spec=BarSpec.DAY)
        for instrument, close in zip((SPY, QQQ), closes or (100.0, 50.0), strict=False)
    )  # fmt: skip
    return BarsClosed(ts_event=ts, ts_init=ts if ts_init is None else ts_init, bars=bars, warmup=warmup)


def order(
    day: int = 0, *, side: Side = Side.BUY, quantity: int = 100, instrument: InstrumentId = SPY.id, n: int = 0
) -> Order:
    """Make a market order decided at the close of a day."""
    ts = T0 + day * DAY
    return Order(
        id=derive_order_id(strategy=TREND, version="1", ts_event=ts, instrument=instrument, purpose=Purpose.TARGET,
                           n=n),
        strategy=TREND, instrument=instrument, side=side, quantity=quantity, ts_event=ts,
    )  # fmt: skip


def decision(for_order: Order, *, strength: float = 1.0) -> Decision:
    """Make the decision that an order follows from."""
    key = {"strategy": for_order.strategy, "instrument": for_order.instrument, "ts_event": for_order.ts_event}
    return Decision(
        signal=Signal(**key, strength=strength),  # type: ignore[arg-type]
        target=Target(**key, quantity=for_order.quantity, sizing={"sizer": "fixed:100"}),  # type: ignore[arg-type]
        position=0, working=0, inputs={"close": "100.00"},
    )  # fmt: skip


def submit(for_order: Order | None = None, *, strength: float = 1.0) -> Submit:
    """Make the command that sends an order."""
    wanted = for_order or order()
    checks = (CheckResult(check=RiskCheck.PRICE_GRID, passed=True, numbers={"price": "100.00"}),)
    return Submit(
        ts_event=wanted.ts_event, order=wanted, verdict=Approved(checks=checks, limits="paper"),
        decision=decision(wanted, strength=strength), reserved=wanted.quantity,
    )  # fmt: skip


def replace(new_terms: Order | None = None) -> Replace:
    """Make the command that changes an order."""
    wanted = new_terms or order(quantity=60)
    return Replace(ts_event=wanted.ts_event, order=wanted, verdict=submit(wanted).verdict, reason="sized")


def deny(for_order: Order | None = None) -> Deny:
    """Make the command that refuses an order for two reasons."""
    wanted = for_order or order()
    checks = (
        CheckResult(check=RiskCheck.MAX_ORDER_QUANTITY, passed=False, numbers={"limit": "10"}, reason="too many"),
        CheckResult(check=RiskCheck.PRICE_GRID, passed=True),
        CheckResult(check=RiskCheck.ALLOW_LIST, passed=False, reason="not listed"),
    )
    return Deny(
        ts_event=wanted.ts_event, order=wanted, verdict=Denied(checks=checks, limits="paper"),
        decision=decision(wanted),
    )  # fmt: skip


def hold(for_order: Order | None = None, *, strength: float = 1.0) -> Hold:
    """Make a decision that needs no order."""
    wanted = for_order or order()
    return Hold(ts_event=wanted.ts_event, decision=decision(wanted, strength=strength), reason="already there")


def working(for_order: Order | None = None, state: OrderState = OrderState.AUTHORIZED, *, filled: int = 0,
            unresolved: bool = False) -> WorkingOrder:  # fmt: skip
    """Make an order with its state."""
    return WorkingOrder(order=for_order or order(), state=state, filled=filled, unresolved=unresolved)


def accepted(order_id: OrderId, *, perm_id: int = 7, ts: int = T0 + 1) -> OrderAccepted:
    """Make the broker's acknowledgement."""
    return OrderAccepted(ts_event=ts, ts_init=ts, order_id=order_id, perm_id=perm_id)


def filled(
    of: Order, *, exec_id: str = "0001", revision: int = 1, quantity: int | None = None, price: str = "100.50",
    ts: int = T0 + 2,
) -> OrderFilled:  # fmt: skip
    """Make one execution of an order, whole unless told."""
    fill = Fill(
        exec_id=exec_id, revision=revision, order_id=of.id, strategy=of.strategy, instrument=of.instrument,
        side=of.side, quantity=of.quantity if quantity is None else quantity, price=Decimal(price), ts_event=ts,
    )  # fmt: skip
    return OrderFilled(ts_event=ts, ts_init=ts, fill=fill)


def commission(
    exec_id: str = "0001", amount: str = "1.000000", *, revision: int = 1, ts: int = T0 + 3
) -> CommissionReported:
    """Make the cost of an execution."""
    cost = Commission(exec_id=exec_id, revision=revision, amount=Decimal(amount))
    return CommissionReported(ts_event=ts, ts_init=ts, commission=cost)


def split(new: int = 2, old: int = 1, *, day: int = 1, symbol: str = "SPY", known: int = 0) -> CorporateAction:
    """Make a split before the open of a day; known `known` ns after T0 at the latest."""
    midnight = T0 + day * DAY - 16 * 3_600 * 1_000_000_000
    return CorporateAction(
        symbol=symbol, kind=CorporateActionKind.SPLIT, last_cum_day=f"day {day - 1}", ex_date=f"day {day}",
        ex_at=midnight, known_at=T0 + known, source="test", new=new, old=old,
    )  # fmt: skip


def dividend(cash: str, *, day: int = 1, symbol: str = "SPY") -> CorporateAction:
    """Make a dividend of so much a unit before the open of a day."""
    return structs.replace(split(day=day, symbol=symbol), kind=CorporateActionKind.DIVIDEND, new=1, cash=Decimal(cash))


def due(action: CorporateAction, instrument: InstrumentId = SPY.id) -> CorporateActionDue:
    """Make an action take effect at its ex date."""
    return CorporateActionDue(ts_event=action.ex_at, ts_init=action.ex_at, action=action, instrument=instrument)


def marked(day: int = 0, *, equity: str = "100000.000000", cash: str = "100000.000000") -> PortfolioMarked:
    """Make a mark of one book."""
    zero = Decimal("0.000000")
    book = BookMark(strategy=TREND, cash=Decimal(cash), equity=Decimal(equity), realized_pnl=zero,
                    unrealized_pnl=zero, commission=zero)  # fmt: skip
    return PortfolioMarked(
        ts_event=T0 + day * DAY, cash=book.cash, equity=book.equity, realized_pnl=zero, unrealized_pnl=zero,
        commission=zero, gross=zero, net=zero, books=(book,),
    )  # fmt: skip


def run_started(run_id: str = "run-1", *, epoch: int = 1, ts: int = T0, capital: str = "100000") -> RunStarted:
    """Make the start of a run: one strategy on SPY and QQQ, no limits."""
    config = StrategyConfig(id=TREND, source="trend", universe=(SPY.id, QQQ.id), capital=Decimal(capital))
    return RunStarted(
        ts_event=ts, ts_init=ts, run_id=run_id, epoch=epoch, mode="paper", account="DU1", strategies=(config,),
        instruments=(SPY, QQQ), limits=RiskLimit(profile="none"), code_version="test",
    )  # fmt: skip


def daily_panel(
    close: Sequence[Sequence[float]], *, opened: Sequence[Sequence[float]] | None = None,
    volume: Sequence[Sequence[float]] | None = None, instruments: tuple[Instrument, ...] = (SPY, QQQ),
) -> Panel:  # fmt: skip
    """Make a panel of daily bars from day 0 on: a row a day, a column per instrument, NaN for no bar.

    Bars open at their close and have volume unless told; high and low lie one above and below both.
    """
    closes = np.array(close, dtype=np.float64).reshape(len(close), len(close[0]) if close else len(instruments))
    opens = closes if opened is None else np.array(opened, dtype=np.float64).reshape(closes.shape)
    traded = np.where(np.isnan(closes), np.nan, 1e6)
    if volume is not None:
        traded = np.array(volume, dtype=np.float64).reshape(closes.shape)
    ts = T0 + DAY * np.arange(len(closes), dtype=np.int64)
    return Panel(
        instruments=instruments[: closes.shape[1]], spec=BarSpec.DAY, opened=ts - SESSION, ts=ts, open=opens,
        high=np.maximum(opens, closes) + 1, low=np.minimum(opens, closes) - 1, close=closes, volume=traded,
    )  # fmt: skip
