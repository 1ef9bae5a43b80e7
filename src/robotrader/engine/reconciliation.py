"""When the broker is compared with: at start, whenever the link comes back, at intervals, and when somebody asks."""

from collections.abc import Awaitable, Callable

from msgspec import structs

from robotrader.engine.settlement import Settlement
from robotrader.engine.world import World
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    NANOS_PER_SECOND,
    AnyEvent,
    BarsClosed,
    BrokerUnavailable,
    LinkChanged,
    LinkState,
    OrderReplaceRejected,
    OrderState,
    OrderUnresolved,
    OrderVoided,
    RoboTraderError,
    TradingHalted,
)
from robotrader.ports import Arrival

_GLANCE_NS, _FULL_NS = 60 * NANOS_PER_SECOND, 900 * NANOS_PER_SECOND


class Reconciliation:
    """Follow the link and keep the books equal to the broker's; `warmup_bars` is asked for on an empty journal."""

    def __init__(self, world: World, path: WriteAhead, settlement: Settlement, *, warmup_bars: int) -> None:
        self._world = world
        self._path = path
        self._settlement = settlement
        self._warmup_bars = warmup_bars
        self._link: LinkChanged | None = None
        self._full_due = self._glance_due = 0

    @property
    def open(self) -> bool:
        """Tell whether orders can be sent, as far as the link goes."""
        return self._link is None or self._link.open

    async def settle(self, link: LinkChanged | None = None, *, replayed: int = 0) -> None:
        """Settle with the broker and catch up on bars; from here on the link is what its supervisor says.

        The bars are asked for first, so that nothing is waited for once the link is READY.
        """
        self._link = link or self._link
        sync, sections = self._link.sync if self._link else 0, await self._missed()
        self._link = await self._settlement.settle(lambda: self._world.link.synced(sync), replayed=replayed)
        self._put_off(full=True)
        if self.open:  # else another comparison will ask for them again: decided now, an entry would only be denied
            await self._record([*sections])

    async def follow(self, link: LinkChanged, *, settle: bool) -> None:
        """Take over a change of the link: what was under way is of unknown outcome.

        A new session is settled with, unless the link has changed again since.
        """
        self._link = link
        await self._record([link, *self._under_way(link)])
        if link.state is LinkState.SYNCING and settle:
            self._world.clock.reconnected()
            await self._compare(self.settle)

    async def when_due(self, *, wanted: bool) -> None:
        """Compare if it is time, or wanted: a glance every minute, wholly every quarter of an hour, or in doubt."""
        now = self._world.clock.now()
        if not self.open or not (wanted or now >= self._glance_due):
            return
        if wanted or self._settlement.doubts() or (self._world.reconciles and now >= self._full_due):
            self._put_off(full=True)
            await self._compare(self._settlement.settle)
        elif self._world.reconciles:
            self._put_off(full=False)
            await self._compare(self._glance)

    def _put_off(self, *, full: bool) -> None:
        now = self._world.clock.now()
        self._glance_due = now + _GLANCE_NS
        self._full_due = now + _FULL_NS if full else self._full_due

    async def _glance(self) -> None:
        if not await self._settlement.agrees():
            await self._settlement.settle()

    async def _compare(self, comparison: Callable[[], Awaitable[object]]) -> None:
        """Compare with the broker; without an answer the link asks for it again, and nonsense halts as well."""
        sync = self._link.sync if self._link else 0
        try:
            await comparison()
        except BrokerUnavailable as error:
            self._world.link.sync_failed(sync, str(error))
        except RoboTraderError as error:  # the answers make no sense: stopped until they do, and a person looks
            now = self._world.clock.now()
            await self._record([TradingHalted(ts_event=now, ts_init=now, reason=f"reconciliation: {error}")])
            self._world.link.sync_failed(sync, str(error))

    async def _missed(self) -> list[BarsClosed]:
        """Return the warm-up for an empty journal, else the bars missed; of these only the last one decides."""
        world, now, last = self._world, self._world.clock.now(), self._path.last_bars_ts
        if last is None:
            return [structs.replace(s, warmup=True) for s in await world.feed.warmup(now, self._warmup_bars)]
        missed = await world.feed.missing(last, now)
        return [*(structs.replace(s, warmup=True) for s in missed[:-1]), *missed[-1:]]

    def _under_way(self, link: LinkChanged) -> list[AnyEvent]:
        """Return what became of the orders being sent: a closed link proves some unsent, the others are unknown."""
        if link.open:
            return []
        unsent, now = set(self._world.link.take_unsent()), self._world.clock.now()
        orders = self._settlement.trader.orders.open_orders()
        sending = [w for w in orders if w.state is OrderState.SENDING]
        left = f"had not left when the link fell: {link.reason}"
        gone: list[AnyEvent] = [
            OrderVoided(ts_event=now, ts_init=now, order_id=w.order.id, proven=True, reason=left)
            if w.broker_order_id in unsent
            else OrderUnresolved(ts_event=now, ts_init=now, order_id=w.order.id, reason=link.reason)
            for w in sending if w.broker_order_id in unsent or not w.unresolved
        ]  # fmt: skip
        changing = (w for w in orders if w.state is OrderState.PENDING_REPLACE and w.broker_order_id in unsent)
        return [*gone, *(OrderReplaceRejected(ts_event=now, ts_init=now, order_id=w.order.id, reason=left)
                         for w in changing)]  # fmt: skip

    async def _record(self, events: list[Arrival | AnyEvent]) -> None:
        await self._path.carry_out(await self._path.record(events))
