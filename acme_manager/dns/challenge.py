"""dns-01 on paper: where a record goes, what it says, and what must be remembered to take it away.

RFC 8555 section 8.4. Names are absolute, lower case, without the final dot.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode, urlsafe_b64encode

import attrs

from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.errors import DnsFailed
from acme_manager.ports import Challenge, Trace

CHALLENGE_TYPE = "dns-01"
ACCOUNT_TYPE = "dns-account-01"  # draft-ietf-acme-dns-account-label
PERSIST_TYPE = "dns-persist-01"  # draft-ietf-acme-dns-persist
_LONGEST = 253


@attrs.frozen(order=True)
class Record:
    """One TXT record and the provider that writes it.

    `domain` and `key_authorization` say what the record was made from, for programs that make it anew (lego). They are
    empty in what earlier versions stored. A key authorization is no secret: http-01 shows it to the world.
    """

    provider: str
    name: str
    value: str
    credentials: str = ""  # the set that the provider writes it with; empty: the variables of the environment
    domain: str = attrs.field(default="", eq=False)
    key_authorization: str = attrs.field(default="", eq=False, repr=False)

    def trace(self) -> Trace:
        """As text for storage: enough for another process to remove the record."""
        more = {"credentials": self.credentials, "domain": self.domain, "key_authorization": self.key_authorization}
        return {
            "type": CHALLENGE_TYPE,
            "provider": self.provider,
            "name": self.name,
            "value": self.value,
            **{key: text for key, text in more.items() if text},
        }


def record_of(trace: Trace) -> Record:
    """Read what `Record.trace` wrote. Raises DnsFailed when it is not a trace of a dns-01 challenge."""
    try:
        record = Record(
            trace["provider"],
            trace["name"],
            trace["value"],
            credentials=trace.get("credentials", ""),
            domain=trace.get("domain", ""),
            key_authorization=trace.get("key_authorization", ""),
        )
    except KeyError as error:
        raise DnsFailed(f"a stored trace of a DNS challenge lacks {error}") from error
    if trace.get("type", CHALLENGE_TYPE) != CHALLENGE_TYPE or not (record.provider and record.name and record.value):
        raise DnsFailed("a stored trace is not one of a dns-01 challenge")
    return record


def split_method(dns_challenge: str) -> tuple[str, str]:
    """The challenge type and the provider that a `dns_challenge` stands for; dns-persist-01 has none."""
    if dns_challenge == PERSIST_TYPE:
        return PERSIST_TYPE, ""
    prefix = f"{ACCOUNT_TYPE}/"
    if dns_challenge.startswith(prefix):
        return ACCOUNT_TYPE, dns_challenge.removeprefix(prefix)
    return CHALLENGE_TYPE, dns_challenge


def challenge_name(challenge: Challenge) -> str:
    """Where the CA is going to look first; raises as `record_name` does."""
    return record_name(challenge.identifier, challenge.account if challenge.type == ACCOUNT_TYPE else "")


def record_name(identifier: Identifier, account: str = "") -> str:
    """The name of the record that proves a name; for dns-account-01 with the URL of our account.

    Raises DnsFailed for an IP address, which has no place in DNS (RFC 8738), and for a name that is too long.
    """
    if identifier.type is not IdentifierType.DNS:
        raise DnsFailed(f"{identifier} is an IP address, which dns-01 can't prove; use http-01")
    name = f"_acme-challenge.{identifier.base.rstrip('.').lower()}"
    if account:
        digest = hashlib.sha256(account.encode()).digest()[:10]
        name = f"_{b32encode(digest).decode().lower()}.{name}"
    if len(name) > _LONGEST:
        raise DnsFailed(
            f"{identifier} is too long for dns-01: the name of its record would exceed {_LONGEST} characters"
        )
    return name


def challenge_value(challenge: Challenge) -> str:
    """The SHA-256 of the key authorization in base64url without padding: always 43 characters."""
    digest = hashlib.sha256(challenge.key_authorization.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def enclosing(name: str) -> tuple[str, ...]:
    """The zones a name may be in, nearest first: the name itself, its parents, not the root."""
    labels = name.rstrip(".").split(".")
    return tuple(".".join(labels[start:]) for start in range(len(labels)))


def within(name: str, zone: str) -> bool:
    """Whether a name is a zone's apex or below it. Every name is below the root, which is spelled as empty text."""
    return not zone or name == zone or name.endswith(f".{zone}")
