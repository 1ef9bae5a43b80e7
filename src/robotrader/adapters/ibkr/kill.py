"""What the kill path does at the broker: cancel our orders, end positions. It knows neither journal nor strategies.

Ours are the orders of our client id with our prefix, and what an earlier call of this left (`KILL-`): the journal
does not know those, so that the next trader books them as external and opens a ticket.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.errors import ErrorClass, classify
from robotrader.adapters.ibkr.pending import Question
from robotrader.adapters.ibkr.quotes import LiveQuotes
from robotrader.model import (
    EXTERNAL,
    OUR_PREFIX,
    BrokerUnavailable,
    ConnectionLost,
    Instrument,
    InstrumentId,
    Order,
    OrderId,
    OrderType,
    Purpose,
    Quote,
    Side,
    TimeInForce,
)
from robotrader.ports import Arrival, BrokerMessage, TimeAdvanced

KILL_PREFIX = "KILL-"

_ROUNDS = 5
_LOOKS = 10
_PAUSE_S = 0.5
_FILL_S = 10.0
_STEPS = 3
_QUOTE_S = 3.0
_ANSWER_S = 10.0
_ENDED = frozenset({"Cancelled", "ApiCancelled", "Filled"})
_CUMULATIVE = {"orderStatus": "filled", "execDetails": "cumQty"}


class OpenOrder(Struct, frozen=True, kw_only=True):
    """An order at the broker; `quantity` in all, `filled` of it, `group` in which a fill of one reduces the others."""

    client_id: int
    order_id: int
    perm_id: int
    ref: str
    instrument: InstrumentId
    side: Side
    quantity: int
    filled: int
    tif: str
    group: str

    @property
    def is_ours(self) -> bool:
        """Tell whether we placed it, be it under another client id."""
        return self.ref.startswith((OUR_PREFIX, KILL_PREFIX))


class Outcome(Struct, frozen=True, kw_only=True):
    """How things stand at the broker.

    `canceled` counts orders, None where the broker did not say; `left` are those that should be gone and are not.
    `held` are the units held, by instrument; `skipped` those that have no price.
    """

    canceled: int | None
    left: tuple[OpenOrder, ...]
    held: dict[InstrumentId, float]
    skipped: tuple[InstrumentId, ...]


def share_out(units: int, orders: Iterable[OpenOrder], spent: Collection[str] = ()) -> dict[str, int]:
    """Share the units to be closed out among the groups of the orders that protect them; "" takes the rest.

    A closing order in its stop's group takes from the stop what it fills: both together never close more than is
    held. A group larger than what is held, or one that had a fill and takes no more orders, has no share, and must go.
    """
    side, room, shares = Side.SELL if units > 0 else Side.BUY, abs(units), dict[str, int]()
    sizes: dict[str, int] = {}
    for order in orders:
        if order.side is side and order.group and order.tif == TimeInForce.GTC and order.group not in spent:
            sizes[order.group] = max(sizes.get(order.group, 0), order.quantity - order.filled)
    for group, size in sizes.items():
        if 0 < size <= room:
            shares[group], room = size, room - size
    return {**shares, "": room} if room else shares


def collared(side: Side, quote: Quote, instrument: Instrument, collar: Decimal) -> Decimal:
    """Return the worst price to take: the other side's best, and so much of it (a ratio) beyond."""
    best = quote.ask if side is Side.BUY else quote.bid
    return instrument.price(instrument.price(best) * (1 + side.sign * collar))


class Heard:
    """An inbox that remembers, by order: `filled` units, groups; which ended, which found their group `spent`."""

    def __init__(self) -> None:
        self.filled: dict[tuple[int, int], int] = {}
        self.groups: dict[tuple[int, int], str] = {}
        self.ended: set[int] = set()
        self.spent: set[int] = set()
        self.time = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        """Take note."""
        if isinstance(arrival, TimeAdvanced):
            self.time.set()
        elif isinstance(arrival, BrokerMessage) and arrival.name in _CUMULATIVE:
            fields = arrival.fields
            key = fields["clientId"], fields["orderId"]
            self.filled[key] = max(self.filled.get(key, 0), int(float(fields[_CUMULATIVE[arrival.name]] or 0)))
            self.ended |= {key[1]} if fields.get("status") in _ENDED else set()
        elif isinstance(arrival, BrokerMessage) and classify(arrival.fields.get("code", 0)) is ErrorClass.REJECTED:
            self.ended.add(arrival.fields["orderId"])
            self.spent |= {arrival.fields["orderId"]} if "OCA" in arrival.fields["text"] else set()

    def listen(self, client: Any) -> None:
        """Hear the group of every open order too: the journal's fields leave it out."""
        pass_on = client.wrapper.openOrder

        def opened(order_id: int, contract: Any, order: Any, state: Any) -> None:
            self.groups[order.clientId, order_id] = order.ocaGroup
            pass_on(order_id, contract, order, state)

        client.wrapper.openOrder = opened


