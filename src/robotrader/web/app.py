"""The dashboard's application and its server."""

import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config
from jinja2 import StrictUndefined
from quart import Quart
from quart_schema import Info, QuartSchema

from robotrader import __version__
from robotrader.model import ConfigError
from robotrader.ports import JournalReader
from robotrader.web import api, assets, dashboard, problems, security
from robotrader.web.config import WebConfig, require_loopback
from robotrader.web.context import EXTENSION, Web
from robotrader.web.openapi import Provider
from robotrader.web.requests import SubmitRequest
from robotrader.web.sessions import Now


def create_app(
    reader_factory: Callable[[], JournalReader],
    submit_request: SubmitRequest,
    config: WebConfig,
    *,
    state_dir: Path,
    now: Now = time.time,
) -> Quart:
    """Make the dashboard of one state folder.

    `reader_factory` is called once, in the thread that then reads. `submit_request` makes an operator's request
    durable: the only thing that is ever written outside `<state_dir>/web`. `now` is the wall clock in seconds.
    """
    app = Quart("robotrader.web", static_folder=None, template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.globals.update(csrf_token=security.csrf, version=__version__)
    app.extensions[EXTENSION] = context = Web(reader_factory, submit_request, config, state_dir=state_dir, now=now)
    security.protect(app)
    problems.register(app)
    QuartSchema(
        app,
        openapi_path="/api/openapi.json",
        redoc_ui_path=None,  # the three built-in viewers load their code from other hosts
        scalar_ui_path=None,
        swagger_ui_path=None,
        info=Info(title="RoboTrader", version=__version__),
        conversion_preference="msgspec",
        openapi_provider_class=Provider,
    )
    app.register_blueprint(api.blueprint)
    app.register_blueprint(dashboard.blueprint)
    assets.register(app, Path(app.root_path) / "static")
    app.add_url_rule("/healthz", "healthz", _healthz)
    app.after_serving(context.close)
    return app


async def serve(
    app: Quart,
    host: str,
    port: int,
    shutdown: Callable[[], Awaitable[object]],
    *,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve `app` on a loopback address until `shutdown` returns.

    `ready` is called with the port once connections are accepted (port 0 takes a free one). Raises `ConfigError`
    where the address is not loopback or is taken.
    """
    require_loopback(host)
    listener = _listen(host, port)
    if ready is not None:
        ready(listener.getsockname()[1])
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.include_server_header = False
    config.graceful_timeout = 2.0
    config.errorlog = config.accesslog = None  # a log line must never carry a request

    async def trigger() -> None:
        await shutdown()
        app.extensions[EXTENSION].live.close()  # open pages hold streams: end them first, or the server waits

    await serve_asgi(app, config, shutdown_trigger=trigger)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"The dashboard cannot listen on {host} port {port}: {error.strerror}. Choose another with --port.",
            host=host, port=port,
        ) from error  # fmt: skip


async def _healthz() -> dict[str, str]:
    """Tell that the process answers; no login."""
    return {"status": "ok"}
