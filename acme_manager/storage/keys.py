"""Every path we use in the store, built and read back in one file.

Below the mount of the KV engine:

    <certificate_prefix>/<owner>/<issuer>/<domain>                    a certificate
    <certificate_prefix>/<owner>/<name>                               a named certificate
    <certificate_prefix>/<owner>/<issuer>/<name>/<domain>             a named one as early Go versions kept it
    <certificate_prefix>/<owner>/.acme-manager/keys/by-issuer/<issuer>/<domain>   an agent's backup of a key,
    <certificate_prefix>/<owner>/.acme-manager/keys/by-name/<name>                of a named certificate
    <certificate_prefix>/.acme-manager/orders/<owner>/<…>             an order in flight, `<…>` as for its certificate
    <certificate_prefix>/.acme-manager/accounts/<issuer>              our account at a CA
    <certificate_prefix>/.acme-manager/operations/<id>                an operation on many certificates
    <certificate_prefix>/.acme-manager/session-key                    what log-ins at the web UI are sealed with
    <certificate_prefix>/.acme-manager/audit/<thousand>/<number>      a segment of the audit log, never written again
    <certificate_prefix>/.acme-manager/audit/head                     which segments there are
    <certificate_prefix>/.acme-manager/fence                          who leads, in which term, and who votes
    <token_prefix>/<username>/<token id>                              an API token

The first three and the last are the Go original's. Orders lie below the certificate prefix so that a policy written
for that program covers them too; the Go original reads one as a certificate that has no fields.

Domains are kept as they were requested: `*.example.com` stays itself, `2001:db8::1` keeps its colons.
"""

from __future__ import annotations

from acme_manager.domain.certificate import CertificateId
from acme_manager.errors import InvalidRequest

_OURS = ".acme-manager"


def clean_prefix(prefix: str) -> str:
    """A configured path without slashes around it: the Go original takes `/certificates/` and `certificates` as one."""
    return prefix.strip("/")


def check_key(key: str) -> None:
    """Raise InvalidRequest unless every element of a path is one that Vault keeps as it is."""
    for element in key.split("/"):
        _check_element(element, "key")


def certificate_key(prefix: str, certificate_id: CertificateId) -> str:
    """Where a certificate is kept. Raises InvalidRequest naming the part of the identity that can't be in a path."""
    _check_id(certificate_id)
    return f"{clean_prefix(prefix)}/{certificate_id.key}"


def old_named_key(prefix: str, certificate_id: CertificateId) -> str:
    """Where an early Go version kept a named certificate. Raises InvalidRequest."""
    for part in ("owner", "issuer", "name", "domain"):
        _check_element(getattr(certificate_id, part), part)
    owner, issuer = certificate_id.owner, certificate_id.issuer
    return f"{clean_prefix(prefix)}/{owner}/{issuer}/{certificate_id.name}/{certificate_id.domain}"


def backup_key(prefix: str, certificate_id: CertificateId) -> str:
    """Where an agent keeps a certificate's key. Raises InvalidRequest.

    It lies below its owner, for policies that let a host see no other owner's secrets, and deeper than any certificate.
    """
    _check_id(certificate_id)
    owner, below = certificate_id.key.split("/", 1)
    return f"{clean_prefix(prefix)}/{owner}/{_OURS}/keys/by-{'name' if certificate_id.name else 'issuer'}/{below}"


def order_key(prefix: str, certificate_id: CertificateId) -> str:
    """Where the order in flight for a certificate is kept; `prefix` is the certificates'. Raises InvalidRequest."""
    _check_id(certificate_id)
    return f"{orders_prefix(prefix)}/{certificate_id.key}"


def orders_prefix(prefix: str) -> str:
    """Where all orders in flight are; `prefix` is the certificates'."""
    return f"{clean_prefix(prefix)}/{_OURS}/orders"


def session_key(prefix: str) -> str:
    """Where the key is kept that log-ins at the web UI are sealed with; `prefix` is the certificates'."""
    return f"{clean_prefix(prefix)}/{_OURS}/session-key"


def ours_prefix(prefix: str) -> str:
    """Where everything lies that is no certificate; `prefix` is the certificates'."""
    return f"{clean_prefix(prefix)}/{_OURS}"


