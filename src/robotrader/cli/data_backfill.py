"""`data backfill`: past bars from the broker."""

from typing import Annotated, Any

import typer
from msgspec import structs

from robotrader.cli.command import DATA, OK, PARTIAL, Answer, Call, facts
from robotrader.model import BarSpec


async def backfill(
    call: Call,
    symbols: Annotated[list[str], typer.Argument(metavar="SYM...", help="Symbols or ids (AAPL, AAPL.NASDAQ).")],
    *,
    start: Annotated[str, typer.Option(help="First session, ISO date.")],
    end: Annotated[str | None, typer.Option(help="Last session, ISO date; default: the last one.")] = None,
    spec: Annotated[BarSpec, typer.Option(help="Length of a bar: 1m, 5m, 15m or 1d.")] = BarSpec.DAY,
    host: Annotated[str | None, typer.Option(help="Where the gateway listens; default: broker.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; default: broker.port.")] = None,
    account: Annotated[str | None, typer.Option(help="Its account; default: broker.account.")] = None,
) -> Answer:
    """Fetch past bars from the broker into the lake: what it lacks only, and on from where an earlier run ended."""
    from robotrader import bootstrap
    from robotrader.config import load_settings
    from robotrader.monitoring.log import configure

    settings, _ = load_settings(call.config)
    configure("DEBUG" if call.verbose else "WARNING", settings.log.format)
    given = {"host": host, "port": port, "account": account}
    where = structs.replace(settings.broker, **{name: value for name, value in given.items() if value is not None})
    options = bootstrap.BackfillOptions(
        instruments=tuple(symbols), spec=spec, start=start, end=end, special=settings.data.special_days
    )
    shown = _Progress(call)
    report = await bootstrap.backfill(options, where, call.state, told=shown.told)
    failed = {str(iid): why for iid, why in report.failed.items()}
    payload = {name: getattr(report, name) for name in report.__struct_fields__ if name not in {"rows", "failed"}}
    payload |= {"eta_s": round(report.eta_s, 1), **{name: report.rows[name] for name in _ROWS}}
    text = facts(payload | {f"failed: {iid}": why for iid, why in failed.items()})
    code = OK if not failed else PARTIAL if report.answered else DATA
    return Answer(payload | {"failed": failed}, text, code)


_ROWS = ("rows_written", "rows_duplicate", "rows_restated", "rows_quarantined")


class _Progress:
    """Say what is to be done and how long it will take, then how far it has come."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._show: Any = None

    def told(self, report: Any) -> None:
        if self._show is None:
            minutes = report.eta_s / 60
            self._call.note(
                f"{report.requests} requests, about {minutes:.1f} min: IBKR allows 60 in 10 minutes, and an answer is "
                f"taken to need 2 s; {report.sessions_known} sessions are known already"
            )
            self._show = self._call.progress(report.requests, "backfill")
        self._show(report.answered)
