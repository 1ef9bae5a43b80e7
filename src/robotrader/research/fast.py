"""The fast path: vectorized strategies on the compiled kernel, fill by fill what the event engine does.

It accelerates `research.backtest` and is no second truth: what it does not support it refuses (`Unsupported`), and what
it found becomes a `BacktestResult` through the ledger that also trades live.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from robotrader.data.panel import VALUES, Floats, Panel, Times
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.engine.valuation import Valuation
from robotrader.model import (
    MONEY,
    CheckResult,
    Commission,
    CorporateAction,
    Denied,
    Deny,
    Fill,
    Instrument,
    InvariantViolation,
    Order,
    PortfolioMarked,
    Purpose,
    RiskCheck,
    RiskLimit,
    Side,
    StrategyConfig,
    derive_order_id,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.research import kernel
from robotrader.research import kernel_layout as layout
from robotrader.research.backtest import BacktestResult, check_universe
from robotrader.research.borrowing import nights_of
from robotrader.research.kernel_layout import Run
from robotrader.research.kernel_linked import simulate_linked
from robotrader.research.kernel_orders import linked_orders
from robotrader.research.kernel_setup import Friction, Rules, Unsupported, check_supported, rules_of
from robotrader.research.signals import signals_of
from robotrader.strategy.loading import load_strategy

_REFUSED = {
    layout.TIE: "a rounding lies too near a tie for float64",
    layout.HUGE: "an amount is too large for int64",
    layout.UNSEEN: "a strategy has a view on an instrument before its first bar",
    layout.NOT_POSITIVE: "a price is not positive",
    layout.CROSSED: "a change of an order crosses its end",
    layout.PARTIAL: "with stops, targets or time exits, an order fills in part",
}
_CHECKS = (
    RiskCheck.MAX_ORDER_QUANTITY, RiskCheck.MAX_ORDER_NOTIONAL, RiskCheck.PRICE_COLLAR, RiskCheck.FAT_FINGER,
    RiskCheck.PRICE_GRID, RiskCheck.DUPLICATE_INTENT, RiskCheck.ALLOW_LIST, RiskCheck.MESSAGE_RATE,
    RiskCheck.POSITION_LIMIT, RiskCheck.TRADING_STATE,
)  # fmt: skip
"""The checks that the kernel knows, by its bits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FastRun:
    """A run of the kernel, as arrays: objects are made by `result`, when somebody wants them.

    Attributes
    ----------
    versions : tuple of str
        Of the strategies, in their order.
    equity : float64, shape (n_bars,)
        At each row's end.
    """

    configs: tuple[StrategyConfig, ...]
    versions: tuple[str, ...]
    panel: Panel
    limits: RiskLimit
    run: Run
    equity: Floats
    started: float

    def result(self) -> BacktestResult:
        """Return orders, fills and books as the event engine has them.

        Raises
        ------
        InvariantViolation
            The ledger does not arrive at the kernel's cash: a bug.
        """
        orders = list(self._orders())
        fills, commissions = self._executions(orders)
        told = self.run.orders[: len(orders), layout.O_DENIED].tolist()
        decided = list(zip(orders, told, strict=True))
        if len(self.run.links):
            sent = np.argsort(self.run.links[: len(orders), layout.L_SENT], kind="stable")
            decided = [decided[n] for n in sent.tolist()]
        return BacktestResult(
            orders=tuple(order for order, bits in decided if not bits), fills=tuple(fills),
            commissions=tuple(commissions), denied=tuple(self._deny(order, bits) for order, bits in decided if bits),
            final=self._final(fills, commissions), equity=self.equity,
            slippage_cost=_money(self.run.totals[layout.SLIPPAGE]),
            borrow_cost=_money(self.run.totals[layout.BORROWED]), seconds=time.perf_counter() - self.started,
            limits=self.limits.profile, engine="fast",
        )  # fmt: skip

    def _orders(self) -> Iterator[Order]:
        """Yield the orders as they were decided."""
        orders = self.run.orders[: self.run.totals[layout.ORDERS]]
        slots = [(self.configs[owner].id, self.panel.ids[column], self.versions[owner])
                 for column, owner in self.run.slots[[layout.S_COLUMN, layout.S_OWNER]].T.tolist()]  # fmt: skip
        fields = orders[:, [layout.O_SLOT, layout.O_SIZE]].tolist()
        if len(self.run.links):
            yield from linked_orders(self.run, slots, {i.id: i.tick for i in self.panel.instruments})
            return
        for ts, (slot, size) in zip(self.panel.ts[orders[:, layout.O_ROW]].tolist(), fields, strict=True):
            strategy, iid, version = slots[slot]
            key = derive_order_id(strategy=strategy, version=version, ts_event=ts, instrument=iid,
                                  purpose=Purpose.TARGET, n=0)  # fmt: skip
            side = Side.BUY if size > 0 else Side.SELL
            yield Order(id=key, strategy=strategy, instrument=iid, side=side, quantity=abs(size), ts_event=ts)

    def _deny(self, order: Order, bits: int) -> Deny:
        failed = tuple(CheckResult(check=check, passed=False) for n, check in enumerate(_CHECKS) if bits >> n & 1)
        verdict = Denied(checks=failed, limits=self.limits.profile)
        return Deny(ts_event=order.ts_event, order=order, verdict=verdict, decision=None)

    def _executions(self, orders: Sequence[Order]) -> tuple[list[Fill], list[Commission]]:
        """Return fills and their commissions, in the order of execution."""
        ticks = {i.id: i.tick for i in self.panel.instruments}
        fills, commissions = [], []
        rows = self.run.fills[: self.run.totals[layout.FILLS]].tolist()
        for n, (at, _, quantity, price, ts, paid) in enumerate(rows, start=1):
            order, exec_id = orders[at], f"{n:08x}"
            fills.append(Fill(exec_id=exec_id, revision=1, order_id=order.id, strategy=order.strategy,
                              instrument=order.instrument, side=order.side, quantity=quantity,
                              price=price * ticks[order.instrument], ts_event=ts))  # fmt: skip
            commissions.append(Commission(exec_id=exec_id, revision=1, amount=_money(paid)))
        return fills, commissions

    def _final(self, fills: Sequence[Fill], commissions: Sequence[Commission]) -> PortfolioMarked:
        """Book everything once more, in the one ledger, and mark it at the last closes."""
        ledger, market = Ledger({i.id: i for i in self.panel.instruments}), MarketFacts()
        for config in self.configs:
            ledger.open_book(config.id, config.capital)
        for fill, commission in zip(fills, commissions, strict=True):
            ledger.apply(fill)
            ledger.charge(commission)
        for column, owner, fees in self.run.slots[[layout.S_COLUMN, layout.S_OWNER, layout.S_FEES]].T.tolist():
            if fees:
                ledger.book(self.configs[owner].id).earn(self.panel.ids[column], -_money(fees))
        market.define(self.panel.instruments)
        rows = np.where(np.isnan(self.panel.close), -1, np.arange(len(self.panel))[:, None]).max(axis=0, initial=-1)
        for row in sorted(set(rows.tolist()) - {-1}):
            market.update(self.panel.cross_section(row)[2])
        final = Valuation(ledger, market, WorkingOrders()).mark(int(self.panel.ts[-1]) if len(self.panel) else 0)
        found = _money(self.run.owners[layout.W_CASH].sum())
        if final.cash != found:
            raise InvariantViolation(f"the kernel's cash is {found}, the ledger's {final.cash}: this is a bug")
        return final


