"""`/ui/certificate`: everything about one certificate, also about one that is only being asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import msgspec
import trio
from quart import Blueprint, Response

from acme_manager.api.encoding import answer
from acme_manager.api.request import current_request, services
from acme_manager.domain.attempt import attempt_from_json
from acme_manager.domain.certificate import CertificateId, certificate_to_json
from acme_manager.domain.chain import Link
from acme_manager.domain.condition import Condition
from acme_manager.domain.judging import failed_request
from acme_manager.domain.report import Installed
from acme_manager.domain.token import Scope
from acme_manager.errors import AcmeManagerError, CertificateNotFound, InvalidRequest
from acme_manager.services.catalogue_views import Entry
from acme_manager.services.reports import HostReport
from acme_manager.services.versions import CertificateVersion
from acme_manager.structure import together
from acme_manager.web.arrival import arrival
from acme_manager.web.certificate_attempts import show_attempts
from acme_manager.web.certificates import effective_challenge
from acme_manager.web.page import page, wants_json
from acme_manager.web.timeline import bar
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import title_of

routes = Blueprint("ui_certificate", __name__, url_prefix="/ui")

_PATIENCE = 5.0  # seconds for storage; the page is shown without it then


@attrs.frozen(kw_only=True)
class Kept:
    """What storage has of a certificate; `wrong` says why something is missing."""

    chain: Sequence[Link] = ()
    versions: Sequence[CertificateVersion] = ()
    wrong: str = ""


@routes.get("/certificate")
async def certificate() -> Response:
    """The page, or what it is made of for a program."""
    viewer, asked = await find_viewer(), wanted(current_request().args)
    id, known = found_for(viewer, asked), services().certificates
    await arrival(lambda: known.attempts(id) or known.find(id))
    attempts = known.attempts(id)
    try:
        entry = await services().catalogue.entry(known.find(id).id)
    except CertificateNotFound:
        return await _without_certificate(viewer, id, attempts)
    return await _with_certificate(viewer, entry, attempts)


def wanted(args: Mapping[str, str]) -> CertificateId:
    """The certificate that a page is about: by `name`, or by `issuer` and `domain`. Raises InvalidRequest."""
    owner, issuer, domain, name = (args.get(one, "") for one in ("owner", "issuer", "domain", "name"))
    if not owner:
        raise InvalidRequest("the address names no 'owner'", "owner")
    if not name and not (issuer and domain):
        raise InvalidRequest("the address names neither 'issuer' and 'domain' nor a 'name'", "name")
    return CertificateId(owner, "" if name else issuer, "" if name else domain, name)


def found_for(viewer: Viewer, id: CertificateId) -> CertificateId:
    """The same, noted as what the request is about. Raises CertificateNotFound for what is another owner's."""
    request = current_request()
    request.names = {"issuer": id.issuer, "domain": id.domain, "name": id.name}
    request.audited = id.key
    if not viewer.sees(id.owner):
        raise CertificateNotFound(id.key)
    return id


def may_have_key(viewer: Viewer, owner: str) -> bool:
    """Whether private keys are handed out: to whom they belong, and to no administrator."""
    return not viewer.admin and viewer.owner == owner and viewer.may(Scope.READ, owner)


async def _with_certificate(viewer: Viewer, entry: Entry, attempts: Sequence[Mapping[str, Any]]) -> Response:
    known = entry.certificate
    kept = await _read_kept(known.id)
    renewal = msgspec.json.decode(services().plans.describe([known])[0])
    hosts = services().reports.of(known.id)
    dns, http = effective_challenge(known, services().issuers)
    if wants_json():
        facts = certificate_to_json(known) | {"EffectiveDNSChallenge": dns, "EffectiveHTTPChallenge": http}
        more = {"condition": entry.condition, "hosts": [_host(*one) for one in hosts]}
        read = {"chain": kept.chain, "versions": kept.versions, "storage": kept.wrong}
        return answer({**facts, "renewal": renewal, "attempts": attempts, **more, **read})
    return await page(
        "certificate.html",
        viewer,
        section="certificates",
        one=entry,
        certificate=known,
        id=known.id,
        condition=entry.condition,
        life=bar(title_of(known), entry.timeline) if entry.timeline is not None else None,
        renewal=renewal,
        attempts=show_attempts(attempts, services().clock.now()),
        hosts=hosts,
        fetches=services().fetches.of(known.id),
        kept=kept,
        challenge=f"dns-01 with {dns}" if dns else f"http-01 with {http}" if http else "",
        key_for_viewer=not known.csr and may_have_key(viewer, known.owner),
        readable=not viewer.public and viewer.may(Scope.READ, known.owner),
    )


async def _without_certificate(viewer: Viewer, id: CertificateId, attempts: Sequence[Mapping[str, Any]]) -> Response:
    if wants_json():
        named = {"owner": id.owner, "issuer": id.issuer, "domain": id.domain, "name": id.name}
        return answer({**{name: value for name, value in named.items() if value}, "attempts": attempts})
    return await page(
        "certificate_request.html",
        viewer,
        section="certificates",
        id=id,
        attempts=show_attempts(attempts, services().clock.now()),
        condition=_failure(attempts),
        may_create=viewer.may(Scope.CREATE, id.owner),
    )


def _failure(attempts: Sequence[Mapping[str, Any]]) -> Condition | None:
    """Why there is no certificate, where that is known."""
    try:
        newest = attempt_from_json(attempts[0])
    except ValueError:  # a node of another version wrote it
        return None
    return failed_request(newest, services().clock.now())


async def _read_kept(id: CertificateId) -> Kept:
    """What can be had of it in time: a page about a certificate is wanted most when something is away."""
    certificates = services().certificates
    wrong: dict[str, None] = {}

    async def ask(question: Callable[[CertificateId], Any]) -> Any:
        try:
            with trio.fail_after(_PATIENCE):
                return await question(id)
        except AcmeManagerError as error:
            wrong[str(error)] = None
        except trio.TooSlowError:
            wrong[f"storage has not answered within {_PATIENCE:g} seconds"] = None
        return None

    chain, versions = await together(ask, (certificates.chain, certificates.versions))
    return Kept(chain=chain or (), versions=versions or (), wrong="; ".join(wrong))


def _host(report: HostReport, installed: Installed) -> dict[str, Any]:
    return {"host": report.report.host, "at": report.at, "version": report.report.version, "installed": installed}
