"""Views to the page's panels."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from robotrader.web import queries, views
from robotrader.web.formatting import NOT_AVAILABLE, duration, moment, money, number, percent, price, tone
from robotrader.web.frame import frame
from robotrader.web.layout import Cell, Chart, Column, Fact, Facts, Page, PanelState, Row, Table
from robotrader.web.snapshot import PageRows

CHART_TABLE_ROWS = 60
ORDER_STATES = {
    "NEW": ("decided", ""),
    "AUTHORIZED": ("allowed, not sent", "open"),
    "SENDING": ("being sent", "open"),
    "ACCEPTED": ("working", "open"),
    "PARTIALLY_FILLED": ("partly filled", "open"),
    "FILLED": ("filled", ""),
    "DENIED": ("refused by our gate", "warn"),
    "VOIDED": ("never sent", "muted"),
    "CANCELED": ("canceled", "muted"),
    "REJECTED": ("rejected by the broker", "bad"),
    "EXPIRED": ("expired", "muted"),
    "PENDING_CANCEL": ("being canceled", "open"),
    "PENDING_REPLACE": ("being changed", "open"),
    "SUSPENDED": ("held by the broker", "warn"),
    queries.UNKNOWN: ("UNKNOWN", "bad"),
}


def page(rows: PageRows, status: views.Status, *, currency: str, state_dir: Path) -> Page:
    """Write out the whole page."""
    run = rows.status.run
    return Page(
        seq=status.seq,
        frame=frame(status, day=_signed(status.broker.day_pnl), state_dir=state_dir),
        account=account(status.broker, currency),
        equity=equity(queries.equity(rows.equity), currency),
        data=data(status),
        positions=positions(queries.positions(rows.status.positions, run), currency),
        strategies=strategies(queries.strategies(run, rows.books), currency),
        orders=orders([queries.order(row) for row in rows.orders]),
        fills=fills([queries.fill(row) for row in rows.fills], currency),
        denials=denials([queries.denial(row) for row in rows.denials]),
    )


def account(view: views.Account, currency: str) -> Facts:
    """Write out the account's numbers."""
    return Facts(
        title=f"Account, {currency}",
        state="live" if view.as_of else "empty",
        facts=(
            _fact("equity", f"Equity, {currency}", _amount(view.equity), _broker(view, view.broker_equity)),
            _fact("day", "Day change", _signed(view.day_pnl), _since(view)),
            _fact("unrealized", "Unrealized P&L", _signed(view.unrealized_pnl), "at the last prices"),
            _fact("realized", "Realized P&L", _signed(view.realized_pnl), "before commission"),
            _fact("commission", "Commission", _amount(view.commission), "since the first run"),
            _fact("cash", f"Cash, {currency}", _amount(view.cash), _broker(view, view.broker_cash)),
            _fact("gross", "Gross exposure", _amount(view.gross), f"net: {number(view.net, places=2, signed=True)}"),
        ),
    )


def _broker(view: views.Account, value: Decimal | None) -> str:
    said, today = moment(view.broker_reported)[:10], moment(view.as_of)[:10]
    on = "" if value is None or said == today else f" on {said}"
    return f"broker{on}: {number(value, places=2)}"


def _since(view: views.Account) -> str:
    if view.day_pnl is None or view.equity is None or view.day_from is None:
        return "no mark of an earlier day"
    before = view.equity - view.day_pnl
    ratio = f"{percent(view.day_pnl / before)} " if before else ""
    return f"{ratio}since {view.day_from:%b %d}"


def equity(points: Sequence[views.EquityPoint], currency: str) -> Chart:
    """Write out the curve; its summary says in words what the picture shows."""
    columns = (Column("Time (UTC)", "mono"), Column(f"Equity ({currency})", "num"))
    rows = tuple(
        Row(str(p.at.timestamp()), (Cell(moment(p.at)), Cell(number(p.equity, places=2))))
        for p in reversed(points[-CHART_TABLE_ROWS:])
    )
    state: PanelState = "live" if len(points) > 1 else "empty"
    return Chart(
        title="Equity",
        state=state,
        note=_curve_in_words(points, currency) if points else "The curve starts with the first closed bar.",
        points=tuple((int(p.at.timestamp()), number(p.equity, places=2)) for p in points),
        table=Table(
            title="Equity", caption=f"Equity, latest {len(rows)} marks, newest first", state=state, note="",
            columns=columns, rows=rows,
        ),
    )  # fmt: skip


