"""The API's routes: thin, each one query and one view."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Struct, defstruct
from quart import Blueprint
from quart_schema import validate_headers, validate_querystring, validate_request, validate_response
from werkzeug.exceptions import BadRequest, Forbidden

from robotrader.model import Action, OrderId
from robotrader.web import queries, views
from robotrader.web.context import web
from robotrader.web.frame import resume_command
from robotrader.web.openapi import errors
from robotrader.web.requests import RequestAck

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

MAX_KEY = 128
Listing = dict[str, Any]


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a listing: `after` is the cursor that the page before ended with."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    after: Annotated[int, Meta(ge=0, le=2**62)] | None = None


class Curve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many points; of more, the lowest and highest of each stretch stay."""

    max_points: Annotated[int, Meta(ge=2, le=10_000)] = 1_000


class Which(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose decisions: those that led to one order, or the latest."""

    order: Annotated[str, Meta(max_length=40)] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class NewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the trader: `halt` or `reduce`; `resume` is given on the console only."""

    action: Action
    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "no reason given"


class Key(Struct, frozen=True, kw_only=True):
    """Every request carries a key of the caller's making: the same key again is the same request."""

    idempotency_key: str


Handler = Callable[..., Awaitable[Any]]


def _lists(name: str, item: type[views.View], query: type[Struct] | None = None) -> Callable[[Handler], Handler]:
    """Serve what the handler returns as `{name: [item, ...]}`, of a `Page` with the cursor of the `next` one."""
    fields: list[tuple[str, Any]] = [(name, list[item])]  # type: ignore[valid-type]
    fields += [("next", int | None)] if query is Page else []

    def register(handler: Handler) -> Handler:
        answer = defstruct(name.capitalize(), fields, namespace={"__doc__": handler.__doc__})
        served = errors(401, 503)(validate_response(answer)(handler))
        if query is not None:
            served = errors(400)(validate_querystring(query)(served))
        return blueprint.get(f"/{name}")(served)

    return register


@blueprint.get("/status")
@validate_response(views.Status)
@errors(401, 503)
async def status() -> views.Status:
    """Tell mode, trading state, account and data ages."""
    return await web().status()


@_lists("positions", views.Position)
async def positions() -> Listing:
    """List every strategy's holdings, closed ones too."""
    rows, run = await web().read(lambda s: (s.reader.positions(), s.reader.run()))
    return {"positions": queries.positions(rows, run)}


@_lists("orders", views.Order, Page)
async def orders(query_args: Page) -> Listing:
    """List orders, newest first; `next` is the `after` of the following page."""
    rows = await web().read(lambda s: s.reader.orders(limit=query_args.limit, after=query_args.after))
    following = rows[-1].id if len(rows) == query_args.limit else None
    return {"orders": [queries.order(row) for row in rows], "next": following}


@_lists("fills", views.Fill, Page)
async def fills(query_args: Page) -> Listing:
    """List executions, newest first; `next` is the `after` of the following page."""
    rows = await web().read(lambda s: s.reader.fills(limit=query_args.limit, after=query_args.after))
    following = rows[-1].id if len(rows) == query_args.limit else None
    return {"fills": [queries.fill(row) for row in rows], "next": following}


@_lists("equity", views.EquityPoint, Curve)
async def equity(query_args: Curve) -> Listing:
    """Give the equity curve, oldest first."""
    return {"equity": queries.equity(await web().read(lambda s: s.reader.equity(max_points=query_args.max_points)))}


@_lists("strategies", views.Strategy)
async def strategies() -> Listing:
    """List the strategies of the latest run with their books."""
    run, books = await web().read(lambda s: (s.reader.run(), s.reader.books()))
    return {"strategies": queries.strategies(run, books)}


@_lists("denials", views.Denial)
async def denials() -> Listing:
    """List the orders that the risk gate refused, newest first."""
    return {"denials": [queries.denial(row) for row in await web().read(lambda s: s.reader.denials())]}


@_lists("decisions", views.Decision, Which)
async def decisions(query_args: Which) -> Listing:
    """List decisions, newest first: what a strategy said and what came of it."""
    order = None if query_args.order is None else OrderId(query_args.order)
    rows = await web().read(lambda s: s.reader.decisions(order_id=order, limit=query_args.limit))
    return {"decisions": [queries.decision(row) for row in rows]}


@_lists("requests", views.Request)
async def requests() -> Listing:
    """List operators' requests, newest first, and whether the trader has taken them."""
    return {"requests": [queries.request(row) for row in await web().read(lambda s: s.reader.requests())]}


@blueprint.post("/requests")
@validate_headers(Key)
@validate_request(NewRequest)
@validate_response(RequestAck, 202)
@errors(400, 401, 403, 409, 503)
async def ask(data: NewRequest, headers: Key) -> tuple[RequestAck, int]:
    """Ask the trader to halt or to reduce; the answer comes when the request is durable."""
    if data.action is Action.RESUME:
        raise Forbidden(f"Trading is resumed on the console only: {resume_command(web().state_dir)}")
    if not 8 <= len(headers.idempotency_key) <= MAX_KEY:
        raise BadRequest(f"An Idempotency-Key has 8 to {MAX_KEY} characters.")
    return await web().ask(headers.idempotency_key, data.action, data.reason), 202
