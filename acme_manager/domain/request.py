"""What callers ask for, as it came in: decoded, not yet checked (services/checks.py does that)."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class CertificateParams:
    """The body of POST and PUT `/api/v1/certificate`."""

    domain: str = ""
    issuer: str = ""
    name: str = ""
    bundle: bool = False
    san: str = ""  # comma-separated
    csr: str = ""  # base64 of PEM; empty: the server makes key and CSR
    days: int = 0
    renewal_days: str = ""  # N or MIN-MAX
    dns_challenge: str = ""
    http_challenge: str = ""
    revoke: bool = False  # PUT: revoke the old certificate once the new one is kept
    reason: str = ""  # to revoke it for: a code of RFC 5280, by number or name; empty: superseded
    labels: str = ""  # k=v,k2=v2
    key_type: str = ""
    profile: str = ""


@attrs.frozen(kw_only=True)
class RenewParams:
    """The body of POST `/api/v1/certificate/renew`: a certificate by its name, or by issuer and domain."""

    issuer: str = ""
    domain: str = ""
    name: str = ""


@attrs.frozen(kw_only=True)
class TokenParams:
    """The body of POST and PUT `/api/v1/token`."""

    id: str = ""  # PUT only
    username: str = ""
    scope: tuple[str, ...] = ()
    duration: str = ""  # Prometheus grammar: 1y2w3d4h5m6s7ms; empty: never expires
    rate_limit_window: str = ""  # Go duration
    rate_limit_max_requests: int = 0
    domains: tuple[str, ...] = ()  # globs of names the token may request; empty: all
    issuers: tuple[str, ...] = ()  # globs of issuers the token may use; empty: all


@attrs.frozen(kw_only=True)
class OperationParams:
    """The body of POST `/api/v1/operations/replace`, `renew` and `revoke`: which certificates, and what about them.

    A certificate is selected if it fits every field that is given, and in a field one of its values.
    """

    all: bool = False  # select everything; without it something must be selected by
    issuers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # globs, for any domain of it or its name
    key_types: tuple[str, ...] = ()  # ec256, rsa2048, ...
    serials: tuple[str, ...] = ()  # hexadecimal, with or without colons
    labels: tuple[str, ...] = ()  # name=value, or name; all of these
    ari: bool = False  # what its CA wants renewed before its time (RFC 9773)
    issued_before: str = ""  # RFC 3339
    preview: bool = False  # only say what it would come to
    revoke: bool = False  # replace: the old one, once the new one is kept
    reason: str = ""  # to revoke for: a code of RFC 5280, by number or name
    same_key: bool = False  # replace, with reason keyCompromise: hosts may go on with the keys they have