def _curve_in_words(points: Sequence[views.EquityPoint], currency: str) -> str:
    first, last = points[0], points[-1]
    low, high = min(p.equity for p in points), max(p.equity for p in points)
    change = last.equity - first.equity
    ratio = f" ({percent(change / first.equity)})" if first.equity else ""
    return (
        f"{moment(first.at)[:10]} to {moment(last.at)[:10]}: {money(change, currency, signed=True)}{ratio}, "
        f"lowest {number(low, places=2)}, highest {number(high, places=2)}"
    )


def data(status: views.Status) -> Table:
    """Write out the last bar of every instrument; missing, stale and fresh are different words."""
    bad = [age for age in status.data if age.state != "fresh"]
    note = f"{len(bad)} of {len(status.data)} not fresh" if bad else "age on the trader's clock"
    return Table(
        title="Market data",
        caption="Last bar of each instrument and its age on the trader's clock",
        state=_table_state(status.data, stale=bool(bad)),
        note=note if status.data else "No instrument is configured yet: a trader names them when it starts.",
        columns=(Column("Instrument"), Column("Last bar (UTC)", "mono"), Column("Age")),
        rows=tuple(_data_row(age) for age in status.data),
    )


def _data_row(age: views.DataAge) -> Row:
    old = duration(age.age_s)
    words = {
        "fresh": Cell(f"fresh, {old}", "gain"),
        "stale": Cell(f"stale, {old}", "warn"),
        "missing": Cell("no bar", "bad"),
    }
    return Row(age.instrument, (Cell(age.instrument), _time(age.last_bar), words[age.state]))


def positions(rows: Sequence[views.Position], currency: str) -> Table:
    """Write out what is held, per strategy."""
    held = [row for row in rows if row.quantity]
    flat = len(rows) - len(held)
    note = f"prices, value and P&L in {currency}" if held else "Nothing is held. Positions appear with a first fill."
    return Table(
        title="Positions",
        caption="Positions of each strategy, valued at the last price",
        state=_table_state(held),
        note=f"{note} {flat} closed." if flat and not held else note,
        columns=(
            Column("Instrument"), Column("Strategy"), Column("Quantity", "num"), Column("Average", "num"),
            Column("Last", "num"), Column("Value", "num"), Column("Unrealized", "num"), Column("Realized", "num"),
        ),
        rows=tuple(_position_row(row) for row in held),
    )  # fmt: skip


def _position_row(row: views.Position) -> Row:
    return Row(
        f"{row.strategy}/{row.instrument}",
        (
            Cell(row.instrument, "", f"as of {moment(row.as_of)} UTC"), Cell(row.strategy),
            Cell(number(row.quantity, signed=True)), _text(row.average_price, price(row.average_price)),
            _text(row.last_price, price(row.last_price)), _amount(row.market_value),
            _signed(row.unrealized_pnl), _signed(row.realized_pnl),
        ),
    )  # fmt: skip


def strategies(rows: Sequence[views.Strategy], currency: str) -> Table:
    """Write out each strategy beside its capital."""
    note = f"values in {currency}" if rows else "No strategy is configured yet: a trader names them when it starts."
    return Table(
        title="Strategies",
        caption="Strategies of the latest run with their books",
        state=_table_state(rows),
        note=note,
        columns=(
            Column("Strategy"), Column("Stage"), Column("Capital", "num"), Column("Equity", "num"),
            Column("P&L", "num"),
        ),
        rows=tuple(
            Row(row.id, (Cell(row.id, "", row.source), Cell(row.stage), Cell(number(row.capital, places=0)),
                         _amount(row.equity), _signed(row.pnl)))
            for row in rows
        ),
    )  # fmt: skip


