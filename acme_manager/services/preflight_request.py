"""What a certificate request says by itself: its names, its other fields, its key, and what its token allows."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate, parse_labels
from acme_manager.domain.finding import Finding, listed
from acme_manager.domain.names import Identifier, parse_identifier
from acme_manager.domain.request import CertificateParams
from acme_manager.domain.token import Token
from acme_manager.errors import Denied, InvalidRequest, Rejected
from acme_manager.services.checks import check_allowed, check_key, check_name


@attrs.frozen(kw_only=True)
class Question:
    """A request as far as it can be read: `names` are the valid ones, the main one first, `wrong` says what the others
    are, and `wanted` is the certificate for the valid ones."""

    caller: Token
    params: CertificateParams
    names: tuple[Identifier, ...]
    wrong: tuple[str, ...]
    wanted: Certificate

    @classmethod
    def read(cls, caller: Token, params: CertificateParams) -> Question:
        """It reads what can be read, and raises nothing."""
        texts = [("domain", params.domain), *(("san", part.strip()) for part in params.san.split(",") if part.strip())]
        names: dict[Identifier, None] = {}
        wrong = []
        for where, text in texts:
            try:
                names[parse_identifier(text, where)] = None
            except InvalidRequest as error:
                wrong.append(str(error))
        values = [one.value for one in names]
        wanted = Certificate(
            owner=caller.username,
            issuer=params.issuer,
            domain="".join(values[:1]),
            san=",".join(values[1:]),
            name=params.name,
            dns_challenge=params.dns_challenge,
            http_challenge=params.http_challenge,
        )
        return cls(caller=caller, params=params, names=tuple(names), wrong=tuple(wrong), wanted=wanted)


def look_at_names(question: Question) -> list[Finding]:
    """Whether they are names."""
    wrong = [Finding(check="names", ok=False, detail=one) for one in question.wrong]
    return wrong or [Finding(check="names", ok=True, detail=f"{len(question.names)}: {listed(question.names)}")]


def look_at_fields(question: Question) -> list[Finding]:
    """Whether the fields are valid that no other check is about."""
    found = complaints("request", check_name, question.params.name)
    found += complaints("request", parse_labels, question.params.labels)
    return found or [Finding(check="request", ok=True, detail="its other fields are valid")]


def look_at_key(question: Question, common: Common) -> list[Finding]:
    """Whether the CSR is one, strong enough, and for the names; or whether we can make the key."""
    params = question.params
    if params.csr and (question.wrong or not question.names):
        return [Finding(check="key", ok=None, detail="the CSR can't be compared with names that are not valid")]
    csr = "the CSR's key is strong enough, and the CSR is for exactly these names"
    usable = Finding(check="key", ok=True, detail=csr if params.csr else "the server makes the key")
    return complaints("key", check_key, params, question.names, common) or [usable]


def look_at_allowed(question: Question) -> list[Finding]:
    """Whether the token's lists cover the issuer, and whether they cover the names."""
    caller, issuer = question.caller, question.params.issuer
    found = complaints("allowed", check_allowed, caller, issuer, ())
    found += complaints("allowed", check_allowed, attrs.evolve(caller, issuers=()), issuer, question.names)
    remedy = "ask for what the token's lists cover, or have an administrator extend them"
    return [attrs.evolve(one, remedy=remedy) for one in found] or [
        Finding(check="allowed", ok=True, detail="the token's lists cover issuer and names")
    ]


def complaints(check: str, function: Callable[..., object], *args: object) -> list[Finding]:
    """What a check that requests are held against finds wrong."""
    try:
        function(*args)
    except InvalidRequest as error:
        return [Finding(check=check, ok=False, detail=one.message) for one in error.complaints]
    except (Rejected, Denied) as error:
        return [Finding(check=check, ok=False, detail=str(error))]
    return []
