"""The dashboard process."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from robotrader.adapters import process_files
from robotrader.adapters.process_files import write_port
from robotrader.bootstrap.storage import reader, request


class DashboardOptions(Struct, frozen=True, kw_only=True):
    """Where the dashboard listens, and what it says of the data."""

    host: str = "127.0.0.1"
    port: int = 8787
    simulated: bool = False
    data_note: str = ""


async def dashboard(
    options: DashboardOptions,
    state: Path,
    *,
    shutdown: Callable[[], Awaitable[object]],
    ready: Callable[[int], None],
) -> None:
    """Serve the dashboard until `shutdown` returns; `ready` is told the port."""
    from robotrader.web.app import create_app, serve
    from robotrader.web.config import WebConfig

    config = WebConfig(host=options.host, port=options.port, simulated=options.simulated, data_note=options.data_note)
    app = create_app(lambda: reader(state), lambda a, r, w: request(state, a, r, w), config, state_dir=state)

    def listening(port: int) -> None:
        write_port(state, "dashboard", port)
        ready(port)

    try:
        await serve(app, options.host, options.port, shutdown, ready=listening)
    finally:
        process_files.forget_port(state, "dashboard")


def login_link(state: Path, host: str, port: int) -> str:
    """Return a new one-time login link of the dashboard."""
    from robotrader.web.sessions import issue_login_code, login_url

    return login_url(host, port, issue_login_code(state))


def dashboard_port(state: Path) -> int | None:
    """Return where the dashboard of a state folder listens, None when it does not."""
    return process_files.read_port(state, "dashboard")
