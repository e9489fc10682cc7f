"""Who somebody is according to an OpenID Connect provider, and what follows from that here."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

import attrs

from acme_manager.domain.token import Scope
from acme_manager.errors import LoginDenied


@attrs.frozen
class OidcOwner:
    """`ui.oidc.owners[]`: whoever is in a group sees and does what a token of that owner with these scopes may."""

    group: str
    owner: str  # the username of the tokens, and so of the certificates
    scope: tuple[Scope, ...]

    def __str__(self) -> str:
        return f"{self.group} is {self.owner} ({', '.join(self.scope)})"


@attrs.frozen(kw_only=True)
class Identity:
    """A person as the provider vouches for them. `expires` is the end of that statement, in UTC."""

    subject: str  # unique at this provider, and never given to another person
    username: str
    email: str
    groups: tuple[str, ...]
    expires: datetime


@attrs.frozen
class Rights:
    """What somebody may do. Administrators have no owner: they are not confined to one."""

    admin: bool = False
    owner: str = ""
    scope: tuple[Scope, ...] = ()


class Grants(Protocol):
    """The part of `ui.oidc` that says who may do what."""

    @property
    def groups_claim(self) -> str:
        """Where the provider tells groups."""

    @property
    def admin_groups(self) -> Collection[str]:
        """Groups whose members may do everything."""

    @property
    def owners(self) -> Collection[OidcOwner]:
        """Groups that stand for owners; of several that fit, the first one counts."""

    @property
    def own_username_scope(self) -> tuple[Scope, ...]:
        """What people in none of these groups may do under their own username; empty: nothing."""


def rights_of(identity: Identity, grants: Grants) -> Rights:
    """What the configuration lets a person do. Raises LoginDenied with what is missing, and who can cure it."""
    if not grants.own_username_scope and not identity.groups:
        raise LoginDenied(
            f"'{identity.username}' is in no group: the provider names none in the claim '{grants.groups_claim}'. "
            "Who runs the provider can add you to a group, or have groups told to this application."
        )
    if set(identity.groups) & set(grants.admin_groups):
        return Rights(admin=True)
    fitting = [one for one in grants.owners if one.group in identity.groups]
    if fitting:
        owner = fitting[0].owner
        return Rights(owner=owner, scope=_scopes(one for one in fitting if one.owner == owner))
    if grants.own_username_scope:
        _check_username(identity.username, grants)
        return Rights(owner=identity.username, scope=grants.own_username_scope)
    known = ", ".join(dict.fromkeys([*grants.admin_groups, *(one.group for one in grants.owners)]))
    raise LoginDenied(
        f"'{identity.username}' is in none of the groups that may log in here ({known or 'there are none'}). "
        "Who runs the provider can add you to one; who runs this server can let one of yours in (ui.oidc.owners)."
    )


def owner_complaint(owner: str) -> str:
    """Why a text can't be an owner, who is an element of paths in storage; empty when it can."""
    good = owner.isprintable() and "/" not in owner and not owner.startswith(".") and owner.strip() == owner != ""
    return "" if good else "must be a name without slashes, and without a dot at its start: it is part of paths"


def _check_username(username: str, grants: Grants) -> None:
    """A provider may let people choose their names: no such name makes somebody an owner that stands for a group."""
    if complaint := owner_complaint(username):
        raise LoginDenied(
            f"{username!r} can't be an owner of certificates: it {complaint}. "
            "Who runs this server can have another claim used for it (ui.oidc.username_claim)."
        )
    group = next((one.group for one in grants.owners if one.owner == username), None)
    if group is not None:
        raise LoginDenied(
            f"'{username}' is the owner that stands for the group '{group}', and you are not in it. "
            "Who runs the provider can add you to that group."
        )


def _scopes(grants: Iterable[OidcOwner]) -> tuple[Scope, ...]:
    granted = {scope for one in grants for scope in one.scope}
    return tuple(scope for scope in Scope if scope in granted)
