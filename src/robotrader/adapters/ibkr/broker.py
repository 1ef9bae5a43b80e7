"""The broker port over IBKR: submit, cancel, interpret, and look at everything."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.account import KEYS, account_of
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.interpreter import Interpreter
from robotrader.adapters.ibkr.pending import Question
from robotrader.adapters.ibkr.previews import Previews
from robotrader.model import (
    Account,
    AnyEvent,
    BrokerUnavailable,
    ConnectionLost,
    Instrument,
    InstrumentId,
    Order,
    OrderId,
)
from robotrader.ports import BrokerMessage, BrokerSnapshot

_ROUNDED_CASH = "TotalCashValue"  # to cents: only where the exact one is missing


class IbkrBroker:
    """Orders through one connection; its messages reach the runner's inbox by themselves.

    Parameters
    ----------
    instruments : sequence of Instrument
        All that may be traded; a position in anything else is reported under a made-up id.
    timeout_s, preview_timeout_s : float
        How long each part of a snapshot may take before it is asked once more, and a what-if before it is given up.
    """

    def __init__(
        self,
        connection: IbkrConnection,
        instruments: Sequence[Instrument],
        *,
        timeout_s: float = 10.0,
        preview_timeout_s: float = 5.0,
    ) -> None:
        self._connection = connection
        self._instruments = {i.id: i for i in instruments}
        self._interpreter = Interpreter(self._instruments)
        self._previews = Previews(connection, timeout_s=preview_timeout_s)
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

    def preview(self, order: Order, broker_order_id: int) -> None:
        """Ask what an order would need, by itself; ConnectionLost when nothing was asked."""
        self._check_link(order)
        alone = structs.replace(order, oca_group=None)
        message = self._message(alone, translate.Ids(broker_order_id), what_if=True)
        self._previews.ask(order.id, broker_order_id, message)

    def previewing(self) -> bool:
        """Tell whether an answer to a preview is awaited."""
        return bool(self._previews)

    def _check_link(self, order: Order) -> None:
        if not self._connection.connected:  # a gateway without IBKR queues orders, or loses them in silence
            raise ConnectionLost("the gateway has no link to IBKR: nothing was sent", order_id=order.id)

    def _message(self, order: Order, ids: translate.Ids, **how: bool) -> translate.Send:
        return translate.place(order, self._instruments[order.instrument], self._connection.account, ids=ids, **how)

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
        connection = self._connection
        connection.subscribe("profit", *translate.watch_profit(connection.request_id(), connection.account))
        connection.subscribe("account", *translate.watch_account(connection.account))

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
                account = self._account(await self._ask(Question.ACCOUNT))
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
            account=account,
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

    def _account(self, rows: list[Any]) -> Account:
        """Return the account's values, and the day's profit as it was last pushed."""
        found = {key: translate.stated(key, text) for _, key, text, currency in rows
                 if currency == "USD" and key in {*KEYS, _ROUNDED_CASH}}  # fmt: skip
        found.setdefault("CashBalance", found.get(_ROUNDED_CASH))
        return account_of(self._connection.account, found, self._connection.account_values.day_pnl)
