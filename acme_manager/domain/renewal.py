"""The instant at which a certificate is to be renewed by its `renewal_days`.

The instant is drawn once, from a hash of the certificate's identity, so that every node and every scan comes to the
same one and a fleet spreads evenly over the window. Redrawing at each scan would pull everything to the window's start.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import attrs

from acme_manager.errors import InvalidRequest

_DAY = timedelta(days=1)
_WEEKEND = frozenset({5, 6})
_SHORT_LIFE = timedelta(days=10)
_MOST_DAYS = 36500


@attrs.frozen
class RenewalWindow:
    """`renewal_days`: renew when between `latest` and `earliest` days are left."""

    latest: int
    earliest: int


def parse_window(text: str, where: str = "renewal_days") -> RenewalWindow:
    """Read `N` or `MIN-MAX`, in days before expiry. Raises InvalidRequest in the Go original's words."""
    parts = text.split("-")
    if len(parts) > 2 or not all(parts):
        raise InvalidRequest(
            f"invalid value in 'cert_days_renewal': '{text}', it should (min-days)-(max-days)' or 'days'", where
        )
    try:
        latest, earliest = int(parts[0]), int(parts[-1])
    except ValueError as error:
        raise InvalidRequest(
            f"invalid value in 'cert_days_renewal': '{text}' must be whole numbers of days, as in '30' or '20-30'",
            where,
        ) from error
    if earliest > _MOST_DAYS:
        raise InvalidRequest(f"invalid value in 'cert_days_renewal': days can't be more than {_MOST_DAYS}", where)
    if latest > earliest:
        raise InvalidRequest(
            "invalid value in 'cert_days_renewal': 'min-days' could not be higher than 'max-days'", where
        )
    return RenewalWindow(latest, earliest)


def spread(key: str) -> float:
    """A fraction in [0, 1) that is the same on every node and at every scan."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


@attrs.frozen(kw_only=True)
class Draw:
    """An instant drawn from a window. `fits` is false where a share of the life took the place of `renewal_days`;
    `at` differs from `drawn` where that was on a weekend."""

    at: datetime
    drawn: datetime
    start: datetime
    end: datetime
    fits: bool


def draw(not_before: datetime, not_after: datetime, window: RenewalWindow, key: str) -> Draw:
    """The instant to renew at, and where it comes from.

    A window that does not fit the lifetime gives way to a share of it: the last third, the last half under ten days
    (https://letsencrypt.org/docs/integration-guide/ asks for two thirds of the lifetime).
    """
    lifetime = not_after - not_before
    start, end = not_after - window.earliest * _DAY, not_after - window.latest * _DAY
    if start <= not_before:
        start = not_before + lifetime * (0.5 if short_lived(lifetime) else 2 / 3)
        # Leave a quarter of what remains for retries: the end of the window is not the end of the certificate.
        end = start + (not_after - start) * 0.75
        at = start + (end - start) * spread(key)
        return Draw(at=at, drawn=at, start=start, end=end, fits=False)
    drawn = start + (end - start) * spread(key)
    return Draw(at=_on_a_weekday(drawn, start, end), drawn=drawn, start=start, end=end, fits=True)


def short_lived(lifetime: timedelta) -> bool:
    """Whether a certificate needs half of its life for its renewal."""
    return lifetime < _SHORT_LIFE


def _on_a_weekday(at: datetime, start: datetime, end: datetime) -> datetime:
    """Move a weekend's instant to the nearest weekday inside the window, where the window has one."""
    if at.weekday() not in _WEEKEND:
        return at
    moves = sorted((offset * _DAY for offset in (-2, -1, 1, 2)), key=abs)
    return next(
        (at + move for move in moves if start <= at + move <= end and (at + move).weekday() not in _WEEKEND), at
    )
