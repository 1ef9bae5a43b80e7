"""What the gate may know of one order: gathered here, and nowhere else."""

from decimal import Decimal

from robotrader.engine.control import Control
from robotrader.engine.exposures import Exposed
from robotrader.engine.guards import Guards
from robotrader.engine.limits import LimitBook
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.valuation import Valuation
from robotrader.model import (
    Account,
    AccountReported,
    BorrowReported,
    Event,
    HaltReported,
    InstrumentId,
    LinkChanged,
    LinkState,
    MarginPreviewed,
    MarketDataReported,
    MarketDataType,
    Order,
    OrderId,
    RiskLimit,
    RunStarted,
    SessionTable,
    Stage,
    StrategyId,
    TradingState,
)
from robotrader.risk.checks.amounts import unit_value
from robotrader.risk.facts import (
    Authority,
    Borrow,
    Budget,
    Conduct,
    Facts,
    Losses,
    Margin,
    Market,
    Session,
    Standing,
    is_exit,
)
from robotrader.risk.rates import RateWindow

_OTHERS = ("max_gross_ratio", "max_net_ratio", "max_leverage", "max_group_ratio", "max_budget_ratio",
           "max_strategies_gross_ratio")  # fmt: skip
_ASKING = {
    "others": _OTHERS,
    "equity": (*_OTHERS, "max_position_equity_ratio", "max_order_equity_ratio", "what_if_equity_ratio",
               "min_excess_liquidity_ratio"),
    "conduct": ("max_repeated_fills", "max_open_orders", "max_open_orders_instrument", "self_trade_guard",
                "order_efficiency_warning", "max_order_efficiency"),
    "market": ("luld_bands", "entry_cutoff_s", "short_price_test", "quote_max_age_s", "live_data_required",
               "max_clock_skew_s"),
}  # fmt: skip
"""Which limits ask for facts that cost something to gather."""


_NO_CONDUCT, _NO_MARKET = Conduct(), Market()
_NO_HALT = HaltReported(ts_event=0, ts_init=0, instrument=InstrumentId(""), halted=False)
"""No word of a halt is none; no word of a limit state is no word."""


