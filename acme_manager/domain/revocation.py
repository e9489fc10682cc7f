"""Why a certificate is revoked: the reason codes of RFC 5280 section 5.3.1."""

from __future__ import annotations

import enum

from acme_manager.errors import InvalidRequest


class Reason(enum.IntEnum):
    """The codes, under the RFC's names. CAs take only some of them from subscribers."""

    unspecified = 0
    keyCompromise = 1  # noqa: N815 the RFC's name
    cACompromise = 2  # noqa: N815
    affiliationChanged = 3  # noqa: N815
    superseded = 4
    cessationOfOperation = 5  # noqa: N815
    certificateHold = 6  # noqa: N815
    removeFromCRL = 8  # noqa: N815
    privilegeWithdrawn = 9  # noqa: N815
    aACompromise = 10  # noqa: N815


def parse_reason(text: str) -> Reason | None:
    """Read a number or a name, in any case; None where there is none. Raises InvalidRequest."""
    if not text:
        return None
    found = next((one for one in Reason if text.lower() in {one.name.lower(), str(one.value)}), None)
    if found is None:
        known = ", ".join(f"{one.name} ({one.value})" for one in Reason)
        raise InvalidRequest(f"'reason' must be the name or number of a reason to revoke: {known}", "reason")
    return found
