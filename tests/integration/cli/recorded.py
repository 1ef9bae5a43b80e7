"""A journal as a trader leaves it: the real core and the write-ahead path, a library strategy, a broker that obeys.

SPY is bought and filled at day 3; its sale of day 4 is in the dark. QQQ is not on the allow list: its order is denied.
"""

from pathlib import Path

from msgspec import structs

from robotrader import bootstrap
from robotrader.adapters.clocks import BrokerClock
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import Order, OrderUnresolved, RiskLimit, RunEnded
from robotrader.strategy.loading import trailing_source
from tests import builders as make
from tests.fakes import FakeBroker

CLOSES = ((100.0, 50.0), (99.0, 49.0), (98.0, 48.0), (102.0, 52.0), (90.0, 53.0))
BOUGHT_DAY, SOLD_DAY = 3, 4


class Recorder:
    """One run of a trader on a state folder."""

    def __init__(self, state: Path) -> None:
        bootstrap.migrate(state)
        self._database = bootstrap.database(state)
        self._journal = SqlJournal(self._database)
        self._broker = FakeBroker()
        self._clock = BrokerClock(lambda: None, start=make.T0)
        self._path = WriteAhead(trader=Trader(trailing_source), journal=self._journal, broker=self._broker,
                                clock=self._clock, halted=lambda: None)  # fmt: skip

    async def start(self) -> None:
        """Take the journal, with a crossover on SPY and QQQ of which only SPY may be traded."""
        run = make.run_started()
        self._path.epoch = await self._journal.begin_run(run.run_id, "test")
        (config,) = run.strategies
        config = structs.replace(config, source="sma_crossover", parameters={"fast": 2, "slow": 3})
        limits = RiskLimit(profile="test", allow_list=(make.SPY.id,), max_order_quantity=1_000)
        await self._path.record([structs.replace(run, epoch=self._path.epoch, strategies=(config,), limits=limits)])

    async def close_bars(self, day: int) -> Order | None:
        """Let the bars of a day close, carry out what follows, and return the order that went out."""
        self._clock.advance(make.T0 + day * make.DAY)
        sent = len(self._broker.submitted)
        await self._path.carry_out(await self._path.record([make.bars_closed(day, *CLOSES[day])]))
        new = self._broker.submitted[sent:]
        return new[0][0] if new else None

    async def fill(self, order: Order) -> None:
        """Accept an order and fill it in two parts; the second part's commission is not known yet."""
        ts = self._clock.now() + 1
        await self._path.record(
            [
                make.accepted(order.id, ts=ts),
                make.filled(order, exec_id="0001", quantity=40, price="102.50", ts=ts + 1),
                make.commission("0001", "1.250000", ts=ts + 2),
                make.filled(order, exec_id="0002", quantity=60, price="102.00", ts=ts + 3),
            ]
        )

    async def lose(self, order: Order) -> None:
        """Never hear of an order again."""
        now = self._clock.now()
        await self._path.record([OrderUnresolved(ts_event=now, ts_init=now, order_id=order.id, reason="no answer")])

    async def end(self) -> None:
        """End the run in order."""
        now = self._clock.now()
        await self._path.record([RunEnded(ts_event=now, ts_init=now, run_id="run-1", reason="done")])
        await self._journal.end_run("run-1", "done")

    async def close(self) -> None:
        """Let the files go."""
        await self._journal.close()
        self._database.close()


async def record(state: Path) -> tuple[Order, Order]:
    """Record the five days and return the filled order and the lost one."""
    recorder = Recorder(state)
    await recorder.start()
    orders = []
    for day in range(len(CLOSES)):
        order = await recorder.close_bars(day)
        if order is not None:
            orders.append(order)
            await (recorder.fill(order) if day == BOUGHT_DAY else recorder.lose(order))
    await recorder.end()
    await recorder.close()
    bought, sold = orders
    return bought, sold
