"""What happened: orders, fills, decisions, denials, requests, conflicts. Implements `ports.ActivityReader`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, and_, select

from robotrader.adapters.sql import schema
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.session import Look, ReadSession, convert
from robotrader.model import Commission, Fill, InstrumentId, Order, OrderId, OrderState, WorkingOrder
from robotrader.ports import (
    ConflictRow,
    DecisionRow,
    DenialRow,
    FillRow,
    OrderDetail,
    OrderRow,
    OrderStateRow,
    RequestRow,
)


class SqlActivityReader:
    """Newest first; `after` is the `id` that the page before ended with."""

    def __init__(self, database: Database) -> None:
        self._session = ReadSession(database)

    def orders(
        self, *, states: Sequence[OrderState] = (), limit: int = 100, after: int | None = None
    ) -> Sequence[OrderRow]:
        """Return orders, in one of `states` if any are named."""
        orders = schema.orders
        query = select(orders).order_by(orders.c.id.desc()).limit(limit)
        if states:
            query = query.where(orders.c.state.in_(states))
        if after is not None:
            query = query.where(orders.c.id < after)
        with self._session.look() as look:
            return [_order(row) for row in look.all(query)]

    def order(self, order_id: OrderId) -> OrderDetail | None:
        """Return one order with everything that led to it and came of it, oldest first."""
        orders, states, fills = schema.orders, schema.order_states, schema.fills
        with self._session.look() as look:
            row = look.first(select(orders).where(orders.c.order_id == order_id))
            if row is None:
                return None
            steps = look.all(select(states).where(states.c.order_id == order_id).order_by(states.c.id))
            executions = look.all(_fills().where(fills.c.order_id == order_id).order_by(fills.c.id))
            return OrderDetail(
                order=_order(row),
                states=tuple(convert(step, OrderStateRow) for step in steps),
                fills=tuple(_fill(execution) for execution in executions),
                decisions=tuple(reversed(_decisions(look, _decision_query(order_id=order_id)))),
            )

    def fills(
        self, *, order_id: OrderId | None = None, limit: int = 100, after: int | None = None
    ) -> Sequence[FillRow]:
        """Return executions with their commissions."""
        fills = schema.fills
        query = _fills().order_by(fills.c.id.desc()).limit(limit)
        if order_id is not None:
            query = query.where(fills.c.order_id == order_id)
        if after is not None:
            query = query.where(fills.c.id < after)
        with self._session.look() as look:
            return [_fill(row) for row in look.all(query)]

    def commissions(self, *, limit: int = 100) -> Sequence[Commission]:
        """Return commissions."""
        table = schema.commissions
        return self._session.rows(Commission, select(table).order_by(table.c.id.desc()).limit(limit))

    def decisions(
        self,
        *,
        order_id: OrderId | None = None,
        instrument: InstrumentId | None = None,
        at: int | None = None,
        limit: int = 100,
    ) -> Sequence[DecisionRow]:
        """Return decisions, made at or before `at` if that is given."""
        with self._session.look() as look:
            return _decisions(look, _decision_query(order_id=order_id, instrument=instrument, at=at).limit(limit))

    def denials(self, *, limit: int = 100) -> Sequence[DenialRow]:
        """Return refused orders."""
        table = schema.denials
        with self._session.look() as look:
            found = look.all(select(table).order_by(table.c.id.desc()).limit(limit))
        return [convert(_decoded(row, "reasons", "checks"), DenialRow) for row in found]

    def requests(self, *, limit: int = 100) -> Sequence[RequestRow]:
        """Return operators' requests, latest first."""
        requests, journal = schema.requests, schema.journal
        copied = and_(journal.c.type == "RequestReceived", journal.c.source_id == requests.c.id)
        query = select(requests, journal.c.seq.label("taken")).join_from(requests, journal, copied, isouter=True)
        return self._session.rows(RequestRow, query.order_by(requests.c.number.desc()).limit(limit))

    def conflicts(self, *, limit: int = 100) -> Sequence[ConflictRow]:
        """Return events that came again with other content."""
        table = schema.conflicts
        return self._session.rows(ConflictRow, select(table).order_by(table.c.id.desc()).limit(limit))


def _order(row: dict[str, Any]) -> OrderRow:
    row = _decoded(row, "perm_ids")
    working = {**row, "order": convert({**row, "id": row["order_id"]}, Order)}
    return convert({**row, "working": convert(working, WorkingOrder)}, OrderRow)


def _fills() -> Select[Any]:
    fills, costs = schema.fills, schema.commissions
    same = and_(costs.c.exec_id == fills.c.exec_id, costs.c.revision == fills.c.revision)
    return select(fills, costs.c.amount.label("commission")).join_from(fills, costs, same, isouter=True)


def _fill(row: dict[str, Any]) -> FillRow:
    return convert({**row, "ts": row["ts_init"], "fill": convert(row, Fill)}, FillRow)


def _decision_query(
    *, order_id: OrderId | None = None, instrument: InstrumentId | None = None, at: int | None = None
) -> Select[Any]:
    table = schema.decisions
    query = select(table).order_by(table.c.id.desc())
    if order_id is not None:
        query = query.where(table.c.order_id == order_id)
    if instrument is not None:
        query = query.where(table.c.instrument == instrument)
    if at is not None:
        query = query.where(table.c.ts_event <= at)
    return query


def _decisions(look: Look, query: Select[Any]) -> list[DecisionRow]:
    return [convert(_decoded(row, "detail"), DecisionRow) for row in look.all(query)]


def _decoded(row: dict[str, Any], *fields: str) -> dict[str, Any]:
    """Return the row with these JSON texts as values."""
    return {**row, **{field: msgspec.json.decode(row[field]) for field in fields}}
