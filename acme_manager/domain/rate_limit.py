"""How often an owner may order the same certificate: fixed windows, as in the Go original (`common.rate_limit_*`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.durations import parse_go_duration
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.token import Token
from acme_manager.errors import RateLimited


@attrs.frozen
class Limit:
    """At most `max_requests` orders in `window` seconds."""

    window: float
    max_requests: int


@attrs.frozen(kw_only=True)
class Usage:
    """What an owner has used up for one certificate. Times are Unix milliseconds; the limit is the last that counted.

    The first five names are those of the Go original's message.
    """

    owner: str
    issuer: str = ""
    domain: str = ""
    window_start_at: int
    request_count: int
    name: str = ""
    window: float
    max_requests: int

    @property
    def id(self) -> CertificateId:
        """The certificate that was ordered."""
        return CertificateId(self.owner, self.issuer, self.domain, self.name)

    @property
    def start(self) -> datetime:
        """When the window began."""
        return datetime.fromtimestamp(self.window_start_at / 1000, UTC)

    def end(self, window: float | None = None) -> datetime:
        """When it ends: this window, or one of another length that began at the same time."""
        return self.start + timedelta(seconds=self.window if window is None else window)


def limit_of(token: Token, general: Limit) -> Limit:
    """The limit for a token: what it says itself takes the place of the general figures, each for itself."""
    window = general.window
    if token.rate_limit_window:
        try:
            window = parse_go_duration(token.rate_limit_window)
        except ValueError:  # in a record that another program wrote; ours are checked
            window = general.window
    return Limit(window, token.rate_limit_max_requests if token.rate_limit_max_requests > 0 else general.max_requests)


def spend(usage: Usage | None, id: CertificateId, limit: Limit, at: datetime) -> Usage:
    """One order more. Raises RateLimited when the window has no place left."""
    if usage is None or at > usage.end(limit.window):
        start, count = milliseconds(at), 0
    else:
        start, count = usage.window_start_at, usage.request_count
        if count >= limit.max_requests:
            seconds = max(1, math.ceil((usage.end(limit.window) - at).total_seconds()))
            raise RateLimited(f"rate limit exceeded, retry after {seconds}s", seconds)
    return Usage(
        owner=id.owner,
        issuer=id.issuer,
        domain=id.domain,
        name=id.name,
        window_start_at=start,
        request_count=count + 1,
        window=limit.window,
        max_requests=limit.max_requests,
    )


def give_back(usage: Usage | None, spent: Usage) -> Usage | None:
    """One order less in the window in which `spent` was counted; None when nothing is left of it."""
    if usage is None or usage.window_start_at != spent.window_start_at:
        return usage
    return attrs.evolve(usage, request_count=usage.request_count - 1) if usage.request_count > 1 else None


def usage_from_json(record: Mapping[str, Any]) -> Usage:
    """Read an entry of the shared map. Raises ValueError."""
    try:
        return Usage(
            owner=str(record["owner"]),
            issuer=str(record.get("issuer") or ""),
            domain=str(record.get("domain") or ""),
            name=str(record.get("name") or ""),
            window_start_at=int(record["window_start_at"]),
            request_count=int(record["request_count"]),
            window=float(record["window"]),
            max_requests=int(record["max_requests"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no record of a rate limit: {error!r}") from error
