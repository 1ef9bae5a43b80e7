"""The pages: overview, live stream, login, and the plain forms that work without JavaScript."""

import math
import secrets

from quart import Blueprint, Response, g, redirect, render_template, request
from werkzeug.exceptions import BadRequest, Forbidden, TooManyRequests
from werkzeug.wrappers import Response as AnyResponse

from robotrader.model import Action
from robotrader.web.context import web
from robotrader.web.frame import stop_command
from robotrader.web.security import csrf, set_session_cookie
from robotrader.web.sessions import redeem_login_code

blueprint = Blueprint("dashboard", __name__)

MAX_REASON = 200


@blueprint.get("/")
async def overview() -> str:
    """Show the overview, complete as it is sent."""
    panels = await web().live.panels()
    asks = [_ask(action) for action in (Action.HALT, Action.REDUCE)]
    return await render_template("overview.html", page=panels.page, asks=asks)


@blueprint.get("/events")
async def events() -> Response:
    """Stream changed panels; a reader says what it has seen by `Last-Event-ID`, or by `after` at first."""
    if web().live.full:
        raise TooManyRequests("Too many live pages are open: close one, this page does not move until then.")
    if request.method == "HEAD":  # the page asks why its stream was refused
        return Response("", content_type="text/event-stream")
    seen = request.headers.get("Last-Event-ID", request.args.get("after", ""))
    sessions, session_id = web().sessions, g.session_id
    after = int(seen) if seen.isdecimal() and len(seen) < 20 else None
    stream = web().live.stream(after, lambda: sessions.is_open(session_id))
    response = Response(stream, content_type="text/event-stream")
    response.timeout = None
    return response


@blueprint.get("/login")
async def login() -> str:
    """Show the login page; its script sends the code of the one-time link."""
    return await render_template("login.html")


@blueprint.post("/login")
async def redeem() -> AnyResponse:
    """Swap a one-time code for a session."""
    if wait := web().logins.wait_s():
        raise TooManyRequests("Too many attempts. Wait a minute.", retry_after=math.ceil(wait))
    code = (await request.form).get("code", "").strip()
    if not code or not redeem_login_code(web().state_dir, code, now=web().now):
        web().logins.fail()
        raise Forbidden("This link was used or has expired. `robotrader dashboard` prints a new one.")
    if g.session_id is not None:
        web().sessions.close(g.session_id)
    response = redirect("/", 303)
    set_session_cookie(response, web().sessions.open())
    return response


@blueprint.post("/logout")
async def logout() -> AnyResponse:
    """End the session."""
    web().sessions.close(g.session_id)
    response = redirect("/login", 303)
    set_session_cookie(response, "")
    return response


@blueprint.get("/<any(halt, reduce):action>")
async def confirm(action: str) -> str:
    """Show what the request does before it is made."""
    await web().refuse_to_loosen(Action(action))
    panels = await web().live.panels()
    return await render_template("stop.html", page=panels.page, ask=_ask(Action(action)))


@blueprint.post("/<any(halt, reduce):action>")
async def stop(action: str) -> AnyResponse:
    """Make the request from a plain form."""
    form = await request.form
    reason, key = form.get("reason", "").strip(), form.get("idempotency_key", "")
    if len(reason) > MAX_REASON or not key:
        raise BadRequest(f"A request has a key and a reason of at most {MAX_REASON} characters.")
    await web().ask(key, Action(action), reason or "no reason given")
    return redirect("/", 303)


def _ask(action: Action) -> dict[str, str]:
    """Return what the form of a request needs."""
    return {
        "action": action.value,
        "csrf_token": csrf(),
        "key": secrets.token_urlsafe(16),
        "command": stop_command(action.value, web().state_dir),
    }