class KillDesk:
    """Cancel and flatten over a session of our own client id; `heard` is the connection's inbox."""

    def __init__(self, connection: IbkrConnection, heard: Heard, instruments: Iterable[Instrument]) -> None:
        self._connection = connection
        self._heard = heard
        self._instruments: Mapping[InstrumentId, Instrument] = {i.id: i for i in instruments}
        self._quotes: dict[InstrumentId, LiveQuotes] = {}
        self._asked: set[int] = set()
        self._closing: dict[int, Order] = {}
        self._first: dict[InstrumentId, int] = {}
        self._skipped: set[InstrumentId] = set()
        connection.send(heard.listen)

    async def cancel_all(self, only: InstrumentId | None = None, *, all_clients: bool = False) -> Outcome:
        """Cancel our orders, protection included, of one instrument or of all; or every order of the account."""
        left = await self._cancel(lambda o: only in {None, o.instrument}, all_clients=all_clients)
        return await self._outcome(left, await self._positions(only))

    async def flatten(self, collar: Decimal, only: InstrumentId | None = None) -> Outcome:
        """End the positions in what is configured, and then what protected them.

        Nothing is sent beyond what the broker says is held: the rest of an order is canceled, and that confirmed,
        before another is sent, and all of them together are never larger than the position at first.
        """
        for _ in range(_ROUNDS):
            left, held, kept = await self._clear(only)
            if not (held or kept):
                break
            stuck = {o.instrument for o in left if o.client_id == self._connection.client_id}
            await self._close({iid: int(units) for iid, units in held.items() if iid not in stuck}, collar)
        else:
            left, held, _ = await self._clear(only)
        return await self._outcome(left, held)

    async def _clear(self, only: InstrumentId | None) -> tuple[list[OpenOrder], dict[InstrumentId, float], set[str]]:
        """Cancel all of ours but what protects a position and is no larger than it.

        Return what else is left, what is held then, and the groups that were kept.
        """
        held, orders = await self._positions(only), await self._orders()
        keep = {group for iid, units in held.items() for group in self._shares(iid, int(units), orders)} - {""}
        left = await self._cancel(
            lambda o: only in {None, o.instrument} and not (o.group in keep and o.tif == TimeInForce.GTC)
        )
        return left, await self._positions(only), keep

    async def _outcome(self, left: list[OpenOrder], held: dict[InstrumentId, float]) -> Outcome:
        try:
            ended = await self._ask(Question.COMPLETED_ORDERS)
            canceled = sum(m.fields["permId"] in self._asked and m.fields["status"] != "Filled" for m in ended)
        except BrokerUnavailable:
            canceled = None
        return Outcome(
            canceled=canceled, left=tuple(left), held=held, skipped=tuple(sorted(self._skipped & held.keys()))
        )

    async def _cancel(self, chosen: Callable[[OpenOrder], bool], *, all_clients: bool = False) -> list[OpenOrder]:
        """Cancel until two looks in a row show nothing more: what was on its way may come late. Return what is left.

        An order of ours under another client id cannot be reached by its number: it would be another order's here.
        """
        clean, left = 0, list[OpenOrder]()
        for _ in range(_LOOKS):
            left = [o for o in await self._orders() if all_clients or (o.is_ours and chosen(o))]
            mine = [o for o in left if o.client_id == self._connection.client_id]
            reached = left if all_clients else mine
            clean = 0 if reached else clean + 1
            if clean > 1:
                break
            self._asked |= {o.perm_id for o in reached if not o.ref.startswith(KILL_PREFIX)}
            if all_clients and left:
                self._connection.send_first(lambda client: client.reqGlobalCancel())
            for order in mine:
                self._connection.send_first(translate.cancel(order.order_id))
            await asyncio.sleep(_PAUSE_S)
        return left

    def _shares(self, iid: InstrumentId, units: int, orders: list[OpenOrder]) -> dict[str, int]:
        mine = [o for o in orders if o.is_ours and o.client_id == self._connection.client_id and o.instrument == iid]
        spent = {o.group for o in mine if o.filled}
        spent |= {o.oca_group or "" for n, o in self._closing.items() if self._filled(n) or n in self._heard.spent}
        return share_out(units, mine, spent)

    def _filled(self, order_id: int) -> int:
        return self._heard.filled.get((self._connection.client_id, order_id), 0)

    async def _close(self, held: Mapping[InstrumentId, int], collar: Decimal) -> None:
        """Send closing orders, and wait for them for a while."""
        orders, quotes = await self._orders(), await self._prices(held)
        if not self._connection.connected:  # a gateway without IBKR queues orders, or loses them in silence
            raise ConnectionLost("the gateway has no link to IBKR: nothing more was sent")
        number, sent = (await self._ask(Question.NEXT_ID))[-1], list[int]()
        self._skipped = held.keys() - quotes.keys()
        for iid in held.keys() & quotes.keys():
            first = self._first.setdefault(iid, held[iid])
            closed = sum(self._filled(n) for n, o in self._closing.items() if o.instrument == iid)
            due = min(abs(held[iid]), abs(first) - closed) if held[iid] * first > 0 else 0
            side = Side.SELL if first > 0 else Side.BUY
            price = collared(side, quotes[iid], self._instruments[iid], collar)
            for group, share in self._shares(iid, -side.sign * due, orders).items():
                self._closing[number] = Order(
                    id=OrderId(f"{KILL_PREFIX}{time.time_ns():x}-{number}"), strategy=EXTERNAL, instrument=iid,
                    side=side, quantity=share, ts_event=time.time_ns(), type=OrderType.LIMIT, limit_price=price,
                    purpose=Purpose.FLATTEN, oca_group=group or None,
                )  # fmt: skip
                message = translate.place(self._closing[number], self._instruments[iid], self._connection.account,
                                          ids=translate.Ids(number))  # fmt: skip
                self._connection.send(message, places=number)
                sent.append(number)
                number += 1
        await self._wait(sent)

    async def _wait(self, sent: Sequence[int]) -> None:
        """Let time pass until these orders ended: in lock-step a few steps of the market, else some seconds."""
        lock_step = self._connection.lock_step
        for _ in range(_STEPS if lock_step else int(_FILL_S / _PAUSE_S)):
            if all(n in self._heard.ended or self._filled(n) >= self._closing[n].quantity for n in sent):
                return
            if lock_step:
                self._heard.time.clear()
                self._connection.request_time()
                await asyncio.wait_for(self._heard.time.wait(), _ANSWER_S)
            else:
                await asyncio.sleep(_PAUSE_S)

    async def _prices(self, wanted: Collection[InstrumentId]) -> dict[InstrumentId, Quote]:
        """Return the quotes, as far as they come in time."""
        missing = [self._instruments[iid] for iid in wanted if iid not in self._quotes]
        if missing:
            self._quotes |= dict.fromkeys((i.id for i in missing), LiveQuotes(self._connection, missing, time.time_ns))
        for _ in range(int(_QUOTE_S / _PAUSE_S)):
            if self._known().keys() >= set(wanted):
                break
            await asyncio.sleep(_PAUSE_S)
        return self._known()

    def _known(self) -> dict[InstrumentId, Quote]:
        return {quote.instrument: quote for live in self._quotes.values() for quote in live.known()}

    async def _orders(self) -> list[OpenOrder]:
        """Return the open orders of all clients."""
        found: dict[tuple[int, int, int], OpenOrder] = {}
        for message in await self._ask(Question.OPEN_ORDERS):
            f = message.fields
            if message.name != "openOrder" or f["status"] in _ENDED:
                continue
            key = f["clientId"], f["orderId"]
            found[(*key, f["permId"])] = OpenOrder(
                client_id=f["clientId"], order_id=f["orderId"], perm_id=f["permId"], ref=f["orderRef"] or "",
                instrument=translate.instrument_id_of(f, self._instruments), side=Side(f["action"]),
                quantity=int(f["totalQuantity"]), filled=self._heard.filled.get(key, 0), tif=f["tif"],
                group=self._heard.groups.get(key, ""),
            )  # fmt: skip
        return list(found.values())

    async def _positions(self, only: InstrumentId | None) -> dict[InstrumentId, float]:
        """Return the units held in what is configured."""
        rows = [r for r in await self._ask(Question.POSITIONS) if r["account"] == self._connection.account]
        named = ((translate.instrument_id_of(row, self._instruments), row["position"] or 0.0) for row in rows)
        return {i: units for i, units in named if units and i in self._instruments and only in {None, i}}

    async def _ask(self, question: Question) -> list[Any]:
        connection = self._connection
        key, message, stop = translate.ask(question, connection.request_id(), connection.account)
        try:
            return await connection.ask(key, message, name=question, timeout_s=_ANSWER_S)
        finally:
            if stop is not None and connection.connected:
                connection.send(stop)
