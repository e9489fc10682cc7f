"""The OpenAPI document, made from the routes and the types that their handlers read and answer with.

It says 3.0 and not 3.1 because that is the newest version that the packaged Swagger UI can show.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import attrs
import msgspec
from quart import Quart
from werkzeug.routing import Rule

from acme_manager import __version__
from acme_manager.api.problem_kinds import ALL_KINDS
from acme_manager.api.problems import ProblemDocument
from acme_manager.api.schemas.common import Nothing, Text
from acme_manager.domain.report import Report
from acme_manager.domain.request import CertificateParams, TokenParams

BEARER, API_KEY = "bearer", "apiKey"

_F = TypeVar("_F", bound=Callable[..., Any])
_ATTRIBUTE = "acme_manager_operation"
_PLAIN = {Text: "text/plain"}
_REQUIRED = {CertificateParams: ["domain", "issuer"], TokenParams: ["username", "scope"], Report: ["host"]}


@attrs.frozen
class Operation:
    """What a handler's signature can't say: the types it answers with and reads, and the problems it may answer."""

    answers: Mapping[int, Any]
    problems: tuple[int, ...]
    security: tuple[str, ...]
    body: type[attrs.AttrsInstance] | None
    form: type[attrs.AttrsInstance] | None
    query: type[attrs.AttrsInstance] | None

    @property
    def types(self) -> Iterable[Any]:
        """Every type with a schema."""
        shapes = [shape for alternatives in self.answers.values() for shape in _alternatives(alternatives)]
        yield from (one for one in shapes if one is not Nothing and one not in _PLAIN)
        yield from (one for one in (self.body, self.form, self.query) if one is not None)


def describe(
    answers: Mapping[int, Any],
    *,
    problems: tuple[int, ...] = (),
    security: str | tuple[str, ...] = BEARER,
    body: type[attrs.AttrsInstance] | None = None,
    form: type[attrs.AttrsInstance] | None = None,
    query: type[attrs.AttrsInstance] | None = None,
) -> Callable[[_F], _F]:
    """Say what a handler does.

    Alternatives in `security` are one or the other; none means anybody. An answer of several types has the one that
    `Accept` asks for.
    """
    schemes = (security,) if isinstance(security, str) else security

    def decorate(handler: _F) -> _F:
        setattr(handler, _ATTRIBUTE, Operation(answers, problems, schemes, body, form, query))
        return handler

    return decorate


def document(app: Quart) -> dict[str, Any]:
    """The OpenAPI document of every described route."""
    # A rule with defaults is another spelling of a route that is there without.
    routes = [(rule, app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules() if not rule.defaults]
    described = [(rule, view, getattr(view, _ATTRIBUTE)) for rule, view in routes if hasattr(view, _ATTRIBUTE)]
    types = [ProblemDocument, *(one for _, _, operation in described for one in operation.types)]
    # Schemas of equal types are equal, and unhashable types (`list[…]` is not) don't occur.
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    for shape, required in _REQUIRED.items():
        components.get(shape.__name__, {})["required"] = required
    for component in components.values():
        if not component.get("required", True):  # 3.0 wants at least one name in it
            del component["required"]
        _spell_null(component.get("properties", {}))
    builder = _Builder(dict(zip(unique, schemas, strict=True)), components)
    paths: dict[str, Any] = {}
    for rule, view, operation in described:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(pattern(rule), {})[method.lower()] = builder.operation(rule, view, operation)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "acme manager server",
            "version": __version__,
            "description": "Gets certificates from ACME CAs, keeps them in Vault and hands them out.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                BEARER: {"type": "http", "scheme": "bearer", "description": "base64 of `id:secret`"},
                API_KEY: {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def pattern(rule: Rule) -> str:
    """A route as documents and metrics write it: `/api/v1/certificate/{name}`."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


@attrs.frozen
class _Builder:
    schemas: Mapping[Any, Any]
    components: Mapping[str, Any]

    def operation(self, rule: Rule, view: Callable[..., Any], operation: Operation) -> dict[str, Any]:
        summary, _, description = (inspect.getdoc(view) or "").partition("\n")
        built: dict[str, Any] = {
            "operationId": rule.endpoint.rpartition(".")[2],
            "tags": [rule.endpoint.partition(".")[0]],
            "summary": summary,
            "description": description.strip(),
            "parameters": [*self._path(rule), *self._query(operation)],
            "responses": self._answers(operation) | self._problems(operation),
            "security": [{scheme: []} for scheme in operation.security],
        }
        sent = {"application/json": operation.body, "application/x-www-form-urlencoded": operation.form}
        content = {kind: {"schema": self.schemas[shape]} for kind, shape in sent.items() if shape is not None}
        if content:
            built["requestBody"] = {"required": True, "content": content}
        return built

    def _path(self, rule: Rule) -> Iterable[dict[str, Any]]:
        schema = {"type": "string", "minLength": 1}
        return ({"name": name, "in": "path", "required": True, "schema": schema} for name in sorted(rule.arguments))

    def _query(self, operation: Operation) -> Iterable[dict[str, Any]]:
        if operation.query is None:
            return ()
        properties = self.components[operation.query.__name__]["properties"]
        return ({"name": name, "in": "query", "schema": schema} for name, schema in properties.items())

    def _answers(self, operation: Operation) -> dict[str, Any]:
        return {str(status): self._answer(status, shape) for status, shape in operation.answers.items()}

    def _answer(self, status: int, shape: Any) -> dict[str, Any]:
        built: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _headers("X-Request-ID")}
        content = dict(self._content(one) for one in _alternatives(shape) if one is not Nothing)
        return built | ({"content": content} if content else {})

    def _content(self, shape: Any) -> tuple[str, Any]:
        if shape in _PLAIN:
            return _PLAIN[shape], {"schema": {"type": "string"}}
        return "application/json", {"schema": self.schemas[shape]}

    def _problems(self, operation: Operation) -> dict[str, Any]:
        return {str(status): self._problem(status) for status in operation.problems}

    def _problem(self, status: int) -> dict[str, Any]:
        titles = [kind.title for kind in ALL_KINDS if kind.status == status]
        extra = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}.get(status, ())
        return {
            "description": "; ".join(titles) or HTTPStatus(status).phrase,
            "headers": _headers("X-Request-ID", *extra),
            "content": {"application/problem+json": {"schema": self.schemas[ProblemDocument]}},
        }


def _spell_null(properties: dict[str, Any]) -> None:
    """3.0 has no type for null, and says `nullable` instead."""
    for schema in properties.values():
        alternatives = schema.get("anyOf", [])
        if {"type": "null"} in alternatives:
            del schema["anyOf"]
            schema |= {"allOf": [one for one in alternatives if one != {"type": "null"}], "nullable": True}


def _alternatives(shape: Any) -> tuple[Any, ...]:
    return shape if isinstance(shape, tuple) else (shape,)


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in names}
