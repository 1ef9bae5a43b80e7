"""The OpenAPI document of the API, with what quart-schema leaves out."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from quart_schema import DataSource, OpenAPIProvider, document_response
from werkzeug.routing.rules import Rule

from robotrader.web.problems import Problem

PREFIX = "/api/v1/"
F = TypeVar("F", bound=Callable[..., Any])


def errors(*codes: int) -> Callable[[F], F]:
    """Document that a route may answer with these problems."""

    def decorate(func: F) -> F:
        for code in codes:
            func = document_response(Problem, code)(func)
        return func

    return decorate


class Provider(OpenAPIProvider):
    """Describe the API only, and every type it names: quart-schema drops nested ones and leaves their $ref dangling."""

    def generate_rules(self) -> Iterable[Rule]:
        """Leave pages out."""
        return [rule for rule in super().generate_rules() if rule.rule.startswith(PREFIX)]

    def build_request_body(self, model: type[Any], source: DataSource) -> tuple[dict[str, Any], dict[str, Any]]:
        """Describe a body; it is never optional."""
        content, components = _content(model)
        return {"required": True, "content": content}, components

    def build_response_object(
        self, model: type[Any], headers_model: type[Any] | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Describe an answer, or a problem document."""
        content, components = _content(model)
        return {"description": (model.__doc__ or "").strip().splitlines()[0], "content": content}, components


def _content(model: type[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    (schema,), components = msgspec.json.schema_components([model], ref_template="#/components/schemas/{name}")
    media = "application/problem+json" if model is Problem else "application/json"
    return {media: {"schema": schema}}, components