class Briefing:
    """Everything the core knows, as the facts of one order; `told` by the broker is kept here."""

    def __init__(
        self, orders: WorkingOrders, values: Valuation, control: Control, guards: Guards, *, market: MarketFacts,
        exposed: Exposed, limits: LimitBook,
    ) -> None:  # fmt: skip
        self.rates = RateWindow()
        self._orders = orders
        self._values = values
        self._control = control
        self._guards = guards
        self._market = market
        self._exposed = exposed
        self._sessions: SessionTable | None = None
        self._limits = limits
        self._mode = ""
        self.stages: dict[StrategyId, Stage] = {}
        self._event: Event | None = None
        self._equity = Decimal(0)
        self._asked_by: RiskLimit | None = None
        self._asked: set[str] = set()
        self._account: Account | None = None
        self._link: LinkChanged | None = None
        self._borrow: dict[InstrumentId, BorrowReported] = {}
        self._borrow_rate: float | None = None
        self._halts: dict[InstrumentId, HaltReported] = {}
        self._live: dict[InstrumentId, bool] = {}
        self._previews: dict[OrderId, MarginPreviewed] = {}

    def configure(self, event: RunStarted) -> None:
        """Take over a run's mode and strategies; its link is a new one, and what was well must be told anew."""
        self._mode, self._link, self._sessions = event.mode, None, event.sessions
        self._borrow_rate = event.borrow_rate
        self._live.clear()
        self._halts = {iid: told for iid, told in self._halts.items() if told.halted or told.limit_state}
        self.stages = {config.id: config.stage for config in event.strategies}

    def hear(self, event: Event) -> None:
        """Take in what the broker says of the account or an instrument."""
        match event:
            case LinkChanged():
                self._link = event
            case AccountReported(account=account):
                self._account = account
            case BorrowReported(instrument=iid):
                self._borrow[iid] = event
            case HaltReported(instrument=iid):
                self._halts[iid] = event
            case MarketDataReported(instrument=iid, data_type=kind):
                self._live[iid] = kind is MarketDataType.LIVE
            case MarginPreviewed(order_id=order_id):
                self._previews = {order_id: event}  # it is judged at once, and then worth nothing
            case _:
                pass

    def facts(
        self, order: Order, event: Event, *, entry: Order | None = None, ahead: int = 0, known: bool, shrinks: bool,
        changes: bool,
    ) -> Facts:  # fmt: skip
        """Return all that is known for one order after `ahead` others that go with it; a limit that is off needs none.

        `changes`: it is a change of an order that was decided before.
        """
        iid, now = order.instrument, event.ts_init
        state, reason = self._control.states.effective(order.strategy, iid)
        if (blocked := self._orders.unresolved(iid)) is not None:
            state, reason = TradingState.HALTED, f"outcome of order {blocked.order.id} is unknown"
        self._look(event)
        exposures, budget = self._exposed.of(order) if self._asks("others") else (None, Budget())
        return Facts(
            snapshot=self._values.snapshot(order, now, self._limits.limits, entry=entry, equity=self._equity),
            rates=self.rates.counts(order, now, ahead=ahead),
            known_intent=known,
            same_terms_age_ns=None if changes else self.rates.same_terms_age(order, now),
            shrinks=shrinks,
            state=state,
            state_reason=reason,
            conduct=self._conduct(order, now) if self._asks("conduct") else _NO_CONDUCT,
            market=self._quoted(iid, now) if self._asks("market") else _NO_MARKET,
            session=self._session(now),
            borrow=self._borrowed(iid, now),
            margin=self._margin(order),
            exposures=exposures,
            budget=budget,
            losses=self._losses(),
            standing=self._standing(),
            # no strategy has a model yet, and none is started by a user's role: there is nothing that could be amiss
            authority=Authority(mode=self._mode, stage=self.stages.get(order.strategy), model_signed=True,
                                role_allowed=True),
        )  # fmt: skip

    def is_active(self, order: Order) -> bool:
        """Tell whether nothing restricts an order's strategy or instrument."""
        state, _ = self._control.states.effective(order.strategy, order.instrument)
        return state is TradingState.ACTIVE and self._orders.unresolved(order.instrument) is None

    def needs_preview(self, order: Order, event: Event) -> bool:
        """Tell whether the broker must say first what an order leaves of the excess liquidity; a backtest has none."""
        ratio = self._limits.limits.what_if_equity_ratio
        if ratio is None or order.id in self._previews or self._mode == "backtest":
            return False
        self._look(event)
        snapshot = self._values.snapshot(order, event.ts_init, self._limits.limits, equity=self._equity)
        each = unit_value(order, snapshot)
        return not is_exit(order, snapshot) and each is not None and each * order.quantity > self._equity * ratio

    def _look(self, event: Event) -> None:
        if event is not self._event:
            self._event = event
            self._renew()

    def _renew(self) -> None:
        """Value the books and what is open once an event, and only for limits that ask for it."""
        self.rates.remember(self._limits.limits.duplicate_window_s)
        self._equity = self._values.equity() if self._asks("equity") else Decimal(0)
        if self._asks("others"):
            self._exposed.renew(self._limits.limits.groups or {})

    def _asks(self, what: str) -> bool:
        """Tell whether a limit in force asks for these facts."""
        limits = self._limits.limits
        if limits is not self._asked_by:
            self._asked_by = limits
            self._asked = {
                name for name, fields in _ASKING.items() if any(getattr(limits, f) is not None for f in fields)
            }
        return what in self._asked

    def _conduct(self, order: Order, now: int) -> Conduct:
        traffic, same = self._guards.traffic(now), [w.order for w in self._orders.of(order.instrument)]
        return Conduct(
            recent_fills=self._guards.recent_fills(order.strategy, order.instrument, order.side, now),
            open_orders=len(self._orders.open_ids), instrument_open_orders=sum(not o.purpose.protective for o in same),
            submitted=traffic.submitted, revised=traffic.revised, canceled=traffic.canceled, executed=traffic.executed,
            opposite=tuple(o for o in same if o.side is not order.side),
        )  # fmt: skip

    def _quoted(self, iid: InstrumentId, now: int) -> Market:
        told = self._halts.get(iid, _NO_HALT)
        return self._market.quoted(
            iid, self._traded_until(now), halted=told.halted, limit_state=told.limit_state, live=self._live.get(iid),
            clock_skew_s=None if self._link is None else self._link.skew_s,
        )  # fmt: skip

    def _traded_until(self, now: int) -> int:
        """Return now, or while the market is closed when it closed: until it opens again no quote gets older."""
        sessions = self._sessions
        last = None if sessions is None or sessions.is_open(now) else sessions.last_closed(now)
        return now if sessions is None or last is None else sessions.closes[last]

    def _session(self, now: int) -> Session:
        """Return the session that an order of now executes in: the one that is open, else the next."""
        found = self._sessions.next_session(now) if self._sessions is not None else None
        return Session() if found is None else Session(executes=max(now, found[0]), opens=found[0], closes=found[1])

    def _borrowed(self, iid: InstrumentId, now: int) -> Borrow:
        told, rate = self._borrow.get(iid), self._borrow_rate
        if told is None:
            return Borrow(fee_rate=rate)
        return Borrow(level=told.level, shares=told.shares, fee_rate=rate, age_ns=now - told.ts_init)

    def _margin(self, order: Order) -> Margin:
        account, preview, done = self._account, self._previews.get(order.id), self._guards.day_trades(order.ts_event)
        after = None
        if preview is not None and preview.equity_after is not None and preview.maintenance_after is not None:
            after = preview.equity_after - preview.maintenance_after
        if account is None:
            return Margin(excess_after=after, day_trades=done)
        return Margin(net_liquidation=account.net_liquidation, excess_liquidity=account.excess_liquidity,
                      excess_after=after, day_trades=done)  # fmt: skip

    def _losses(self) -> Losses:
        watch = self._guards.account
        return Losses(equity=watch.equity, day_start=watch.day_start, peak=watch.peak) if watch.marked else Losses()

    def _standing(self) -> Standing:
        """Return what the link says; without one nothing is known of it.

        A run holds the writer's lease: one that lost it cannot commit what it decided, and T2 asks for it again.
        """
        link, lease = self._link, bool(self._mode)
        if link is None:
            return Standing(lease_held=lease)
        reconciled = link.state is not LinkState.SYNCING and not self._control.breaks
        return Standing(connected=link.open, heartbeat_fresh=link.open, reconciled=reconciled,
                        outside_reset=link.state is not LinkState.RESET_WINDOW, lease_held=lease)  # fmt: skip
