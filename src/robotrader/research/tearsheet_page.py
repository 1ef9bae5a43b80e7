"""The page of a tearsheet: one file of HTML without scripts or outside references."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from robotrader.research import charts
from robotrader.research.charts import quantity
from robotrader.research.tearsheet import Table, Tearsheet

_UNKNOWN = "unknown"
_PLACES = {"money": 2, "price": 4, "count": 0}
_STRONGEST = 0.10  # a month of this size has the strongest colour


def page(sheet: Tearsheet) -> str:
    """Return the page; every text from outside is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only where a page is made

    made = Environment(
        loader=PackageLoader("robotrader.research"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(cell=cell, tone=_tone, incomplete=_incomplete)
    tiles = {row[0]: (row[2], row[1]) for row in sheet.headline.rows}
    return made.get_template("tearsheet.html").render(
        sheet=sheet, s=sheet.sections, tiles=tiles, theme=charts.THEME, charts=_charts(sheet)
    )


def _charts(sheet: Tearsheet) -> Mapping[str, str]:
    lines = {name: curve.series for name, curve in sheet.curves.items()}
    beside = [lines["benchmark"]] if "benchmark" in lines else []
    fall = [lines["benchmark_drawdown"]] if "benchmark" in lines else []
    spans = [row for row in sheet.headline.rows if row[1] == "%" and row[3] is not None]
    labels, middle, low, high = ([row[k] for row in spans] for k in (0, 2, 3, 4))
    few, flat = (
        "unknown because there are fewer than 126 sessions",
        "unknown because fewer than two daily returns differ",
    )
    return {
        "equity": charts.line([lines["equity"], *beside], title="Equity"),
        "drawdown": charts.line([lines["drawdown"], *fall], title="Drawdown", unit="%", filled=True),
        "sharpe": charts.line([lines["rolling_sharpe"]], title="Sharpe ratio of the last 126 sessions", missing=few),
        "volatility": charts.line(
            [lines["rolling_volatility"]], title="Volatility of the last 126 sessions", unit="%", missing=few
        ),
        "returns": charts.histogram(np.array(sheet.returns), title="Daily returns", unit="%", missing=flat),
        "exposure": charts.line([lines["gross"], lines["net"]], title="Exposure, of equity", unit="%"),
        "intervals": charts.intervals(labels, low, middle, high, title="90 % intervals", unit="%", missing=flat),
    }


def cell(value: Any, unit: str) -> str:
    """Write a value: a sign with every ratio, `unknown` for what nobody knows, never 0 for it."""
    if value is None:
        return _UNKNOWN
    if isinstance(value, str) or unit == "text":
        return str(value)
    if unit in _PLACES:
        text = f"{value:,.{_PLACES[unit]}f}"
        if unit == "price":
            text = text.rstrip("0").ljust(text.index(".") + 3, "0")
        return text.replace("-", "−" if Decimal(text.replace(",", "")) else "")
    return quantity(float(value), "%" if unit in {"%", "heat"} else "")


def _tone(value: float | None) -> str:
    """Name the colour of a month: its sign, and how strong it is from 1 to 4."""
    if not value:
        return ""
    return f"{'g' if value > 0 else 'l'}{min(int(abs(value) / _STRONGEST * 4) + 1, 4)}"


def _incomplete(table: Table) -> bool:
    """Tell whether something in a table is unknown, or it has no rows; intervals are not made for every figure."""
    kept = [k for k, (name, unit) in enumerate(table.columns) if unit != "heat" and not name.startswith("90 %")]
    return not table.rows or any(row[k] is None for row in table.rows for k in kept)
