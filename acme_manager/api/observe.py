"""One log line and three metrics for each request."""

from __future__ import annotations

import re
import secrets

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from quart import Response

from acme_manager.api.openapi import pattern
from acme_manager.api.request import ApiRequest
from acme_manager.metrics import PREFIX

_log = structlog.get_logger(__name__)

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})
_CLIENT_GONE = 499  # as nginx writes it: the caller hung up before there was an answer
_LONGEST = 512


class HttpMetrics:
    """`acme_manager_http_*`, with the labels of the Go original; `path` is the route's pattern."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._total = Counter(
            f"{PREFIX}_http_requests", "Requests answered", ["method", "path", "status_code"], registry=registry
        )
        self._duration = Histogram(
            f"{PREFIX}_http_request_duration_seconds", "Time to answer", ["method", "path"], registry=registry
        )
        self.in_flight = Gauge(f"{PREFIX}_http_requests_in_flight", "Requests being served", registry=registry)
        # Looking children up by label takes a lock each time; there are few of them.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, path, status)
        if key not in self._children:
            self._children[key] = (self._total.labels(method, path, status), self._duration.labels(method, path))
        total, duration = self._children[key]
        total.inc()
        duration.observe(seconds)


class Observer:
    """Writes down what became of a request."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.metrics = HttpMetrics(registry)
        self._patterns: dict[str, str] = {}

    def finish(self, request: ApiRequest, response: Response | None, seconds: float) -> None:
        """Log and count. Without a response the caller hung up, or the server stopped, before there was one."""
        status = _CLIENT_GONE if response is None else response.status_code
        method = request.method if request.method in _METHODS else "OTHER"
        seconds = max(0.0, seconds - request.waited)
        self.metrics.observe(method, self._path(request), status, seconds)
        client = request.scope.get("client")
        facts = {
            "request_id": request.request_id,
            "method": method,
            "path": request.path[:_LONGEST],
            "status_code": status,
            "owner": request.owner,
            "duration": round(seconds, 6),
            "client_ip": client[0] if client else "",
            "length": 0 if response is None else int(response.headers.get("Content-Length") or 0),
        }
        if request.passed_to:
            facts["passed_to"] = request.passed_to
        # Anybody can write these headers, so they are never taken for the peer's address.
        forwarded = request.headers.get("X-Forwarded-For") or request.headers.get("X-Real-Ip")
        if forwarded:
            facts["forwarded_for"] = forwarded[:_LONGEST]
        if request.waited:  # each follower asks again and again, and mostly nothing has happened
            _log.debug("request served", waited=round(request.waited, 6), **facts)
        else:
            _log.info("request served", **facts)

    def _path(self, request: ApiRequest) -> str:
        rule = request.url_rule
        if rule is None:
            return "/"
        known = self._patterns.get(rule.rule)
        if known is None:
            known = self._patterns[rule.rule] = pattern(rule)
        return known


def request_id(offered: str) -> str:
    """The caller's own id if it is one that can be logged and sent back, else a new one."""
    return offered if _SANE_ID.fullmatch(offered) else f"req_{secrets.token_hex(16)}"
