"""Errors as problem documents (RFC 9457) for programs and as a page for people."""

from http import HTTPStatus

import msgspec
from msgspec import Struct
from quart import Quart, Response, render_template, request
from quart_schema import RequestSchemaValidationError
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

from robotrader.model import RoboTraderError


class Problem(Struct, frozen=True, kw_only=True):
    """An error, as RFC 9457 describes it."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


class MisdirectedRequest(HTTPException):
    """The request names a host that is not this one (werkzeug knows no 421)."""

    code = HTTPStatus.MISDIRECTED_REQUEST
    description = "This dashboard answers only under its loopback address."


def register(app: Quart) -> None:
    """Answer every error of `app` with a problem document, or a page where a person asked."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(UnicodeDecodeError, _not_utf8)
    app.register_error_handler(RoboTraderError, _own_error)


async def _http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    detail = error.description or status.phrase
    if isinstance(error, RequestSchemaValidationError):
        detail = str(error.validation_error)
    problem = Problem(title=status.phrase, status=status, detail=detail)
    if wants_json():
        response = Response(msgspec.json.encode(problem), content_type="application/problem+json")
    else:
        response = Response(await render_template("problem.html", problem=problem, action=_refused_action()))
    response.status_code = status
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:  # Allow and Retry-After must stay
            response.headers.add(name, value)
    return response


async def _not_utf8(_: UnicodeDecodeError) -> Response:
    return await _http_error(BadRequest("The body must be UTF-8 text."))


async def _own_error(error: RoboTraderError) -> Response:
    return await _http_error(ServiceUnavailable(error.message))


def wants_json() -> bool:
    """Tell whether the answer goes to a program."""
    return request.path.startswith("/api/") or request.is_json


def _refused_action() -> str | None:
    """Name the operator's request that did not go through, so that the page can say how to make it otherwise."""
    action = request.path.removeprefix("/")
    return action if request.method == "POST" and action in {"halt", "reduce"} else None
