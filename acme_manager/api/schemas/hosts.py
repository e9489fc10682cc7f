"""Hosts: what they are told of their certificates, and what they have said of them."""

from __future__ import annotations

import attrs

from acme_manager.domain.report import Served


@attrs.frozen(kw_only=True)
class EventsQuery:
    """`digest` is that of the last answer; without it the answer comes at once. `wait` is in seconds, from 0 to 300."""

    digest: str = ""
    wait: str = "25"


@attrs.frozen(kw_only=True)
class ChangedCertificate:
    """A certificate as it is now. `updated_at` is in Unix milliseconds."""

    issuer: str
    domain: str
    name: str
    fingerprint: str
    updated_at: int


@attrs.frozen(kw_only=True)
class EventsAnswer:
    """Whether anything differs from what the caller has seen; if so, everything that the owner has now."""

    digest: str
    changed: bool
    certificates: list[ChangedCertificate]


@attrs.frozen(kw_only=True)
class HostAnswer:
    """What one host says of one certificate. Times are in RFC 3339; `reported_at` is by the server's clock.

    `current`: whether what is installed is what the server has. `served` is there where the host checks a service.
    """

    host: str
    version: str
    reported_at: str
    fingerprint: str
    serial: str
    current: bool
    installed_at: str
    check: str
    served: Served = attrs.field(factory=Served)


HostsAnswer = list[HostAnswer]


@attrs.frozen(kw_only=True)
class HostsQuery:
    """Which certificate: by issuer and domain, or by name."""

    issuer: str = ""
    domain: str = ""
    name: str = ""
