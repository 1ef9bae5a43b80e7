"""What every request must pass, and what every response carries. Default deny: a new route is closed until it is named.

Loopback is no trust boundary: any web page can make the browser send requests here. So: the Host must be ours (DNS
rebinding), a change must come from our own page (Origin, Sec-Fetch-Site, CSRF token), and reading needs a session too.
"""

import hmac
from urllib.parse import urlsplit

from quart import Quart, Response, g, redirect, request
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from robotrader.web.config import is_loopback
from robotrader.web.context import web
from robotrader.web.problems import MisdirectedRequest, wants_json
from robotrader.web.sessions import csrf_token

COOKIE = "__Host-rt"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = frozenset({"static", "healthz", "dashboard.login", "dashboard.redeem"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


def protect(app: Quart) -> None:
    """Put the guard before every request of `app` and the headers on every response."""
    app.before_request(_guard)
    app.after_request(_harden)


def csrf() -> str:
    """Return the CSRF token of the current session, empty without one."""
    return csrf_token(g.session_id) if g.get("session_id") else ""


def set_session_cookie(response: AnyResponse, session_id: str) -> None:
    """Hand the session to the browser, or take it back by an empty one; `__Host-` ties it to this host only."""
    kept_s = None if session_id else 0
    response.set_cookie(COOKIE, session_id, max_age=kept_s, secure=True, httponly=True, samesite="Strict", path="/")


async def _guard() -> AnyResponse | None:
    _check_host()
    unsafe = request.method not in SAFE_METHODS
    if unsafe:
        _check_origin()
    session_id = request.cookies.get(COOKIE, "")
    g.session_id = session_id if web().sessions.touch(session_id) else None
    if request.endpoint in PUBLIC:
        return None
    if g.session_id is None:
        if unsafe or wants_json() or request.endpoint == "dashboard.events":
            raise Unauthorized("Sign in with the one-time link that `robotrader dashboard` prints.")
        return redirect("/login", 303)
    if unsafe:
        await _check_csrf()
    return None


def _check_host() -> None:
    hosts = request.headers.getlist("Host")
    if len(hosts) != 1:
        raise BadRequest("A request needs exactly one Host header.")
    try:
        host = urlsplit(f"//{hosts[0]}").hostname or ""
    except ValueError:
        host = ""
    # Any port: an SSH tunnel may end at another one, and a foreign name is refused whatever its port.
    if not is_loopback(host):
        raise MisdirectedRequest


def _check_origin() -> None:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # With `Referrer-Policy: no-referrer` browsers send `Origin: null` from our own plain forms. They also say
    # `Sec-Fetch-Site: same-origin` then, which no page can forge.
    own = {None, f"{request.scheme}://{request.host}"} | ({"null"} if site == "same-origin" else set())
    if site not in {None, "same-origin"} or origin not in own:
        raise Forbidden("A change must come from this dashboard's own page.")


async def _check_csrf() -> None:
    given = request.headers.get("X-CSRF-Token")
    if given is None and not request.is_json:
        given = (await request.form).get("csrf_token")
    if given is None or not hmac.compare_digest(given.encode(), csrf().encode()):
        raise Forbidden("The page is out of date: load it again, then repeat.")


async def _harden(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response