def audit_prefix(prefix: str) -> str:
    """Where the audit log is; `prefix` is the certificates'."""
    return f"{clean_prefix(prefix)}/{_OURS}/audit"


def audit_segment_key(prefix: str, number: int) -> str:
    """Where a segment of the audit log is kept: a thousand to a folder, in the order of their names."""
    return f"{audit_prefix(prefix)}/{number // 1000:06d}/{number:09d}"


def audit_head_key(prefix: str) -> str:
    """Where it is kept which segments of the audit log there are."""
    return f"{audit_prefix(prefix)}/head"


def fence_key(prefix: str) -> str:
    """Where the record of who leads is kept; `prefix` is the certificates'."""
    return f"{clean_prefix(prefix)}/{_OURS}/fence"


def account_key(prefix: str, issuer: str) -> str:
    """Where our account at a CA is kept; `prefix` is the certificates'. Raises InvalidRequest."""
    _check_element(issuer, "issuer")
    return f"{clean_prefix(prefix)}/{_OURS}/accounts/{issuer}"


def operation_key(prefix: str, operation_id: str) -> str:
    """Where an operation on many certificates is kept; `prefix` is the certificates'. Raises InvalidRequest."""
    _check_element(operation_id, "id")
    return f"{operations_prefix(prefix)}/{operation_id}"


def operations_prefix(prefix: str) -> str:
    """Where all operations are; `prefix` is the certificates'."""
    return f"{clean_prefix(prefix)}/{_OURS}/operations"


def token_key(prefix: str, username: str, token_id: str) -> str:
    """Where a token is kept. Raises InvalidRequest."""
    _check_element(username, "username")
    _check_element(token_id, "id")
    return f"{clean_prefix(prefix)}/{username}/{token_id}"


def certificate_id_from_key(prefix: str, key: str) -> CertificateId | None:
    """Whose certificate lies there; None for any other key. A named one has neither issuer nor domain in its key."""
    return _read_id(_below(prefix, key))


def old_named_id_from_key(prefix: str, key: str) -> CertificateId | None:
    """The whole identity of a named certificate in the layout of early Go versions; None for any other key."""
    parts = _below(prefix, key)
    if len(parts) != 4 or parts[0] == _OURS:
        return None
    owner, issuer, name, domain = parts
    return CertificateId(owner, issuer, domain, name)


def order_id_from_key(prefix: str, key: str) -> CertificateId | None:
    """Which certificate an order in flight is for; None for any other key. `prefix` is the certificates'."""
    return _read_id(_below(orders_prefix(prefix), key))


def token_id_from_key(prefix: str, key: str) -> tuple[str, str] | None:
    """The username and the id of the token that lies there; None for any other key."""
    parts = _below(prefix, key)
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _below(prefix: str, key: str) -> list[str]:
    start = clean_prefix(prefix) + "/"
    parts = key.removeprefix(start).split("/") if key.startswith(start) else []
    return parts if all(parts) else []


def _read_id(parts: list[str]) -> CertificateId | None:
    if len(parts) not in {2, 3} or parts[0] == _OURS:
        return None
    if len(parts) == 2:
        return CertificateId(parts[0], name=parts[1])
    return CertificateId(*parts)


def _check_id(certificate_id: CertificateId) -> None:
    for part in ("owner", "name") if certificate_id.name else ("owner", "issuer", "domain"):
        _check_element(getattr(certificate_id, part), part)
    if certificate_id.owner == _OURS:
        raise InvalidRequest(f"invalid 'owner' parameter: '{_OURS}' is reserved; choose another name", "owner")


def _check_element(element: str, where: str) -> None:
    wrong = _what_is_wrong(element)
    if wrong:
        raise InvalidRequest(f"invalid '{where}' parameter: {element!r} {wrong}", where)


def _what_is_wrong(element: str) -> str:
    """Why an element can't be part of a path; empty when it can."""
    if not element:
        return "is an empty path element"
    if element in {".", ".."}:
        return "is a relative path"
    if "/" in element:
        return "contains a slash, which separates path elements"
    if not element.isprintable():  # Vault's own rule for paths
        return "contains characters that can't be printed"
    return ""
