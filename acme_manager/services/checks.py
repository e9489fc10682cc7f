"""Whether a certificate request can be served: every complaint at once, before anything is asked of a CA.

The first complaint is worded as the Go original words it, since scripts look for its texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate, parse_labels
from acme_manager.domain.keys import DEFAULT_KEY_TYPE, check_csr, parse_csr, parse_key_type
from acme_manager.domain.names import Identifier, outside, parse_identifier, parse_san
from acme_manager.domain.renewal import parse_window
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Token
from acme_manager.errors import Complaint, InvalidRequest, NameNotAllowed
from acme_manager.services.issuers import Issuers

P = ParamSpec("P")
R = TypeVar("R")


def check_certificate_params(caller: Token, params: CertificateParams, common: Common, issuers: Issuers) -> Certificate:
    """The certificate that is wanted, in the spelling that is kept. Raises InvalidRequest, NameNotAllowed."""
    if not params.issuer or not params.domain:
        raise InvalidRequest("missing 'issuer' and/or 'domain' parameter", "issuer" if not params.issuer else "domain")
    complaints = _Complaints()
    complaints.collect(issuers.get, params.issuer)
    complaints.collect(check_name, params.name)
    domain = complaints.collect(parse_identifier, params.domain)
    san = complaints.collect(parse_san, params.san) or ()
    complaints.collect(check_days, params, common)
    if params.dns_challenge and params.http_challenge:
        complaints.add("dns_challenge", "'dns_challenge' and 'http_challenge' are mutually exclusive")
    complaints.collect(parse_labels, params.labels)
    if domain is not None and not complaints.about("san"):
        complaints.collect(check_key, params, (domain, *san), common)
    complaints.raise_if_any()
    assert domain is not None
    wanted = Certificate(
        owner=caller.username,
        issuer=params.issuer,
        domain=domain.value,
        name=params.name,
        bundle=params.bundle,
        san=params.san,
        csr=params.csr,
        days=params.days,
        renewal_days=params.renewal_days,
        dns_challenge=params.dns_challenge,
        http_challenge=params.http_challenge,
        labels=params.labels,
        key_type=params.key_type,
        profile=params.profile,
    )
    issuers.solver_for(wanted)
    check_allowed(caller, params.issuer, wanted.identifiers)
    return wanted


def check_allowed(caller: Token, issuer: str, identifiers: Iterable[Identifier]) -> None:
    """Hold a request against the token's allow-lists. Raises NameNotAllowed."""
    if caller.issuers and outside([issuer], caller.issuers):
        raise NameNotAllowed(f"this token may not use issuer '{issuer}'", issuer)
    if caller.domains:
        refused = outside((one.value for one in identifiers), caller.domains)
        if refused:
            raise NameNotAllowed(f"this token may not request: {', '.join(refused)}", refused[0])


class _Complaints:
    """Runs checks and gathers what they raise."""

    def __init__(self) -> None:
        self._found: list[Complaint] = []

    def add(self, where: str, message: str) -> None:
        self._found.append(Complaint(where, message))

    def collect(self, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return check(*args, **kwargs)
        except InvalidRequest as error:
            self._found.extend(error.complaints)
            return None

    def about(self, where: str) -> bool:
        return any(one.where == where for one in self._found)

    def raise_if_any(self) -> None:
        if self._found:
            raise InvalidRequest(self._found[0].message, self._found[0].where, self._found)


def check_name(name: str) -> None:
    """The name must do as a part of paths and URLs. Raises InvalidRequest."""
    if "/" in name or "\\" in name:
        what = "must not contain a path separator"
    elif name == "." or ".." in name:
        what = "must not contain a parent directory reference"
    elif not name.isprintable():
        what = "must not contain control characters"
    elif name in {"metadata", "attempts", "reports"}:
        what = "is the name of a route; choose another"
    else:
        return
    raise InvalidRequest(f"invalid 'name' parameter: name \"{name}\" {what}", "name")


def check_days(params: CertificateParams, common: Common) -> None:
    """Lifetime and renewal must fit together. Raises InvalidRequest."""
    window = parse_window(params.renewal_days or common.cert_days_renewal)
    if params.days < 0:
        raise InvalidRequest("invalid 'days' parameter: it must not be negative", "days")
    # Where the request has none, the configured window may be too long for it, and a share of the life counts.
    if params.days and params.renewal_days and window.earliest >= params.days:
        raise InvalidRequest(
            f"'renewal_days' ({params.renewal_days}) should be lower than 'days' ({params.days})", "renewal_days"
        )


def check_key(params: CertificateParams, identifiers: tuple[Identifier, ...], common: Common) -> None:
    """The CSR must be for these names, or the kind of key one that we make. Raises InvalidRequest."""
    if params.csr:
        check_csr(parse_csr(params.csr), identifiers)
    elif not common.server_managed_keys:
        raise InvalidRequest("missing 'csr' parameter", "csr")
    else:
        parse_key_type(params.key_type or DEFAULT_KEY_TYPE)
