"""Files of a certificate: PEM for whoever may read it, and the private key for its owner alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from quart import Blueprint, Response

from acme_manager.api.auditing import where_from
from acme_manager.api.problem_kinds import kind_of
from acme_manager.api.request import current_request, services
from acme_manager.domain.bundle_files import Parts, file_name, pkcs12_of
from acme_manager.domain.certificate import CertificateId, StoredCertificate
from acme_manager.domain.token import Scope
from acme_manager.errors import Denied, InvalidRequest, StorageUnavailable
from acme_manager.web.certificate import found_for, may_have_key, wanted
from acme_manager.web.forms import Form, submitted
from acme_manager.web.page import page, told
from acme_manager.web.viewer import Viewer, find_viewer

routes = Blueprint("ui_downloads", __name__, url_prefix="/ui")

_END = "-----END CERTIFICATE-----\n"
_PEM = "application/x-pem-file"


@attrs.frozen
class _File:
    extension: str
    cut: Callable[[str], str]  # out of the leaf with its chain behind it


_FILES: Mapping[str, _File] = {
    "leaf": _File(".crt", lambda text: "".join(text.partition(_END)[:2])),
    "fullchain": _File(".fullchain.pem", str),
    "chain": _File(".chain.pem", lambda text: text.partition(_END)[2]),
}


@routes.get("/certificate-file")
async def file() -> Response:
    """The certificate, what is behind it, or both (`part`), as PEM."""
    viewer, args = await find_viewer(), current_request().args
    wanted_file = _FILES.get(args.get("part", ""))
    if wanted_file is None:
        raise InvalidRequest(f"'part' must be one of {', '.join(_FILES)}", "part")
    id = found_for(viewer, wanted(args))
    viewer.require(Scope.READ, id.owner, id.key)
    stored = await _read(viewer, id)
    try:
        content = wanted_file.cut(Parts.of(stored).fullchain)
    except ValueError as error:
        raise StorageUnavailable(f"the certificate '{id.key}' as it is kept can't be read: {error}") from error
    return _as_file(stored, content.encode(), wanted_file.extension, _PEM)


@routes.post("/certificate-key")
@submitted()
async def private_key(viewer: Viewer, form: Form) -> Response:
    """The private key as PEM."""
    stored = await _with_key(viewer, form)
    if not stored.private_key:
        raise InvalidRequest("there is no private key of it here: it was made on its host")
    return _as_file(stored, stored.private_key.encode(), ".key", _PEM)


@routes.get("/certificate-pkcs12")
async def pkcs12_page() -> Response:
    """Ask for the password of a PKCS#12 file."""
    viewer = await find_viewer()
    return await _ask(viewer, _owned(viewer, current_request().args))


async def _again(viewer: Viewer, form: Form, error: BaseException) -> Response:
    return await _ask(viewer, _owned(viewer, form), error)


@routes.post("/certificate-pkcs12")
@submitted(_again)
async def pkcs12_file(viewer: Viewer, form: Form) -> Response:
    """Certificate, chain and private key in one file, under a password."""
    stored = await _with_key(viewer, form)
    # A password may begin or end with a blank.
    password = form.fields.get("password", ("",))[-1]
    return _as_file(stored, pkcs12_of(stored, password), ".p12", "application/x-pkcs12")


async def _ask(viewer: Viewer, id: CertificateId, error: BaseException | None = None) -> Response:
    known = services().certificates.find(id)
    shown = told(error) if error is not None else None
    status = 200 if error is None else kind_of(error).status
    return await page("certificate_pkcs12.html", viewer, status, section="certificates", certificate=known, error=shown)


def _owned(viewer: Viewer, fields: Mapping[str, str]) -> CertificateId:
    """What a form is about. Raises CertificateNotFound, and Denied for who is not handed its private key."""
    id = found_for(viewer, wanted(fields))
    if not may_have_key(viewer, id.owner):
        raise Denied("a private key is handed out to its owner only, who needs the scope 'read'; to no administrator")
    return id


async def _with_key(viewer: Viewer, form: Form) -> StoredCertificate:
    return await _read(viewer, _owned(viewer, form))


async def _read(viewer: Viewer, id: CertificateId) -> StoredCertificate:
    stored = await services().certificates.get(id)
    request = current_request()
    address, _ = where_from(request, services().cluster)
    services().fetches.note(
        stored.certificate.id, by=viewer.actor, address=address, user_agent=request.headers.get("User-Agent", "")
    )
    return stored


def _as_file(stored: StoredCertificate, content: bytes, extension: str, kind: str) -> Response:
    name = file_name(stored.certificate, extension)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers, content_type=kind)
