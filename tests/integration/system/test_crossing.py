"""Strategies that want the opposite of each other: in a backtest as over the wire, and the books add up."""

import asyncio
from decimal import Decimal
from pathlib import Path

from robotrader import bootstrap
from robotrader.cli.parity import compare, wire_run
from robotrader.model import Crossed, StrategyConfig, StrategyId

CAPITAL = Decimal(500_000)


def test_opposite_strategies_meet_inside_and_the_books_still_are_the_account(tmp_path: Path) -> None:
    panel = bootstrap.first_sessions(bootstrap.load_data("sample:AAPL", state=tmp_path).panel, 60)
    follow, fade = (
        StrategyConfig(id=StrategyId(name), source=f"{Path(__file__).with_name('contrary.py')}:{name}",
                       universe=panel.ids, capital=CAPITAL, sizer=sizer)
        for name, sizer in (("Follow", "fixed:100"), ("Fade", "fixed:70"))
    )  # fmt: skip
    backtest = bootstrap.backtest([follow, fade], panel, limits="paper", costs=bootstrap.Costs(), keep_commands=True)
    wire = asyncio.run(wire_run([follow, fade], panel, tmp_path / "wire"))
    _, differences = compare(backtest, wire)
    assert not differences, differences[:5]
    meetings = [c for c in wire.commands if isinstance(c, Crossed)]
    assert len(meetings) > 10
    assert meetings == [c for c in backtest.commands if isinstance(c, Crossed)]
    report = bootstrap.verify(tmp_path / "wire")
    assert {name: found.detail for name, found in report.invariants.items() if not found.ok} == {}
    assert report.ok
    books = {book.strategy: book for book in backtest.final.books}
    assert sum(book.equity for book in books.values()) == backtest.final.equity
    for name, book in books.items():
        paid = {c.exec_id: c.amount for c in backtest.commissions}
        mine = [f for f in backtest.fills if f.strategy == name]
        cash = CAPITAL - sum(f.side.sign * f.quantity * f.price + paid.get(f.exec_id, 0) for f in mine)
        assert cash == book.cash
