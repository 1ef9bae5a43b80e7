"""Views to the page's panels."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from robotrader.ports import JournalReader
from robotrader.web import queries, views
from robotrader.web.formatting import NOT_AVAILABLE, duration, moment, money, number, percent, price, tone
from robotrader.web.frame import frame
from robotrader.web.layout import Cell, Chart, Column, Fact, Facts, Page, PanelState, Row, Table
from robotrader.web.snapshot import StatusRows

CURRENCY = "USD"
TABLE_ROWS = 50
CHART_POINTS = 600
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


def page(reader: JournalReader, rows: StatusRows, status: views.Status, *, state_dir: Path) -> Page:
    """Write out the whole page."""
    return Page(
        seq=status.seq,
        frame=frame(status, day=_signed(status.broker.day_pnl), state_dir=state_dir),
        account=account(status.broker),
        equity=equity(queries.equity(reader.equity(max_points=CHART_POINTS))),
        data=data(status.data),
        positions=positions(queries.positions(rows.positions, rows.run)),
        strategies=strategies(queries.strategies(rows.run, reader.books())),
        orders=orders([queries.order(row) for row in reader.orders(limit=TABLE_ROWS)]),
        fills=fills([queries.fill(row) for row in reader.fills(limit=TABLE_ROWS)]),
        denials=denials([queries.denial(row) for row in reader.denials(limit=TABLE_ROWS)]),
    )


def account(view: views.Account) -> Facts:
    """Write out the account's numbers."""
    facts = (
        Fact("equity", f"Equity, {CURRENCY}", _amount(view.equity), _broker(view, view.broker_equity)),
        Fact("day", "Day change", _signed(view.day_pnl), _since(view)),
        Fact("unrealized", "Unrealized P&L", _signed(view.unrealized_pnl), "at the last prices"),
        Fact("realized", "Realized P&L", _signed(view.realized_pnl), "before commission"),
        Fact("commission", "Commission", _amount(view.commission), "since the first run"),
        Fact("cash", f"Cash, {CURRENCY}", _amount(view.cash), _broker(view, view.broker_cash)),
        Fact("gross", "Gross exposure", _amount(view.gross), f"net: {number(view.net, places=2, signed=True)}"),
    )
    return Facts(title=f"Account, {CURRENCY}", state="live" if view.as_of else "empty", facts=facts)


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


def equity(points: Sequence[views.EquityPoint]) -> Chart:
    """Write out the curve; its summary says in words what the picture shows."""
    latest = points[-CHART_TABLE_ROWS:]
    table = Table(
        title="Equity",
        caption=f"Equity, latest {len(latest)} marks, newest first",
        state="live" if len(points) > 1 else "empty",
        note="",
        columns=(Column("Time (UTC)", "mono"), Column(f"Equity ({CURRENCY})", "num")),
        rows=tuple(Row(str(p.at.timestamp()), (_time(p.at), _amount(p.equity))) for p in reversed(latest)),
    )
    note = _curve_in_words(points) if points else "The curve starts with the first closed bar."
    texts = tuple((int(p.at.timestamp()), number(p.equity, places=2)) for p in points)
    return Chart(title="Equity", state=table.state, note=note, points=texts, table=table)


def _curve_in_words(points: Sequence[views.EquityPoint]) -> str:
    first, last = points[0], points[-1]
    low, high = min(p.equity for p in points), max(p.equity for p in points)
    change = last.equity - first.equity
    ratio = f" ({percent(change / first.equity)})" if first.equity else ""
    return (
        f"{moment(first.at)[:10]} to {moment(last.at)[:10]}: {money(change, CURRENCY, signed=True)}{ratio}, "
        f"lowest {number(low, places=2)}, highest {number(high, places=2)}"
    )


def data(ages: Sequence[views.DataAge]) -> Table:
    """Write out the last bar of every instrument; missing, stale and fresh are different words."""
    bad = sum(age.state != "fresh" for age in ages)
    table = _table(
        "Market data", "Last bar of each instrument and its age on the trader's clock",
        (Column("Instrument"), Column("Last bar (UTC)", "mono"), Column("Age")),
        [Row(age.instrument, (Cell(age.instrument), _time(age.last_bar), _age(age))) for age in ages],
        note=f"{bad} of {len(ages)} not fresh" if bad else "age on the trader's clock",
        empty="No instrument is configured yet: a trader names them when it starts.",
    )  # fmt: skip
    return replace(table, state="stale") if bad else table


def _age(age: views.DataAge) -> Cell:
    old = duration(age.age_s)
    fresh, stale, missing = Cell(f"fresh, {old}", "gain"), Cell(f"stale, {old}", "warn"), Cell("no bar", "bad")
    return {"fresh": fresh, "stale": stale, "missing": missing}[age.state]


