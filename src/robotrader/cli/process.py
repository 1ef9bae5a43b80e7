"""The long-running processes: trader, gateway simulator, dashboard."""

import asyncio
import signal
from collections.abc import Awaitable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import typer

from robotrader.cli.command import Answer, Call, command


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "trade")(trade)
    command(app, "gateway-sim")(gateway_sim)
    command(app, "dashboard")(dashboard)


def _stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Run `work` until it ends or `stop` is set, and let it clean up."""
    task, stopped = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def trade(
    call: Call,
    *,
    accept_code: Annotated[
        bool, typer.Option("--accept-code", help="Start although a strategy's file was edited since the last run.")
    ] = False,
) -> Answer:
    """Run the trader: recover, then trade until stopped."""
    from robotrader import bootstrap
    from robotrader.config import load_settings
    from robotrader.monitoring.log import configure

    settings, _ = load_settings(call.config)
    configure("DEBUG" if call.verbose else settings.log.level, settings.log.format)
    reason = await bootstrap.trade(settings, call.state, stop=_stop_event(), accept_code=accept_code)
    return Answer({"reason": reason, "state": call.state}, f"trader ended: {reason}")


async def gateway_sim(
    call: Call,
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 0,
    data: Annotated[str, typer.Option("--data", help="Dataset to replay.")] = "sample:all",
    days: Annotated[int | None, typer.Option(help="Only the first N sessions.", min=1)] = None,
    speed: Annotated[float | None, typer.Option(help="Times real time; in lock-step: steps a second.")] = None,
    server_version: Annotated[int, typer.Option(help="Highest server version offered.")] = 200,
    account: Annotated[str, typer.Option(help="Account that is served.")] = "DU1234567",
    cash: Annotated[str, typer.Option(help="Cash that the account starts with.")] = "1000000",
    lock_step: Annotated[bool, typer.Option("--lock-step", help="Time moves when the client asks for it.")] = False,
    step: Annotated[
        Literal["bar", "open", "session"], typer.Option(help="What a lock-step time request lets pass.")
    ] = "bar",
    master_client_id: Annotated[int | None, typer.Option(help="Client that is told of every client's orders.")] = None,
    delayed: Annotated[bool, typer.Option("--delayed", help="The account has delayed market data only.")] = False,
    pacing: Annotated[bool, typer.Option("--pacing", help="Refuse history that is asked for too fast (162).")] = False,
    participation: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of a bar's volume that fills at most.")
    ] = None,
    nights: Annotated[bool, typer.Option("--nights", help="The clock runs through nights and weekends too.")] = False,
    faults: Annotated[Path | None, typer.Option(help="YAML file of what goes wrong; each fault is logged.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the faults' chances, in place of the file's.")] = None,
) -> None:
    """Serve the IB Gateway simulator: the TWS protocol over replayed market data."""
    from robotrader import bootstrap
    from robotrader.monitoring.log import configure
    from robotrader.simulation.gateway.connection import MarketDataRules
    from robotrader.simulation.gateway.faults import read_script
    from robotrader.simulation.gateway.server import GatewayConfig

    script = read_script(faults, seed=seed) if faults is not None else None
    configure("DEBUG" if call.verbose else "INFO" if script else "WARNING")
    config = GatewayConfig(
        server_version=server_version, account=account, lock_step=lock_step, step=step, speed=speed,
        state=_folder(call.state), initial_cash=Decimal(cash), nights=nights, faults=script,
        master_client_id=master_client_id, market_data=MarketDataRules(delayed=delayed, pacing=pacing),
    )  # fmt: skip

    def ready(listening: int) -> None:
        call.emit(Answer({"port": listening}, f"gateway simulator listens on 127.0.0.1:{listening}"))

    costs = bootstrap.Costs(participation=participation)
    options = bootstrap.GatewayOptions(data=data, days=days, port=port, costs=costs)
    await _until(_stop_event(), bootstrap.gateway(options, config, ready=ready))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


async def dashboard(
    call: Call,
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8787,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    simulated: Annotated[bool, typer.Option("--simulated", help="Say that the broker is a simulator.")] = False,
    note: Annotated[str, typer.Option(help="What readers must know of the data.")] = "",
) -> None:
    """Serve the dashboard; prints a one-time login link."""
    from robotrader import bootstrap
    from robotrader.monitoring.log import configure

    configure("DEBUG" if call.verbose else "WARNING")
    call.state.mkdir(parents=True, exist_ok=True)

    def ready(listening: int) -> None:
        link = bootstrap.login_link(call.state, host, listening)
        call.emit(Answer({"url": f"http://{host}:{listening}", "login": link}, f"dashboard: {link}"))

    options = bootstrap.DashboardOptions(host=host, port=port, simulated=simulated, data_note=note)
    await bootstrap.dashboard(options, call.state, shutdown=_stop_event().wait, ready=ready)
