"""The API's routes: thin, each one query and one view."""

from collections.abc import Callable, Sequence
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
from robotrader.web.snapshot import SnapshotReader

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

MAX_KEY = 128


class Everything(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All there is: no parameters."""


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a listing: `after` is the cursor that the page before ended with."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    after: Annotated[int, Meta(ge=0, le=2**62)] | None = None


class Curve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many points; of more, the lowest and highest of each stretch stay."""

    max_points: Annotated[int, Meta(ge=2, le=10_000)] = 1_000


class Which(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose decisions: those that led to one order, or the latest."""

    order: Annotated[OrderId, Meta(max_length=40)] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class NewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the trader: `halt` or `reduce`; `resume` is given on the console only."""

    action: Action
    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "no reason given"


class Key(Struct, frozen=True, kw_only=True):
    """Every request carries a key of the caller's making: the same key again is the same request."""

    idempotency_key: str


def _list(
    name: str, item: type[views.View], doc: str, read: Callable[[SnapshotReader, Any], Sequence[Any]],
    *, query: type[Struct] = Everything,
) -> None:  # fmt: skip
    """Serve what `read` finds as `{name: [item, ...]}`; a `Page` also has the cursor of the `next` one."""
    fields: list[tuple[str, Any]] = [(name, list[item])]  # type: ignore[valid-type]
    answer = defstruct(name.capitalize(), fields + [("next", int | None)] * (query is Page), namespace={"__doc__": doc})

    async def handler(query_args: Any) -> dict[str, Any]:
        found = await web().read(lambda snapshots: read(snapshots, query_args))
        if query is not Page:
            return {name: found}
        return {name: found, "next": found[-1].cursor if len(found) == query_args.limit else None}

    handler.__name__, handler.__doc__ = name, doc
    served = errors(400, 401, 503)(validate_querystring(query)(validate_response(answer)(handler)))
    blueprint.get(f"/{name}")(served)


@blueprint.get("/status")
@validate_response(views.Status)
@errors(401, 503)
async def status() -> views.Status:
    """Tell mode, trading state, account and data ages."""
    return await web().status()


_list(
    "positions", views.Position, "List every strategy's holdings, closed ones too.",
    lambda s, _: queries.positions(s.reader.positions(), s.reader.run()),
)  # fmt: skip
_list(
    "orders", views.Order, "List orders, newest first; `next` is the `after` of the following page.",
    lambda s, page: [queries.order(row) for row in s.reader.orders(limit=page.limit, after=page.after)],
    query=Page,
)  # fmt: skip
_list(
    "fills", views.Fill, "List executions, newest first; `next` is the `after` of the following page.",
    lambda s, page: [queries.fill(row) for row in s.reader.fills(limit=page.limit, after=page.after)],
    query=Page,
)  # fmt: skip
_list(
    "equity", views.EquityPoint, "Give the equity curve, oldest first.",
    lambda s, curve: queries.equity(s.reader.equity(max_points=curve.max_points)), query=Curve,
)  # fmt: skip
_list(
    "strategies", views.Strategy, "List the strategies of the latest run with their books.",
    lambda s, _: queries.strategies(s.reader.run(), s.reader.books()),
)  # fmt: skip
_list(
    "denials", views.Denial, "List the orders that the risk gate refused, newest first.",
    lambda s, _: [queries.denial(row) for row in s.reader.denials()],
)  # fmt: skip
_list(
    "decisions", views.Decision, "List decisions, newest first: what a strategy said and what came of it.",
    lambda s, of: [queries.decision(row) for row in s.reader.decisions(order_id=of.order, limit=of.limit)],
    query=Which,
)  # fmt: skip
_list(
    "requests", views.Request, "List operators' requests, newest first, and whether the trader has taken them.",
    lambda s, _: [queries.request(row) for row in s.reader.requests()],
)  # fmt: skip


@blueprint.post("/requests")
@validate_headers(Key)
@validate_request(NewRequest)
@validate_response(RequestAck, 202)
@errors(400, 401, 403, 409, 503)
async def ask(data: NewRequest, headers: Key) -> tuple[RequestAck, int]:
    """Ask the trader to halt or to reduce; the answer comes when the request is durable."""
    if data.action is Action.RESUME:
        raise Forbidden(f"Trading is resumed on the console only: {resume_command(web().state_dir)}")
    if data.action in {Action.RECONCILE, Action.RESOLVE}:
        raise Forbidden("Books are compared and tickets resolved on the console only: robotrader reconcile")
    if not 8 <= len(headers.idempotency_key) <= MAX_KEY:
        raise BadRequest(f"An Idempotency-Key has 8 to {MAX_KEY} characters.")
    return await web().ask(headers.idempotency_key, data.action, data.reason), 202
