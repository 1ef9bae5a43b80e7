"""nautilus_trader: market orders over bars; they fill at this close or, with a latency, at the next one."""

from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine  # type: ignore[import-not-found]
from nautilus_trader.backtest.models import LatencyModel  # type: ignore[import-not-found]
from nautilus_trader.config import (  # type: ignore[import-not-found]
    BacktestEngineConfig,
    LoggingConfig,
    RiskEngineConfig,
)
from nautilus_trader.indicators import SimpleMovingAverage  # type: ignore[import-not-found]
from nautilus_trader.model import (  # type: ignore[import-not-found]
    Bar,
    BarType,
    Currency,
    InstrumentId,
    Money,
    Price,
    Quantity,
    Venue,
)
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide  # type: ignore[import-not-found]
from nautilus_trader.model.instruments import Equity  # type: ignore[import-not-found]
from nautilus_trader.trading.strategy import Strategy, StrategyConfig  # type: ignore[import-not-found]

from tests.differential.engines.drivers.exchange import VALUES, Fills, Floats, Job, serve

VENUE, USD = Venue("SIM"), Currency.from_str("USD")


class Wanted(Strategy):  # type: ignore[misc]
    """Order what is wanted at the end of each row, on top of what was ordered before (`units`)."""

    def __init__(self, job: Job, types: list[BarType]) -> None:
        super().__init__(StrategyConfig(strategy_id="W-1"))
        self.job, self.types, self.seen = job, types, 0
        self.column = {one.instrument_id: k for k, one in enumerate(types)}
        self.units, self.fills = np.zeros(len(types)), Fills()
        self.averages, self.crossed = [SimpleMovingAverage(n) for n in job.averages or ()], np.nan

    def on_start(self) -> None:
        for one in self.types:
            self.subscribe_bars(one)
            for average in self.averages:
                self.register_indicator_for_bars(one, average)

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        row, others = divmod(self.seen, len(self.types))
        if others:
            return
        want = self.wanted(row - 1)
        for k in np.flatnonzero(~np.isnan(want) & (want != self.units)):
            change, self.units[k] = int(want[k] - self.units[k]), want[k]
            side, units = OrderSide.BUY if change > 0 else OrderSide.SELL, Quantity.from_int(abs(change))
            self.submit_order(self.order_factory.market(self.types[k].instrument_id, side, units))

    def wanted(self, row: int) -> Floats:
        if self.averages:
            if self.averages[1].initialized:
                self.crossed = self.job.units if self.averages[0].value > self.averages[1].value else 0.0
            return np.array([self.crossed])
        want: Floats = self.job.wants[row]
        return np.floor(want * self.equity(row) / self.job.close[row]) if self.job.shares else want

    def on_order_filled(self, event: Any) -> None:
        units = round(event.last_qty.as_double()) * (1 if event.order_side == OrderSide.BUY else -1)
        row = int(np.searchsorted(self.job.ts, event.ts_event))
        self.fills.append((row, self.column[event.instrument_id], units, event.last_px.as_double()))

    def equity(self, row: int) -> float:
        """Return what the account holds and its open positions would give."""
        open_profit = sum(one.signed_qty * (self.job.close[row, self.column[one.instrument_id]] - one.avg_px_open)
                          for one in self.cache.positions_open())  # fmt: skip
        return float(self.portfolio.account(VENUE).balance_total(USD).as_double() + open_profit)


def play(job: Job) -> tuple[Fills, float]:
    """Run one job."""
    quiet = {"logging": LoggingConfig(bypass_logging=True), "risk_engine": RiskEngineConfig(bypass=True)}
    engine = BacktestEngine(BacktestEngineConfig(trader_id="T-1", run_analysis=False, **quiet))
    latency = LatencyModel(base_latency_nanos=1) if job.fill == "next_close" else None
    engine.add_venue(venue=VENUE, oms_type=OmsType.NETTING, account_type=AccountType.MARGIN, base_currency=USD,
                     starting_balances=[Money(job.cash, USD)], latency_model=latency)  # fmt: skip
    types, stamps, fee = [], job.ts.astype(np.uint64), Decimal(str(job.fee))
    for k, symbol in enumerate(job.symbols):
        iid = InstrumentId.from_str(f"{symbol.partition('.')[0]}.{VENUE}")
        engine.add_instrument(
            Equity(instrument_id=iid, raw_symbol=iid.symbol, currency=USD, price_precision=2,
                   price_increment=Price.from_str("0.01"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
                   maker_fee=fee, taker_fee=fee)
        )  # fmt: skip
        types.append(BarType.from_str(f"{iid}-1-DAY-LAST-EXTERNAL"))
        columns = (np.ascontiguousarray(getattr(job, name)[:, k]) for name in VALUES)
        engine.add_data(Bar.from_raw_arrays_to_list(types[k], 2, 0, *columns, stamps, stamps.copy()), sort=False)
    engine.sort_data()
    strategy = Wanted(job, types)
    engine.add_strategy(strategy)
    engine.run()
    equity = strategy.equity(len(job.ts) - 1)
    engine.dispose()
    return strategy.fills, equity


serve(play)
