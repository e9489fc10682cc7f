from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from acme_manager.config.ui import OidcConfig
from acme_manager.domain.oidc import Identity, OidcOwner, Rights, owner_complaint, rights_of
from acme_manager.domain.token import Scope
from acme_manager.errors import LoginDenied

CONFIG = OidcConfig(
    issuer_url="https://login.example",
    client_id="acme",
    admin_groups=("admins",),
    owners=(
        OidcOwner("web-team", "web", (Scope.READ,)),
        OidcOwner("mail-team", "mail", (Scope.READ, Scope.DELETE)),
        OidcOwner("web-leads", "web", (Scope.CREATE, Scope.READ)),
    ),
)
WITH_OWN = attrs.evolve(CONFIG, own_username_scope=(Scope.READ, Scope.CREATE))


def alice(*groups: str, username: str = "alice") -> Identity:
    return Identity(subject="1", username=username, email="", groups=groups, expires=datetime(2026, 11, 24, tzinfo=UTC))


@pytest.mark.parametrize(
    ("groups", "rights"),
    [
        (("web-team", "admins"), Rights(admin=True)),
        (("web-team",), Rights(owner="web", scope=(Scope.READ,))),
        (("other", "mail-team"), Rights(owner="mail", scope=(Scope.READ, Scope.DELETE))),
        (("web-leads", "web-team"), Rights(owner="web", scope=(Scope.CREATE, Scope.READ))),  # what both may, once
        (("web-leads", "mail-team"), Rights(owner="mail", scope=(Scope.READ, Scope.DELETE))),  # the first of the file
    ],
)
def test_groups_decide_what_somebody_may(groups: tuple[str, ...], rights: Rights) -> None:
    assert rights_of(alice(*groups), CONFIG) == rights
    assert rights_of(alice(*groups), WITH_OWN) == rights


@pytest.mark.parametrize("groups", [(), ("other",)])
def test_who_is_in_no_such_group_may_be_an_owner_by_name(groups: tuple[str, ...]) -> None:
    assert rights_of(alice(*groups), WITH_OWN) == Rights(owner="alice", scope=(Scope.READ, Scope.CREATE))


def test_who_is_in_no_such_group_is_told_which_there_are_and_who_can_help() -> None:
    with pytest.raises(LoginDenied) as caught:
        rights_of(alice("other"), CONFIG)
    assert str(caught.value) == (
        "'alice' is in none of the groups that may log in here (admins, web-team, mail-team, web-leads). "
        "Who runs the provider can add you to one; who runs this server can let one of yours in (ui.oidc.owners)."
    )


def test_who_comes_without_any_group_is_told_where_they_were_looked_for() -> None:
    with pytest.raises(LoginDenied, match=r"names none in the claim 'groups'\. Who runs the provider can"):
        rights_of(alice(), CONFIG)


def test_a_group_s_name_is_compared_as_it_is() -> None:
    for group in ("Admins", "admins ", "/admins"):
        with pytest.raises(LoginDenied):
            rights_of(alice(group), CONFIG)


@pytest.mark.parametrize("username", ["", " ", " alice", "a/b", "..", ".acme-manager", "a\nb", "\u202ealice"])
def test_a_name_that_storage_could_not_keep_makes_no_owner(username: str) -> None:
    assert owner_complaint(username) != ""
    with pytest.raises(LoginDenied, match=r"must be a name without slashes.*ui\.oidc\.username_claim"):
        rights_of(alice(username=username), WITH_OWN)


def test_nobody_becomes_the_owner_that_stands_for_a_group_by_a_name() -> None:
    with pytest.raises(LoginDenied, match="the owner that stands for the group 'web-team', and you are not in it"):
        rights_of(alice(username="web"), WITH_OWN)
    assert rights_of(alice("web-team", username="web"), WITH_OWN).owner == "web"
