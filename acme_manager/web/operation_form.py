"""The form of a new operation: what was typed, or what a link asks for, as the parameters that the API takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import attrs

from acme_manager.domain.gotime import rfc3339
from acme_manager.domain.operation import OperationKind, Selector
from acme_manager.domain.request import OperationParams
from acme_manager.domain.revocation import Reason
from acme_manager.errors import InvalidRequest
from acme_manager.web.certificate_removal import REASONS
from acme_manager.web.words import moment

KINDS = {
    OperationKind.REPLACE: (
        "Replace",
        "New certificates with new keys; then the old ones are revoked, if you say so. When keys have leaked or are too"
        " weak, or a CA is going to revoke.",
    ),
    OperationKind.RENEW: (
        "Renew",
        "As when their time comes: hosts that bring their own key keep it. When a CA wants them back early, or a"
        " setting of an issuer has changed.",
    ),
    OperationKind.REVOKE: (
        "Revoke",
        "They are revoked and deleted, and nothing takes their place: hosts that still use them break. When you have"
        " given up the names.",
    ),
}
"""What is done, in a word, and when to choose it."""

_BETWEEN = {"names": re.compile(r"[\s,]+"), "serials": re.compile(r"[,;\n]+")}
_SHOWN = 5  # serial numbers
_LINES = re.compile(r"[,\n]+")

Values = Callable[[str], Sequence[str]]


@attrs.frozen(kw_only=True)
class Draft:
    """An operation that is being thought of. `kind` is empty until it has been chosen."""

    kind: str = ""
    params: OperationParams

    @classmethod
    def read(cls, values: Values) -> Draft:
        """Of every field's values."""

        def one(name: str) -> str:
            return next((value.strip() for value in values(name) if value.strip()), "")

        def many(name: str) -> tuple[str, ...]:
            parts = (part.strip() for value in values(name) for part in _BETWEEN.get(name, _LINES).split(value))
            return tuple(dict.fromkeys(part for part in parts if part))

        kind = one("kind")
        return cls(
            kind=kind if kind in set(OperationKind) else "",
            params=OperationParams(
                all=bool(one("all")),
                issuers=many("issuers"),
                owners=many("owners"),
                names=many("names"),
                key_types=many("key_types"),
                serials=many("serials"),
                labels=many("labels"),
                ari=bool(one("ari")),
                issued_before=_in_utc(one("issued_before")),
                revoke=bool(one("revoke")),
                reason=one("reason"),
                same_key=bool(one("same_key")),
            ),
        )

    @property
    def chosen(self) -> OperationKind:
        """Raises InvalidRequest."""
        if not self.kind:
            raise InvalidRequest("choose what is to be done", "kind")
        return OperationKind(self.kind)

    @property
    def fields(self) -> Iterator[tuple[str, str]]:
        """What a form has to have to say the same: what is empty is left out."""
        for name, value in {"kind": self.kind, **attrs.asdict(self.params)}.items():
            for part in value if isinstance(value, tuple) else (value,):
                if part:
                    yield name, "on" if part is True else str(part)


def _in_utc(text: str) -> str:
    """People leave the zone out, or the time: that is UTC. What can't be read stays, for the complaint to name it."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo is not None else rfc3339(at.replace(tzinfo=UTC))


def in_words(said: Selector | OperationParams) -> list[tuple[str, str]]:
    """What certificates are selected by, as term and text."""
    serials, before = said.serials, moment(said.issued_before)
    more = f" and {len(serials) - _SHOWN} more" if len(serials) > _SHOWN else ""
    pairs = [
        ("Selected", "everything" if said.all else ""),
        ("Issuer", " or ".join(said.issuers)),
        ("Owner", " or ".join(said.owners)),
        ("Name", " or ".join(said.names)),
        ("Key type", " or ".join(said.key_types)),
        ("Serial number", (", " if more else " or ").join(serials[:_SHOWN]) + more),
        ("Labels", " and ".join(said.labels)),
        ("Wanted back by its CA", "yes" if said.ari else ""),
        ("Issued before", f"{before:%Y-%m-%d %H:%M} UTC" if before else ""),
    ]
    return [(term, text) for term, text in pairs if text]


def what_of_old(kind: OperationKind, *, revoke: bool) -> str:
    """What becomes of the old certificates, in words."""
    if kind is OperationKind.REVOKE:
        return "are revoked and deleted"
    return "are revoked once there is a new one" if revoke else "stay valid until they expire"


def reason_in_words(reason: Reason | None) -> str:
    """Why they are revoked; empty where no reason is given."""
    return "" if reason is None else REASONS[reason][0] if reason in REASONS else reason.name
