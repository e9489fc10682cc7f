"""The fields of the forms about certificates, and what they are in the words of the API."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from quart import Response

from acme_manager.api.decoding import decode
from acme_manager.api.encoding import encode
from acme_manager.api.problems import problem_response
from acme_manager.api.request import current_request, services
from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.finding import Finding
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Scope
from acme_manager.errors import (
    AcmeManagerError,
    CertificateExists,
    InvalidRequest,
    IssuerRateLimited,
    MissingScope,
    NameNotAllowed,
    NotFound,
    RateLimited,
)
from acme_manager.services.request_choices import Choices
from acme_manager.web.forms import Form
from acme_manager.web.page import page, told
from acme_manager.web.viewer import Viewer

LABELS: Mapping[str, str] = {
    "owner": "Owner",
    "domain": "Domain",
    "san": "More names",
    "issuer": "Issuer",
    "csr": "CSR",
    "key_type": "Key type",
    "profile": "Profile",
    "days": "Lifetime",
    "renewal_days": "Renewal",
    "challenge": "Challenge",
    "dns_other": "Another DNS provider",
    "name": "Name",
    "labels": "Labels",
    "bundle": "Bundle",
    "reason": "Reason",
    "confirm": "Confirmation",
}
"""How fields are called on pages, in their order there."""

_CHALLENGES = {"dns_challenge": "challenge", "http_challenge": "challenge"}
_SEPARATORS = re.compile(r"[\s,;]+")
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)
_OWN_WORDS = {"certificate", "allowed"}  # said only if something is wrong: pages say it themselves, or it goes without


def params_of(form: Form, present: Certificate | None = None) -> CertificateParams:
    """What was typed, as a body of the API would say it; `present` is the certificate that is to be changed.

    Raises InvalidRequest.
    """
    days, (dns, http) = form["days"], _challenge(form)
    return decode(
        encode(
            {
                **{field: form[field] for field in ("domain", "issuer", "name", "renewal_days", "profile")},
                "san": _joined(form["san"]),
                "labels": ",".join(part.strip() for part in re.split(r"[\n,]", form["labels"]) if part.strip()),
                **_key(form, present),
                "days": int(days) if _NUMBER.fullmatch(days) else days or 0,
                "dns_challenge": dns,
                "http_challenge": http,
                "bundle": form.ticked("bundle"),
                "revoke": form.ticked("revoke"),
                "reason": form["reason"] if form.ticked("revoke") else "",
            }
        ),
        CertificateParams,
    )


def form_of(one: Certificate) -> Form:
    """A form with what a certificate is made of."""
    kind, name = ("dns", one.dns_challenge) if one.dns_challenge else ("http", one.http_challenge)
    values = {
        "owner": one.owner,
        "domain": one.domain,
        "san": one.san.replace(",", "\n"),
        "issuer": one.issuer,
        "name": one.name,
        "labels": one.labels,
        "renewal_days": one.renewal_days,
        "profile": one.profile,
        "days": str(one.days or ""),
        "key": "kept" if one.csr else "server",
        "key_type": one.key_type,
        "challenge": f"{kind}:{name}" if name else "",
        "bundle": "on" if one.bundle else "",
    }
    return Form({name: (value,) for name, value in values.items()})


def id_of(form: Mapping[str, str]) -> CertificateId:
    """The certificate that a form or an address names."""
    return CertificateId(*(form.get(part, "").strip() for part in ("owner", "issuer", "domain", "name")))


def certificate_at(viewer: Viewer, form: Form, scope: Scope) -> Certificate:
    """The certificate that is to be dealt with, if the viewer may. Raises CertificateNotFound, MissingScope."""
    id = id_of(form)
    note(viewer, id, scope)
    return services().certificates.find(id)


def note(viewer: Viewer, id: CertificateId, scope: Scope) -> None:
    """Have the audit log say which certificate it is about, and whose. Raises CertificateNotFound, MissingScope."""
    request = current_request()
    request.audited = id.key
    viewer.require(scope, id.owner, id.key)
    request.owner = id.owner


def what_is_wrong(error: BaseException) -> dict[str, Any]:
    """An error as the forms show it: at its fields in the order of the page, and with what helps.

    `exists` is the certificate that is there already; `again_at` when to try again.
    """
    shown = told(error)
    fields = {_CHALLENGES.get(where, where): message for where, message in shown["fields"].items()}
    if isinstance(error, NameNotAllowed):
        fields = {"issuer" if error.name in services().settings.issuers else "domain": str(error)}
    order = list(LABELS)
    known = {name: fields[name] for name in sorted(fields.keys() & LABELS, key=order.index)}
    others = [message for name, message in fields.items() if name not in known]
    wait = error.retry_after if isinstance(error, RateLimited | IssuerRateLimited) else None
    return shown | {
        "fields": known,
        "others": [*shown["others"], *others],
        "exists": _kept(error.key) if isinstance(error, CertificateExists) else None,
        "again_at": services().clock.now() + timedelta(seconds=wait) if wait else None,
    }


async def look_ahead(viewer: Viewer, form: Form, owner: str, present: Certificate | None = None) -> list[Finding]:
    """What there is to say about the request so far: what stands in its way first. Nothing yet: no findings."""
    if not (form["domain"] and form["issuer"]):
        return []
    try:
        params = params_of(form, present)
    except InvalidRequest as error:
        return [Finding(check="request", ok=False, detail=one.message) for one in error.complaints]
    found = await services().preflight.check(viewer.acting_for(owner), params)
    shown = [one for one in found if one.check not in _OWN_WORDS or one.ok is not True]
    return sorted(shown, key=lambda one: (one.ok is not False, one.ok is not None))


def existing(id: CertificateId) -> Certificate | None:
    """The certificate of that identity, if there is one and this node knows."""
    try:
        return services().certificates.find(id)
    except AcmeManagerError:
        return None


def _kept(key: str) -> Certificate | None:
    owner, *parts = key.split("/")
    return existing(CertificateId(owner, name=parts[0]) if len(parts) == 1 else CertificateId(owner, *parts))


def _joined(text: str) -> str:
    return ",".join(part for part in _SEPARATORS.split(text) if part)


def _challenge(form: Form) -> tuple[str, str]:
    """`dns_challenge` and `http_challenge`."""
    if form["dns_other"]:
        return form["dns_other"], ""
    kind, _, name = form["challenge"].partition(":")
    return (name, "") if kind == "dns" else ("", name)


def _key(form: Form, present: Certificate | None) -> Mapping[str, str]:
    """Whose key it is. A CSR is base64 of PEM; one that is kept stays as it is, to the letter."""
    match form["key"]:
        case "kept" if present is not None:
            return {"csr": present.csr, "key_type": present.key_type}
        case "csr":
            return {"csr": _csr(form)}
        case _:
            return {"key_type": form["key_type"]}


def _csr(form: Form) -> str:
    if not form["csr"]:
        raise InvalidRequest("paste the CSR here, or let the server make the key", "csr")
    text = form["csr"] + "\n"
    return base64.b64encode(text.encode()).decode() if text.startswith("-----") else "".join(text.split())


async def shown_again(template: str, viewer: Viewer, error: BaseException, **context: Any) -> Response:
    """A form page once more after an error, if it is one that typing something else or waiting can cure."""
    if isinstance(error, NotFound | MissingScope):
        raise error
    problem = problem_response(error, current_request())
    response = await page(template, viewer, problem.status_code, error=what_is_wrong(error), **context)
    if "Retry-After" in problem.headers:
        response.headers["Retry-After"] = problem.headers["Retry-After"]
    return response


def fields_of(form: Form, choices: Choices, **more: Any) -> dict[str, Any]:
    """What the fields of certificate_form.html need."""
    chosen = form["challenge"]
    groups = {
        "DNS credentials": [(f"dns:{one}", one) for one in choices.credentials],
        "DNS providers": [(f"dns:{one}", one) for one in choices.providers],
        "Answers over HTTP or TLS": [(f"http:{one}", one) for one in choices.http],
    }
    known = {value for options in groups.values() for value, _ in options}
    if chosen and chosen not in known:
        groups["As it is"] = [(chosen, chosen.partition(":")[2])]
    return {"typed": form, "choices": choices, "challenges": groups, "labels": LABELS, "section": "certificates"} | more