def orders(rows: Sequence[views.Order]) -> Table:
    """Write out the latest orders with their state in words."""
    note = f"latest {len(rows)}" if rows else "No order yet. One follows when a target differs from a position."
    return Table(
        title="Orders",
        caption="Latest orders, newest first",
        state=_table_state(rows),
        note=note,
        columns=(
            Column("Instrument"), Column("Decided (UTC)", "mono"), Column("Side"), Column("Quantity", "num"),
            Column("Type"), Column("Filled", "num"), Column("Average price", "num"), Column("State"),
            Column("Reason", "wide"), Column("Strategy"), Column("Order", "mono"),
        ),
        rows=tuple(_order_row(row) for row in rows),
    )  # fmt: skip


def _order_row(row: views.Order) -> Row:
    words, state_tone = ORDER_STATES[row.state]
    terms = " ".join(price(p) for p in (row.limit_price, row.stop_price) if p is not None)
    known = f"last known: {row.last_state}, " if row.state == queries.UNKNOWN else ""
    average = price(row.average_price) if row.filled else "–"
    return Row(
        row.id,
        (
            Cell(row.instrument), _time(row.decided), Cell(row.side), Cell(number(row.quantity)),
            Cell(f"{row.type} {terms}".strip()), Cell(number(row.filled)), Cell(average),
            Cell(words, state_tone, f"{known}since {moment(row.updated)} UTC"), Cell(row.reason), Cell(row.strategy),
            Cell(row.id),
        ),
    )  # fmt: skip


def fills(rows: Sequence[views.Fill], currency: str) -> Table:
    """Write out the latest executions."""
    return Table(
        title="Fills",
        caption="Latest executions, newest first",
        state=_table_state(rows),
        note=f"latest {len(rows)}, values in {currency}" if rows else "No fill yet. Fills follow working orders.",
        columns=(
            Column("Instrument"), Column("Time (UTC)", "mono"), Column("Side"), Column("Quantity", "num"),
            Column("Price", "num"), Column("Commission", "num"), Column("Strategy"),
        ),
        rows=tuple(_fill_row(row) for row in rows),
    )  # fmt: skip


def _fill_row(row: views.Fill) -> Row:
    commission = Cell("not reported", "none") if row.commission is None else Cell(number(row.commission, places=2))
    return Row(
        row.exec_id,
        (
            Cell(row.instrument, "", f"order {row.order_id}, execution {row.exec_id}"), _time(row.at), Cell(row.side),
            Cell(number(row.quantity)), Cell(price(row.price)), commission, Cell(row.strategy),
        ),
    )  # fmt: skip


def denials(rows: Sequence[views.Denial]) -> Table:
    """Write out the latest orders that our gate refused, with every reason."""
    return Table(
        title="Refused orders",
        caption="Latest orders that the risk gate refused, newest first",
        state=_table_state(rows),
        note=f"latest {len(rows)}" if rows else "The risk gate has refused no order.",
        columns=(
            Column("Instrument"), Column("Time (UTC)", "mono"), Column("Order"), Column("Reason", "wide"),
            Column("Strategy"),
        ),
        rows=tuple(
            Row(f"{row.order_id}@{row.at.timestamp()}", (
                Cell(row.instrument, "", row.order_id), _time(row.at), Cell(f"{row.side} {number(row.quantity)}"),
                Cell("; ".join(row.detail or row.reasons)), Cell(row.strategy),
            ))
            for row in rows
        ),
    )  # fmt: skip


def _table_state(rows: Sequence[object], *, stale: bool = False) -> PanelState:
    if not rows:
        return "empty"
    return "stale" if stale else "live"


def _fact(key: str, label: str, value: Cell, hint: str) -> Fact:
    return Fact(key=key, label=label, value=value, hint=hint)


def _amount(value: Decimal | None) -> Cell:
    return _text(value, number(value, places=2))


def _signed(value: Decimal | None) -> Cell:
    return Cell(number(value, places=2, signed=True), "none" if value is None else tone(value))


def _text(value: object | None, text: str) -> Cell:
    return Cell(NOT_AVAILABLE, "none") if value is None else Cell(text)


def _time(at: datetime | None) -> Cell:
    return Cell(NOT_AVAILABLE, "none") if at is None else Cell(moment(at))
