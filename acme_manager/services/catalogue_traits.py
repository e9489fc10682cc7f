"""What certificates are told apart by, and what is weak about them: for filters and for figures."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter

import attrs

from acme_manager.services.catalogue_row import NEVER, Row

NOTHING = "-"
"""What is empty, where an empty text asks for nothing."""

_SHORTENED = (7.0, 47.0, 100.0, 200.0, 398.0)  # days: short-lived, and the steps of the CA/Browser Forum
_LONGEST_LIFE = _SHORTENED[-1]
_OLD_KEY = 2 * 365.0  # days
_LEAST_RSA = 2048  # bits
_SLACK = 1.0  # days: by which `issued`, when a record of ours was made, may differ from what the certificate says
_DAY = 86400.0

LIFETIMES = (*(f"up to {days:g} days" for days in _SHORTENED), f"over {_LONGEST_LIFE:g} days", "unknown")
"""The classes of lifetimes, from short to long."""


def lifetime(row: Row) -> str:
    """One of LIFETIMES."""
    return LIFETIMES[-1 if row.life == NEVER else bisect_left(_SHORTENED, row.life - _SLACK)]


def issued_by(row: Row) -> str:
    """The issuer that it is of, or the one that stood in."""
    return row.certificate.issued_by or row.certificate.issuer


def key_maker(row: Row) -> str:
    """`host` where the key is the host's own, else `server`."""
    return "host" if row.certificate.csr else "server"


TRAITS: Mapping[str, Callable[[Row], str]] = {
    "issuer": attrgetter("certificate.issuer"),
    "owner": attrgetter("certificate.owner"),
    "key_type": attrgetter("key_type"),
    "challenge": attrgetter("challenge"),
    "profile": attrgetter("certificate.profile"),
    "issued_by": issued_by,
    "key": key_maker,
    "lifetime": lifetime,
}
"""What can be asked for and counted by, by name."""


@lru_cache(maxsize=256)
def _is_short(key_type: str) -> bool:
    """Whether an RSA key is shorter than anybody should have."""
    bits = key_type.removeprefix("rsa")
    return bits != key_type and bits.isdecimal() and int(bits) < _LEAST_RSA


def _age_of_key(row: Row, now: float) -> float:
    """In days, at least: a host sends its key once, and what is renewed has lived half of its life."""
    return (now - row.issued) / _DAY + row.certificate.renewal_count * row.life / 2


@attrs.frozen
class Weak:
    """Something that should not be: a sentence, and those of some rows that it is true of at an instant."""

    sentence: str
    among: Callable[[Sequence[Row], float], list[Row]]


WEAKNESSES: Mapping[str, Weak] = {
    "short_rsa": Weak(
        f"RSA keys of less than {_LEAST_RSA} bits",
        lambda rows, _now: [row for row in rows if _is_short(row.key_type)],
    ),
    "long_life": Weak(
        f"Lifetimes of more than {_LONGEST_LIFE:g} days",
        lambda rows, _now: [row for row in rows if _LONGEST_LIFE + _SLACK < row.life < NEVER],
    ),
    "old_key": Weak(
        "Keys of hosts that have been certified again for about two years or longer",
        lambda rows, now: [row for row in rows if row.certificate.csr and _age_of_key(row, now) >= _OLD_KEY],
    ),
    "no_expiry": Weak(
        "Records without an expiry that can be read",
        lambda rows, _now: [row for row in rows if row.life == NEVER],
    ),
}
