"""The API's routes: thin, each one query and one view."""

from typing import Annotated

from msgspec import Meta, Struct
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


@blueprint.get("/status")
@validate_response(views.Status)
@errors(401, 503)
async def status() -> views.Status:
    """Tell mode, trading state, account and data ages."""
    return web().describe(await web().read(lambda s: s.status()))


@blueprint.get("/positions")
@validate_response(views.Positions)
@errors(401, 503)
async def positions() -> views.Positions:
    """List every strategy's holdings, closed ones too."""
    rows, run = await web().read(lambda s: (s.reader.positions(), s.reader.run()))
    return views.Positions(positions=queries.positions(rows, run))


@blueprint.get("/orders")
@validate_querystring(Page)
@validate_response(views.Orders)
@errors(400, 401, 503)
async def orders(query_args: Page) -> views.Orders:
    """List orders."""
    rows = await web().read(lambda s: s.reader.orders(limit=query_args.limit, after=query_args.after))
    return views.Orders(
        orders=tuple(queries.order(row) for row in rows), next=rows[-1].id if len(rows) == query_args.limit else None
    )


@blueprint.get("/fills")
@validate_querystring(Page)
@validate_response(views.Fills)
@errors(400, 401, 503)
async def fills(query_args: Page) -> views.Fills:
    """List executions."""
    rows = await web().read(lambda s: s.reader.fills(limit=query_args.limit, after=query_args.after))
    return views.Fills(
        fills=tuple(queries.fill(row) for row in rows), next=rows[-1].id if len(rows) == query_args.limit else None
    )


@blueprint.get("/equity")
@validate_querystring(Curve)
@validate_response(views.Equity)
@errors(400, 401, 503)
async def equity(query_args: Curve) -> views.Equity:
    """Give the equity curve."""
    rows = await web().read(lambda s: s.reader.equity(max_points=query_args.max_points))
    return views.Equity(equity=queries.equity(rows))


@blueprint.get("/strategies")
@validate_response(views.Strategies)
@errors(401, 503)
async def strategies() -> views.Strategies:
    """List the strategies of the latest run with their books."""
    run, books = await web().read(lambda s: (s.reader.run(), s.reader.books()))
    return views.Strategies(strategies=queries.strategies(run, books))


@blueprint.get("/denials")
@validate_response(views.Denials)
@errors(401, 503)
async def denials() -> views.Denials:
    """List the orders that the risk gate refused."""
    rows = await web().read(lambda s: s.reader.denials())
    return views.Denials(denials=tuple(queries.denial(row) for row in rows))


@blueprint.get("/decisions")
@validate_querystring(Which)
@validate_response(views.Decisions)
@errors(400, 401, 503)
async def decisions(query_args: Which) -> views.Decisions:
    """List decisions: what a strategy said and what came of it."""
    order = None if query_args.order is None else OrderId(query_args.order)
    rows = await web().read(lambda s: s.reader.decisions(order_id=order, limit=query_args.limit))
    return views.Decisions(decisions=tuple(queries.decision(row) for row in rows))


@blueprint.get("/requests")
@validate_response(views.Requests)
@errors(401, 503)
async def requests() -> views.Requests:
    """List operators' requests and whether the trader has taken them."""
    rows = await web().read(lambda s: s.reader.requests())
    return views.Requests(requests=tuple(queries.request(row) for row in rows))


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
