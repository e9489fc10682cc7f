"""Certificates, when they are going to be renewed, checks of requests, and the query strings about all that."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import msgspec

from acme_manager.domain.certificate import Certificate


@attrs.frozen(kw_only=True)
class CertificateAnswer(Certificate):
    """A certificate with its PEM. Members with a zero value are left out, save `cert`, `ca_issuer` and `url`.

    `private_key` is there when the server made the key and the token has the scope `read`.
    """

    cert: str
    ca_issuer: str
    url: str
    private_key: str = ""


@attrs.frozen(kw_only=True)
class TimeSpan:
    """From when to when, in RFC 3339."""

    start: str
    end: str


@attrs.frozen(kw_only=True)
class Suggested(TimeSpan):
    """When the CA wants a certificate to be renewed (RFC 9773), its page about the reason, and when to ask it again."""

    explanation: str = ""
    ask_again: str = ""


@attrs.frozen(kw_only=True)
class RenewalAnswer:
    """When a certificate is going to be renewed and why; members that say nothing are left out.

    `new_key_wanted`: an operation replaces its key, which is its host's; the host must make one and send a new CSR.

    `code`: `window`, `share`, `stored`, `ari`, `ari_late`, `last_moment`, `retry`, `calendar`, `overridden`, `forced`,
    `held` (by an operation), `no_issuer`, `unknown`. `cure`: what `cause` needs: `time`, `another_ca` or `person`.
    `waits_for`: the limit of the CA that leaves no room. Times are in RFC 3339.
    """

    code: str
    reason: str
    due: str = ""
    window: TimeSpan | msgspec.UnsetType = msgspec.UNSET
    ari: Suggested | msgspec.UnsetType = msgspec.UNSET
    new_key_wanted: bool = False
    failures: int = 0
    last_error: str = ""
    cause: str = ""
    cure: str = ""
    next_try: str = ""
    waits_for: str = ""


@attrs.frozen(kw_only=True)
class ListedCertificate(Certificate):
    """A certificate in a list. Members with a zero value are left out."""

    renewal: RenewalAnswer


MetadataAnswer = list[ListedCertificate]


@attrs.frozen(kw_only=True)
class OriginalCertificate(ListedCertificate):
    """The same with the challenges that count: its own, or those of its issuer."""

    EffectiveDNSChallenge: str
    EffectiveHTTPChallenge: str


OriginalCertificatesAnswer = list[OriginalCertificate]


Verdict = Annotated[Any, msgspec.Meta(extra_json_schema={"type": "boolean", "nullable": True})]


@attrs.frozen(kw_only=True)
class FindingAnswer:
    """One line of a check. `ok` is null where it could not be found out; `remedy` says what to do about a no."""

    check: str
    ok: Verdict
    detail: str
    remedy: str = ""


@attrs.frozen(kw_only=True)
class CheckAnswer:
    """What a look ahead has found. `ok` is false when a finding says no."""

    ok: bool
    findings: list[FindingAnswer]


@attrs.frozen(kw_only=True)
class NameQuery:
    """Look-up by name."""

    name: str = ""


@attrs.frozen(kw_only=True)
class DeleteQuery:
    """How to delete. `revoke` counts when it is `true`; `reason` is then a code of RFC 5280, by number or by name."""

    revoke: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class NamedDeleteQuery(DeleteQuery):
    """How to delete, and what."""

    name: str = ""


@attrs.frozen(kw_only=True)
class MetadataQuery:
    """Filters, order (`-expires`: latest first) and page of the metadata list; `q` is any part of a text."""

    issuer: str = ""
    domain: str = ""
    name: str = ""
    q: str = ""
    label: list[str] = attrs.field(factory=list)
    sort: str = ""
    limit: int = 0
    offset: int = 0
