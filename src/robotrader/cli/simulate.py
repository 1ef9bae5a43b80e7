"""Backtests, and their comparison with a live trader over the wire."""

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from robotrader.cli.command import FAILED, OK, Answer, Call, command, facts, iso
from robotrader.cli.options import AsOf, Data, Parameters, Strategy, moment, parse_parameters

if TYPE_CHECKING:
    from robotrader.bootstrap import Costs
    from robotrader.research.backtest import BacktestResult

Resize = Annotated[str | None, typer.Option(help="on_change or every_bar; default: the strategy's own.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "backtest")(backtest)
    command(app, "parity")(parity)


def backtest(
    call: Call,
    strategy: Strategy,
    *,
    data: Data,
    p: Parameters = None,
    symbol: Annotated[str | None, typer.Option(help="Take this symbol only.")] = None,
    start: Annotated[str | None, typer.Option(help="First session, ISO date.")] = None,
    end: Annotated[str | None, typer.Option(help="Last session, ISO date.")] = None,
    as_of: AsOf = None,
    cash: Annotated[str, typer.Option(help="Capital.")] = "1000000",
    sizer: Annotated[
        str,
        typer.Option(
            help="fixed:N, notional:X, percent:R, all_in, atr:R, volatility:R, kelly:F; for all names "
            "together equal:G, inverse_volatility:G, risk_parity:G or min_variance:G."
        ),
    ] = "fixed:100",
    resize: Resize = None,
    commission: Annotated[str, typer.Option(help="ibkr_fixed, ibkr_tiered, bps:X or none.")] = "ibkr_fixed",
    slippage: Annotated[str, typer.Option(help="Half spread, bps:X or none.")] = "bps:1",
    impact: Annotated[float, typer.Option(help="Coefficient of the square-root law of impact.", min=0)] = 1.0,
    borrow: Annotated[float, typer.Option(help="What shorts pay a year: 0.01 is 1 %.", min=0)] = 0.01,
    participation: Annotated[float, typer.Option(help="Share of a bar's volume that fills.", min=0, max=1)] = 0.1,
    stop_loss: Annotated[
        str | None,
        typer.Option(help="percent:R or atr:K behind the price; trailing_percent and trailing_atr follow it."),
    ] = None,
    take_profit: Annotated[str | None, typer.Option(help="percent:R or atr:K before the price.")] = None,
    time_exit: Annotated[str | None, typer.Option(help="Close what was held for so long: 90m, 12h or 10d.")] = None,
    turnover_buffer: Annotated[float, typer.Option(help="Leave targets that would change by less than this part.")] = 0,
    cluster_correlation: Annotated[
        float | None, typer.Option(help="Names whose returns correlate above this share one exposure.")
    ] = None,
    drawdown_throttle: Annotated[
        str | None, typer.Option(help="Smaller targets in a drawdown: 0.05:0.5,0.10:0.")
    ] = None,
    fill: Annotated[str, typer.Option(help="next_open, this_close or next_close.")] = "next_open",
    adjust: Annotated[str, typer.Option(help="none, splits or all: what is taken out of the lake's prices.")] = "none",
    limits: Annotated[str, typer.Option(help="Limit profile: research, paper or live.")] = "research",
    engine: Annotated[str, typer.Option(help="auto, event or fast (the compiled kernel).")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for run.json, Parquet files and the tearsheet.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="The same, under runs/ of the state folder by its id.")] = False,
) -> Answer:
    """Run one backtest over recorded bars, with the trader that also trades live."""
    from robotrader import bootstrap
    from robotrader.model import ConfigError
    from robotrader.research.report import summary

    if engine not in {"auto", "event", "fast"}:
        raise ConfigError(f"engine must be auto, event or fast; found {engine!r}")
    known = moment(as_of)
    loaded = bootstrap.load_data(data, symbol=symbol, start=start, end=end, as_of=known, state=call.state)
    say_quarantined(call, loaded)
    panel, actions = bootstrap.with_actions(data, loaded.panel, adjust, call.state, as_of=known)
    configured = structs.replace(
        configured_strategy(strategy, loaded, parameters=p, cash=cash, sizer=sizer, resize=resize),
        stop_loss=stop_loss, take_profit=take_profit, time_exit=time_exit, turnover_buffer=turnover_buffer,
        cluster_correlation=cluster_correlation, drawdown_throttle=drawdown_throttle,
    )  # fmt: skip
    costs = costs_of(
        commission=commission, slippage=slippage, fill=fill, participation=participation, impact=impact, borrow=borrow
    )
    result, counted = bootstrap.counted_backtest(
        call.state, configured, panel, data_hash=loaded.data_hash, limits=limits, costs=costs, actions=actions,
        engine=engine, progress=call.progress(len(panel), "backtest"),
    )  # fmt: skip
    note = {"adjust": adjust, "quarantined": len(loaded.quarantined), **_as_known(loaded, known)}
    payload = {**summary(configured, panel, result, data_hash=loaded.data_hash), **counted, **note}
    folders = [out] if out else []
    folders += [call.state / bootstrap.RUNS / payload["run_id"]] if keep else []
    for folder in folders:
        from robotrader.research.run_folder import write_run

        write_run(folder, payload, panel, result, configs=[configured], actions=actions)
    return Answer(payload, _text(payload))


def _as_known(loaded: Any, known: int | None) -> dict[str, Any]:
    at = iso(known)
    return {"as_of": at, "data_note": loaded.note + (f", as known at {at}" if at else "")}


def say_quarantined(call: Call, loaded: Any) -> None:
    """Tell people what was set aside of the data."""
    for bad in loaded.quarantined[:10]:
        call.note(f"quarantined: {bad.source} row {bad.row}: {bad.rule}: {bad.detail}")
    if len(loaded.quarantined) > 10:
        call.note(f"quarantined: {len(loaded.quarantined)} rows in all")


def costs_of(
    *, commission: str, slippage: str, fill: str, participation: float, impact: float, borrow: float
) -> "Costs":
    """Return the costs that options of `backtest` name."""
    from robotrader import bootstrap
    from robotrader.model import ConfigError

    if fill not in {"next_open", "this_close", "next_close"}:
        raise ConfigError(f"fill must be next_open, this_close or next_close; found {fill!r}")
    return bootstrap.Costs(
        commission=commission, half_spread_bps=_half_spread(slippage), fill=fill, participation=participation,
        impact=Decimal(str(impact)), borrow_rate=Decimal(str(borrow)),
    )  # fmt: skip


def _half_spread(text: str) -> Decimal:
    from robotrader.model import ConfigError

    if text == "none":
        return Decimal(0)
    kind, _, number = text.partition(":")
    try:
        value = Decimal(number)
    except ArithmeticError:
        value = Decimal("NaN")
    if kind != "bps" or not value.is_finite() or value < 0:
        raise ConfigError(f"slippage must be bps:X (half spread) or none; found {text!r}")
    return value


def configured_strategy(
    strategy: str, loaded: Any, *, parameters: list[str] | None, cash: str, sizer: str, resize: str | None
) -> Any:
    """Return a strategy as options of `backtest` configure it."""
    from robotrader.model import ConfigError, StrategyConfig
    from robotrader.model import Resize as Rule
    from robotrader.strategy.loading import id_of

    if resize not in {None, *Rule}:
        raise ConfigError(f"resize must be on_change or every_bar; found {resize!r}")
    try:
        capital = Decimal(cash)
    except ArithmeticError:
        capital = Decimal("NaN")
    if not capital.is_finite() or capital <= 0:
        raise ConfigError(f"cash must be a positive amount; found {cash!r}")
    return StrategyConfig(
        id=id_of(strategy), source=strategy,
        universe=loaded.panel.ids, capital=capital, sizer=sizer, parameters=parse_parameters(parameters),
        resize=Rule(resize) if resize else None,
    )  # fmt: skip


_SHOWN = (
    "engine", "bars", "orders", "fills", "round_trips", "denied", "corporate_actions", "final_equity", "total_return",
    "cagr",
    "sharpe", "sortino", "max_drawdown", "volatility", "turnover", "commission", "slippage_cost",
    "borrow_cost", "limits", "trial", "trials", "effective_trials", "deflated_sharpe", "minimum_backtest_years",
    "seconds",
    "bars_per_second", "data_note",
)  # fmt: skip


def _text(payload: dict[str, Any]) -> str:
    shown: dict[str, Any] = {name: payload[name] for name in _SHOWN if payload[name] != ""}
    return facts({**shown, "assumed": ", ".join(f"{k} {v}" for k, v in payload["assumptions"].items())})


async def parity(
    call: Call,
    strategy: Strategy,
    *,
    data: Data,
    p: Parameters = None,
    days: Annotated[int | None, typer.Option(help="Only the first N sessions.", min=1)] = None,
    as_of: AsOf = None,
) -> Answer:
    """Compare the backtest with a live trader over the wire: decisions, orders and fills, one by one."""
    from robotrader import bootstrap
    from robotrader.cli.parity import compare, wire_run

    known = moment(as_of)
    loaded = bootstrap.load_data(data, as_of=known, state=call.state)
    panel = bootstrap.first_sessions(loaded.panel, days)
    configured = configured_strategy(strategy, loaded, parameters=p, cash="1000000", sizer="fixed:100", resize=None)
    event: BacktestResult = bootstrap.backtest(
        [configured], panel, limits="paper", costs=bootstrap.Costs(), keep_commands=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="robotrader-parity-") as folder:
        wire = await wire_run([configured], panel, Path(folder))
    compared, differences = compare(event, wire)
    payload = {
        "bars": panel.bar_count, "orders": len(event.orders), "fills": len(event.fills),
        "compared": {"event_wire": compared}, "differences": differences,
        "orders_hash": event.orders_hash, "fills_hash": event.fills_hash,
        "first_session": iso(int(panel.ts[0])), "last_session": iso(int(panel.ts[-1])), **_as_known(loaded, known),
    }  # fmt: skip
    same = not differences and sum(compared.values()) > 0
    text = facts({**{f"compared {k}": v for k, v in compared.items()}, "differences": len(differences)})
    return Answer(payload, "\n".join([text, *differences[:20]]), OK if same else FAILED)