def _money(quanta: int) -> Decimal:
    return int(quanta) * MONEY


def run_fast(
    configs: Sequence[StrategyConfig],
    panel: Panel,
    friction: Friction,
    *,
    limits: RiskLimit,
    actions: Sequence[CorporateAction] = (),
) -> FastRun:
    """Run strategies over a panel on the compiled kernel.

    Raises
    ------
    Unsupported
        Something here needs the event engine: the message says what.
    DataError, ConfigError, StrategyError
        As `run_backtest`.
    """
    started = time.perf_counter()
    check_universe(configs, panel)
    check_supported(configs, panel, limits, actions=actions)
    manifests = [load_strategy(config.source, config.parameters).manifest for config in configs]
    rules = rules_of(configs, panel, friction, limits, resize=[m.resize for m in manifests])
    rows = [signals_of(config, panel)(config.parameters) for config in configs]
    every = np.concatenate(rows, axis=1) if len(rows) > 1 else rows[0]
    run = play(panel, rules, every)
    return FastRun(
        configs=tuple(configs), versions=tuple(m.version for m in manifests), panel=panel, limits=limits, run=run,
        equity=equity_of(run, np.arange(len(panel)), panel.instruments), started=started,
    )  # fmt: skip


def play(panel: Panel, rules: Rules, rows: Floats) -> Run:
    """Run the kernel over strengths, shape (n_bars, n_slots), with as much room as the orders turn out to need."""
    *bars, rows = (_as_compiled(part) for part in (*(getattr(panel, name) for name in ("opened", "ts", *VALUES)), rows))
    every = rules.owners[layout.W_RESIZE, rules.slots[layout.S_OWNER]]
    wakes = np.arange(len(rows)) if every.any() else _differing(rows)
    count, targets = kernel.changes(rows, every, np.full(len(every), np.nan), wakes)
    linked = bool(rules.owners[[layout.W_STOP, layout.W_TARGET, layout.W_AGE]].any())
    nights = (
        nights_of(panel) if rules.terms[layout.T_BORROW] and (linked or np.any(rows < 0)) else np.zeros(0, np.int64)
    )
    room = 2 * targets + 64
    while True:
        state = [table.copy() for table in (rules.slots, rules.columns, rules.owners)]
        orders, fills = (np.empty((room, len(f)), dtype=np.int64) for f in (layout.ORDER_FIELDS, layout.FILL_FIELDS))
        totals = np.zeros(len(layout.TOTAL_FIELDS), dtype=np.int64)
        desk = _desk(room + 4 * len(every)) if linked else _NO_DESK
        run = Run._make((*bars, rows, *state, orders, fills, totals, *rules[3:], nights, np.zeros_like(nights), *desk))
        status = simulate_linked(run, wakes[:count]) if linked else kernel.simulate(run, wakes[:count])
        if status in _REFUSED:
            raise Unsupported(_REFUSED[status])
        if status == layout.GOOD:
            return run
        room *= 4


def _desk(room: int) -> list[Times]:
    """Return the tables of a run with exits, for so many orders."""
    return [np.empty((room, len(f)), dtype=np.int64)
            for f in (layout.LINK_FIELDS, layout.NEWS_FIELDS, layout.WORK_FIELDS)]  # fmt: skip


_NO_DESK = _desk(0)


def _as_compiled(array: Floats) -> Floats:
    """Return the array as the one type that the kernel is compiled for: contiguous, not writable."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _differing(rows: Floats) -> Times:
    """Return the rows that are not as the one before; NaN is not as itself."""
    different = rows[1:] != rows[:-1]
    different = different.ravel() if rows.shape[1] == 1 else different.any(axis=1)
    return np.concatenate((np.arange(min(len(rows), 1)), np.flatnonzero(different) + 1))


def equity_of(run: Run, rows: Times, instruments: Sequence[Instrument]) -> Floats:
    """Return the equity at the end of these rows, ascending."""
    out = np.empty(len(rows))
    held = np.array([(0.0, float(i.multiplier)) for i in instruments]).reshape(-1, 2).T
    kernel.equity_at(run, rows, np.ascontiguousarray(held), out)
    return out