def positions(rows: Sequence[views.Position]) -> Table:
    """Write out what is held, per strategy."""
    flat = sum(not row.quantity for row in rows)
    closed = f" {flat} closed." if flat else ""
    return _table(
        "Positions", "Positions of each strategy, valued at the last price",
        (Column("Instrument"), Column("Strategy"),
         *_numbers("Quantity", "Average", "Last", "Value", "Unrealized", "Realized")),
        [Row(f"{row.strategy}/{row.instrument}", (
            Cell(row.instrument, "", f"as of {moment(row.as_of)} UTC"), Cell(row.strategy),
            Cell(number(row.quantity, signed=True)), _price(row.average_price), _price(row.last_price),
            _amount(row.market_value), _signed(row.unrealized_pnl), _signed(row.realized_pnl),
        )) for row in rows if row.quantity],
        note=f"prices, value and P&L in {CURRENCY}",
        empty=f"Nothing is held. Positions appear with a first fill.{closed}",
    )  # fmt: skip


def strategies(rows: Sequence[views.Strategy]) -> Table:
    """Write out each strategy beside its capital."""
    return _table(
        "Strategies", "Strategies of the latest run with their books",
        (Column("Strategy"), Column("Stage"), *_numbers("Capital", "Equity", "P&L")),
        [Row(row.id, (
            Cell(row.id, "", row.source), Cell(row.stage), Cell(number(row.capital, places=0)), _amount(row.equity),
            _signed(row.pnl),
        )) for row in rows],
        note=f"values in {CURRENCY}",
        empty="No strategy is configured yet: a trader names them when it starts.",
    )  # fmt: skip


def orders(rows: Sequence[views.Order]) -> Table:
    """Write out the latest orders with their state in words."""
    return _table(
        "Orders", "Latest orders, newest first",
        (Column("Instrument"), Column("Decided (UTC)", "mono"), Column("Side"), *_numbers("Quantity"), Column("Type"),
         *_numbers("Filled", "Average price"), Column("State"), Column("Reason", "wide"), Column("Strategy"),
         Column("Order", "mono")),
        [_order_row(row) for row in rows],
        note=f"latest {len(rows)}",
        empty="No order yet. One follows when a target differs from a position.",
    )  # fmt: skip


def _order_row(row: views.Order) -> Row:
    words, state_tone = ORDER_STATES[row.state]
    terms = " ".join(price(p) for p in (row.limit_price, row.stop_price) if p is not None)
    known = f"last known: {row.last_state}, " if row.state == queries.UNKNOWN else ""
    return Row(row.id, (
        Cell(row.instrument), _time(row.decided), Cell(row.side), Cell(number(row.quantity)),
        Cell(f"{row.type} {terms}".strip()), Cell(number(row.filled)),
        Cell(price(row.average_price) if row.filled else "–"),
        Cell(words, state_tone, f"{known}since {moment(row.updated)} UTC"), Cell(row.reason), Cell(row.strategy),
        Cell(row.id),
    ))  # fmt: skip


def fills(rows: Sequence[views.Fill]) -> Table:
    """Write out the latest executions."""
    return _table(
        "Fills", "Latest executions, newest first",
        (Column("Instrument"), Column("Time (UTC)", "mono"), Column("Side"),
         *_numbers("Quantity", "Price", "Commission"), Column("Strategy")),
        [Row(row.exec_id, (
            Cell(row.instrument, "", f"order {row.order_id}, execution {row.exec_id}"), _time(row.at), Cell(row.side),
            Cell(number(row.quantity)), Cell(price(row.price)), _amount(row.commission, absent="not reported"),
            Cell(row.strategy),
        )) for row in rows],
        note=f"latest {len(rows)}, values in {CURRENCY}",
        empty="No fill yet. Fills follow working orders.",
    )  # fmt: skip


def denials(rows: Sequence[views.Denial]) -> Table:
    """Write out the latest orders that our gate refused, with every reason."""
    return _table(
        "Refused orders", "Latest orders that the risk gate refused, newest first",
        (Column("Instrument"), Column("Time (UTC)", "mono"), Column("Order"), Column("Reason", "wide"),
         Column("Strategy")),
        [Row(f"{row.order_id}@{row.at.timestamp()}", (
            Cell(row.instrument, "", row.order_id), _time(row.at), Cell(f"{row.side} {number(row.quantity)}"),
            Cell("; ".join(row.detail or row.reasons)), Cell(row.strategy),
        )) for row in rows],
        note=f"latest {len(rows)}",
        empty="The risk gate has refused no order.",
    )  # fmt: skip


def _table(title: str, caption: str, columns: tuple[Column, ...], rows: list[Row], *, note: str, empty: str) -> Table:
    state: PanelState = "live" if rows else "empty"
    return Table(
        title=title, caption=caption, state=state, note=note if rows else empty, columns=columns, rows=tuple(rows)
    )


def _numbers(*labels: str) -> Iterable[Column]:
    return (Column(label, "num") for label in labels)


def _amount(value: Decimal | None, *, absent: str = NOT_AVAILABLE) -> Cell:
    return Cell(absent, "none") if value is None else Cell(number(value, places=2))


def _signed(value: Decimal | None) -> Cell:
    return Cell(number(value, places=2, signed=True), "none" if value is None else tone(value))


def _price(value: Decimal | None) -> Cell:
    return Cell(price(value), "none" if value is None else "")


def _time(at: datetime | None) -> Cell:
    return Cell(moment(at), "none" if at is None else "")
