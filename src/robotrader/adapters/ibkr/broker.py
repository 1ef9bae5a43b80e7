"""The broker port over IBKR: submit, cancel, interpret, and look at everything."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.interpreter import Interpreter
from robotrader.adapters.ibkr.pending import Question
from robotrader.model import (
    AnyEvent,
    BrokerUnavailable,
    ConnectionLost,
    Instrument,
    InstrumentId,
    Order,
    OrderId,
)
from robotrader.ports import BrokerMessage, BrokerSnapshot


class IbkrBroker:
    """Orders through one connection; its messages reach the runner's inbox by themselves.

    Parameters
    ----------
    instruments : sequence of Instrument
        All that may be traded; a position in anything else is reported under a made-up id.
    timeout_s : float
        How long each part of a snapshot may take before it is asked once more.
    """

    def __init__(
        self, connection: IbkrConnection, instruments: Sequence[Instrument], *, timeout_s: float = 10.0
    ) -> None:
        self._connection = connection
        self._instruments = {i.id: i for i in instruments}
        self._interpreter = Interpreter(self._instruments)
        self._timeout_s = timeout_s
        self._one_snapshot = asyncio.Lock()

    def submit(self, order: Order, broker_order_id: int, *, transmit: bool = True) -> None:
        """Write one order to the wire; ConnectionLost when nothing was sent."""
        self._check_link(order)
        parent = 0 if order.parent is None else self._interpreter.broker_order_id(order.parent)
        message = self._message(order, translate.Ids(broker_order_id, parent), transmit=transmit)
        self.bind(order, broker_order_id, seen=False)
        self._connection.send(message, places=broker_order_id)

    def replace(self, order: Order) -> None:
        """Write new terms of a working order to the wire, under its id; ConnectionLost when nothing was sent.

        No entry is named: while one is open the broker sizes what protects it, and a later one may be long forgotten.
        """
        self._check_link(order)
        broker_order_id = self._interpreter.broker_order_id(order.id)
        message = self._message(order, translate.Ids(broker_order_id))
        self._interpreter.replace(order)
        self._connection.send(message, places=broker_order_id)

    def _check_link(self, order: Order) -> None:
        if not self._connection.connected:  # a gateway without IBKR queues orders, or loses them in silence
            raise ConnectionLost("the gateway has no link to IBKR: nothing was sent", order_id=order.id)

    def _message(self, order: Order, ids: translate.Ids, *, transmit: bool = True) -> translate.Send:
        instrument, account = self._instruments[order.instrument], self._connection.account
        return translate.place(order, instrument, account, ids=ids, transmit=transmit)

    def cancel(self, order_id: OrderId) -> None:
        """Ask to cancel, before everything else that waits; ConnectionLost when nothing was sent."""
        broker_order_id = self._interpreter.broker_order_id(order_id)
        self._connection.send_first(translate.cancel(broker_order_id), cancels=broker_order_id)

    def bind(self, order: Order, broker_order_id: int, *, seen: bool = True) -> None:
        """Tell the interpreter of an order; `seen` if it was sent earlier and may have been accepted."""
        self._interpreter.know(order, broker_order_id, client_id=self._connection.client_id, seen=seen)

    def interpret(self, message: BrokerMessage) -> Sequence[AnyEvent]:
        """Turn a raw message into events; times of receipt are the message's."""
        return self._interpreter.events(message, client_id=self._connection.client_id)

    def watch_account(self) -> None:
        """Have the account's own values reported whenever they change, in this session and every later one."""
        self._connection.subscribe("account", *translate.watch_account(self._connection.account))

    async def snapshot(self) -> BrokerSnapshot:
        """Ask for everything, each part with its End marker, in the order that IBKR's documents recommend.

        Every part is asked once more when its End does not come. BrokerUnavailable: a part did not complete in time,
        twice. DataError: a position is not in whole units, or an account value is no number.
        """
        async with self._one_snapshot:
            commissions = self._connection.pending.open(Question.COMMISSIONS)
            try:
                opened = await self._ask(Question.OPEN_ORDERS)
                completed = await self._ask(Question.COMPLETED_ORDERS)
                executions = await self._executions()
                positions = await self._ask(Question.POSITIONS)
                values = {(key, currency): value for _, key, value, currency in await self._ask(Question.ACCOUNT)}
                next_ids = await self._ask(Question.NEXT_ID)
            finally:
                self._connection.pending.end(Question.COMMISSIONS)
        return BrokerSnapshot(
            messages=(*opened, *completed, *(executions or ()), *await commissions),
            executions_ended=executions is not None,
            order_refs=frozenset(
                ref for m in (*opened, *completed, *(executions or ())) if (ref := m.fields.get("orderRef"))
            ),
            positions=self._positions(positions),
            cash=_first(values, "CashBalance", "TotalCashValue"),  # the second is rounded to cents
            net_liquidation=_first(values, "NetLiquidation"),
            next_order_id=next_ids[-1],
        )

    async def _ask(self, question: Question) -> list[Any]:
        try:
            return await self._ask_once(question)
        except ConnectionLost:
            raise
        except BrokerUnavailable:
            return await self._ask_once(question)

    async def _executions(self) -> list[Any] | None:
        """Return the executions; None when their End does not come, as from a gateway that has none today."""
        try:
            return await self._ask(Question.EXECUTIONS)
        except ConnectionLost:
            raise
        except BrokerUnavailable:
            return None

    async def _ask_once(self, question: Question) -> list[Any]:
        connection = self._connection
        key, message, stop = translate.ask(question, connection.request_id(), connection.account)
        try:
            return await connection.ask(key, message, name=question, timeout_s=self._timeout_s)
        finally:
            if stop is not None and connection.connected:
                connection.send(stop)

    def _positions(self, rows: list[dict[str, Any]]) -> dict[InstrumentId, int]:
        found: dict[InstrumentId, int] = {}
        for row in rows:
            units = translate.signed_units(row)
            if units and row["account"] == self._connection.account:
                found[translate.instrument_id_of(row, self._instruments)] = units
        return found


def _first(values: dict[tuple[str, str], str], *names: str) -> Decimal | None:
    found = next(((name, values[name, "USD"]) for name in names if (name, "USD") in values), None)
    return None if found is None else translate.amount(*found)
