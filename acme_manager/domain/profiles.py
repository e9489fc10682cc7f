"""What certificate profiles allow, where their CA has published it and no protocol says it."""

from __future__ import annotations

from collections.abc import Collection

import attrs

_LETS_ENCRYPT = "letsencrypt.org"


@attrs.frozen(kw_only=True)
class ProfileLimits:
    """How many names, whether IP addresses, and whether one of the names becomes the common name."""

    names: int
    addresses: bool = False
    common_name: bool = False


# https://letsencrypt.org/docs/profiles/
_PROFILES = {
    "classic": ProfileLimits(names=100, common_name=True),
    "tlsserver": ProfileLimits(names=25),
    "shortlived": ProfileLimits(names=25, addresses=True),
}
_DEFAULT = "classic"


def limits_of(caa_identities: Collection[str], profile: str) -> ProfileLimits | None:
    """The limits of a profile, by what the CA calls itself in CAA records; empty is its default. None: not known."""
    return _PROFILES.get(profile or _DEFAULT) if _LETS_ENCRYPT in caa_identities else None


def takes_lifetime(caa_identities: Collection[str]) -> bool | None:
    """Whether orders may ask for a lifetime (`notAfter`). Let's Encrypt fails those that do; None: not known."""
    return False if _LETS_ENCRYPT in caa_identities else None
