"""A journal in memory for the dashboard's tests: empty, or a plausible paper run; tests change its lists directly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

from robotrader.model import (
    Account,
    Action,
    Bar,
    BarSpec,
    BreakOpened,
    Commission,
    ConditionChanged,
    Fill,
    InstrumentId,
    LinkChanged,
    Order,
    OrderId,
    OrderState,
    RiskCheck,
    RiskLimit,
    RunStarted,
    Side,
    Stage,
    StrategyConfig,
    StrategyId,
    TradingState,
    Venue,
    WorkingOrder,
    stock,
)
from robotrader.ports import (
    AccountRow,
    C,
    ConflictRow,
    DecisionRow,
    DenialRow,
    FillRow,
    MarkRow,
    OrderDetail,
    OrderRow,
    PositionRow,
    RequestRow,
    RunRow,
    TradingStateRow,
)
from robotrader.web.requests import RequestAck

DAY = 86_400_000_000_000
CLOSE = 1_362_171_600_000_000_000  # Friday 2013-03-01 21:00 UTC, a session close
INSTRUMENTS = (
    stock("AAPL", Venue.NASDAQ),
    stock("GOOG", Venue.NASDAQ),
    stock("IBM", Venue.NYSE),
    stock("MSFT", Venue.NASDAQ),
)
PRICES = {"AAPL.NASDAQ": 414.11, "GOOG.NASDAQ": 806.19, "IBM.NYSE": 195.54, "MSFT.NASDAQ": 26.63}
SMA, MOMENTUM = StrategyId("sma_crossover"), StrategyId("momentum_12_1")


class FakeReader:
    """The whole of `JournalReader`, over lists that are newest first."""

    def __init__(self) -> None:
        self.seq = 0
        self.run_row: RunRow | None = None
        self.linked: LinkChanged | None = None
        self.state_rows: list[TradingStateRow] = []
        self.position_rows: list[PositionRow] = []
        self.book_rows: list[MarkRow] = []
        self.marks: list[MarkRow] = []  # oldest first, as equity() gives them
        self.broker: Account | None = None
        self.reported: int | None = None
        self.order_rows: list[OrderRow] = []
        self.fill_rows: list[FillRow] = []
        self.denial_rows: list[DenialRow] = []
        self.decision_rows: list[DecisionRow] = []
        self.request_rows: list[RequestRow] = []
        self.bar_times: dict[InstrumentId, int] = {}
        self.error: Exception | None = None

    def head(self) -> int:
        if self.error is not None:
            raise self.error
        return self.seq

    def run(self) -> RunRow | None:
        return self.run_row

    def trading_state(self) -> Sequence[TradingStateRow]:
        return self.state_rows

    def positions(self) -> Sequence[PositionRow]:
        return self.position_rows

    def books(self) -> Sequence[MarkRow]:
        return self.book_rows

    def account(self) -> AccountRow:
        return AccountRow(mark=self.marks[-1] if self.marks else None, broker=self.broker, reported=self.reported)

    def equity(self, *, since: int = 0, max_points: int = 1_000) -> Sequence[MarkRow]:
        marks = [m for m in self.marks if m.ts >= since]
        step = -(-len(marks) // max_points) or 1
        return marks[::-1][::step][::-1]

    def bars(self, instrument: InstrumentId, *, limit: int = 500) -> Sequence[Bar]:
        ts = self.bar_times.get(instrument)
        price = PRICES[instrument]
        bar = {"open": price, "high": price, "low": price, "close": price, "volume": 1e6}
        return [] if ts is None else [Bar(instrument=instrument, ts_event=ts, spec=BarSpec.DAY, **bar)]

    def link(self) -> LinkChanged | None:
        return self.linked

    def conditions(self) -> Sequence[ConditionChanged]:
        return []

    def breaks(self) -> Sequence[BreakOpened]:
        return []

    def compared(self) -> int:
        return 0

    def last_bar_times(self) -> dict[InstrumentId, int]:
        return dict(self.bar_times)

    def counts(self) -> dict[str, int]:
        return {"orders": len(self.order_rows)}

    def orders(
        self, *, states: Sequence[OrderState] = (), limit: int = 100, after: int | None = None
    ) -> Sequence[OrderRow]:
        rows = [
            o for o in self.order_rows if (not states or o.working.state in states) and (after is None or o.id < after)
        ]
        return rows[:limit]

    def order(self, order_id: OrderId) -> OrderDetail | None:
        rows = [o for o in self.order_rows if o.working.order.id == order_id]
        return OrderDetail(order=rows[0], states=(), fills=(), decisions=()) if rows else None

    def fills(
        self, *, order_id: OrderId | None = None, limit: int = 100, after: int | None = None
    ) -> Sequence[FillRow]:
        return [f for f in self.fill_rows if after is None or f.id < after][:limit]

    def commissions(self, *, limit: int = 100) -> Sequence[Commission]:
        return []

    def decisions(
        self, *, order_id: OrderId | None = None, instrument: InstrumentId | None = None, at: int | None = None,
        limit: int = 100,
    ) -> Sequence[DecisionRow]:  # fmt: skip
        return [d for d in self.decision_rows if order_id is None or d.order_id == order_id][:limit]

    def denials(self, *, limit: int = 100) -> Sequence[DenialRow]:
        return self.denial_rows[:limit]

    def requests(self, *, limit: int = 100) -> Sequence[RequestRow]:
        return self.request_rows[:limit]

    def conflicts(self, *, limit: int = 100) -> Sequence[ConflictRow]:
        return []

    def commands(self, kind: type[C]) -> Sequence[C]:
        return []

    def set_state(self, state: TradingState, reason: str, actor: str = "cli") -> None:
        self.seq += 1
        row = TradingStateRow(
            seq=self.seq, ts=CLOSE, state=state, reason=reason, actor=actor, strategy=None, instrument=None
        )
        self.state_rows = [row]

    def submit(self, action: Action, reason: str, actor: str) -> RequestAck:
        """Stand in for the callable that makes requests durable."""
        row = RequestRow(id=f"req-{len(self.request_rows) + 1}", ts=CLOSE, action=action, reason=reason, actor=actor)
        self.request_rows.insert(0, row)
        return RequestAck(request_id=row.id, action=action, flagged=action is Action.HALT)


def run_started(*, mode: str = "paper", account: str = "DU1234567") -> RunStarted:
    """Make the start of a run with two strategies on four stocks."""
    universe = tuple(i.id for i in INSTRUMENTS)
    configs = tuple(
        StrategyConfig(id=name, source=source, universe=universe, capital=Decimal(500_000), stage=stage)
        for name, source, stage in (
            (SMA, "sma_crossover", Stage.PAPER),
            (MOMENTUM, "strategies/momentum.py:Momentum", Stage.SHADOW),
        )
    )
    return RunStarted(
        ts_event=CLOSE - 1_200 * DAY, ts_init=CLOSE - 1_200 * DAY, run_id="run-7", epoch=3, mode=mode, account=account,
        strategies=configs, instruments=INSTRUMENTS, limits=RiskLimit(profile="paper"), code_version="0.1.0",
    )  # fmt: skip


def order_row(number: int, *, state: OrderState = OrderState.FILLED, unresolved: bool = False, reason: str = "",
              rng: random.Random | None = None) -> OrderRow:  # fmt: skip
    """Make order `number`; the numbers are seeded by it."""
    rng = rng or random.Random(number)  # noqa: S311 - test data
    instrument = INSTRUMENTS[number % 4]
    quantity = rng.choice((100, 100, 200, 500, 1_000))
    filled = {OrderState.FILLED: quantity, OrderState.PARTIALLY_FILLED: quantity // 2}.get(state, 0)
    price = instrument.price(PRICES[instrument.id] * rng.uniform(0.97, 1.01))
    decided = CLOSE - (61 - number) * DAY
    order = Order(
        id=OrderId(f"RT-{rng.randbytes(11).hex().upper()[:21]}"),
        strategy=SMA if number % 3 else MOMENTUM,
        instrument=instrument.id,
        side=Side.BUY if rng.random() < 0.5 else Side.SELL,
        quantity=quantity,
        ts_event=decided,
    )
    return OrderRow(
        id=number,
        working=WorkingOrder(order=order, state=state, filled=filled, unresolved=unresolved, reason=reason),
        average_price=price if filled else None,
        ts=decided + DAY,
    )


def fill_row(row: OrderRow, *, commission: Decimal | None = Decimal("1.000000")) -> FillRow:
    """Make the one execution of a filled order."""
    order = row.working.order
    assert row.average_price is not None
    fill = Fill(
        exec_id=f"0001f4e8.{row.id:08x}.01", revision=1, order_id=order.id, strategy=order.strategy,
        instrument=order.instrument, side=order.side, quantity=row.working.filled, price=row.average_price,
        ts_event=row.ts - DAY // 4,
    )  # fmt: skip
    return FillRow(id=row.id, seq=row.id * 7, ts=row.ts, fill=fill, commission=commission)


def mark(ts: int, equity: Decimal, *, strategy: StrategyId | None = None, seq: int = 1) -> MarkRow:
    """Make a mark whose parts add up."""
    capital = Decimal(500_000 if strategy else 1_000_000)
    unrealized, commission, held = Decimal("4941.000000"), Decimal("142.000000"), Decimal("492626.000000")
    return MarkRow(
        seq=seq, ts=ts, strategy=strategy, cash=equity - held, equity=equity,
        realized_pnl=equity - capital - unrealized + commission, unrealized_pnl=unrealized, commission=commission,
        gross=Decimal("570842.000000"), net=held,
    )  # fmt: skip


def seeded(seed: int = 7) -> FakeReader:
    """Make a plausible run of 1,200 sessions; equal seeds give equal journals."""
    rng = random.Random(seed)  # noqa: S311 - test data
    journal = FakeReader()
    journal.seq = 48_213
    journal.run_row = RunRow(started=run_started(), ended=None, reason=None)
    equity = 1_000_000.0
    for day in range(1_200, -1, -1):
        equity *= 1 + rng.gauss(0.00012, 0.0032)
        ts = CLOSE - day * DAY
        if day % 7 not in {5, 6}:  # CLOSE is a Friday
            journal.marks.append(mark(ts, Decimal(f"{equity:.2f}"), seq=journal.seq - day))
    total = journal.marks[-1].equity
    half = (total * Decimal("0.52")).quantize(Decimal("0.01"))
    journal.book_rows = [mark(CLOSE, half, strategy=SMA), mark(CLOSE, total - half, strategy=MOMENTUM)]
    journal.broker = Account(id="DU1234567", cash=journal.marks[-1].cash, net_liquidation=total)
    journal.reported = CLOSE
    journal.bar_times = {i.id: CLOSE for i in INSTRUMENTS}
    for number, (iid, quantity, average) in enumerate(
        (("AAPL.NASDAQ", 700, "431.871428"), ("GOOG.NASDAQ", 300, "752.14"), ("IBM.NYSE", -200, "201.3350"))
    ):
        journal.position_rows.append(PositionRow(
            strategy=SMA if number != 1 else MOMENTUM, instrument=InstrumentId(iid), quantity=quantity,
            average_price=Decimal(average), realized_pnl=Decimal(rng.randrange(-900_000, 1_900_000)) / 100,
            last_price=PRICES[iid], ts=CLOSE,
        ))  # fmt: skip
    journal.order_rows = [order_row(n) for n in range(60, 0, -1)]
    journal.order_rows[0] = order_row(60, state=OrderState.ACCEPTED)
    journal.order_rows[1] = order_row(59, state=OrderState.PARTIALLY_FILLED)
    journal.order_rows[3] = order_row(57, state=OrderState.REJECTED, reason="201: order rejected, no shares to borrow")
    journal.order_rows[6] = order_row(54, state=OrderState.CANCELED, reason="HALTED: gateway restart")
    journal.fill_rows = [fill_row(row) for row in journal.order_rows if row.working.filled]
    journal.fill_rows[0] = fill_row(journal.order_rows[1], commission=None)
    journal.denial_rows = [denial_row(n) for n in range(3, 0, -1)]
    journal.decision_rows = [decision_row(journal.order_rows[0])]
    return journal


def denial_row(number: int) -> DenialRow:
    """Make a refused order; every third one fails two checks."""
    order = order_row(number, state=OrderState.DENIED).working.order
    checks = [
        {"check": RiskCheck.MAX_ORDER_NOTIONAL.value, "passed": False,
         "numbers": {"notional": "161238.00", "limit": "100000"}, "reason": "the order is worth too much"},
        {"check": RiskCheck.PRICE_COLLAR.value, "passed": number % 3 != 0, "numbers": {}, "reason": "price 6.1 % off"},
    ]  # fmt: skip
    return DenialRow(
        id=number, seq=number * 11, ts_event=CLOSE - (30 - number) * DAY, order_id=order.id, strategy=order.strategy,
        instrument=order.instrument, side=order.side, quantity=order.quantity, limits="paper",
        reasons=tuple(str(c["check"]) for c in checks if not c["passed"]), checks=tuple(checks),
    )  # fmt: skip


def decision_row(row: OrderRow) -> DecisionRow:
    """Make the decision that led to an order."""
    order = row.working.order
    return DecisionRow(
        id=row.id, seq=row.id * 5, ts_event=order.ts_event, strategy=order.strategy, instrument=order.instrument,
        outcome="submit", reason="", order_id=order.id, strength=1.0, target=order.quantity, position=0, working=0,
        detail={"decision": {"inputs": {"close": "414.11"}}, "checks": [{"check": "price_grid", "passed": True}]},
    )  # fmt: skip
