from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.certificate import CertificateId
from acme_manager.errors import InvalidRequest
from acme_manager.storage import keys

UNNAMED = CertificateId("team", "letsencrypt", "*.example.com")
NAMED = CertificateId("team", "letsencrypt", "example.com", "shop")

elements = st.text(st.characters(exclude_characters="/", exclude_categories=["C", "Z"]), min_size=1).filter(
    lambda text: text.isprintable() and text not in {".", ".."}
)
owners = elements.filter(lambda text: text != ".acme-manager")
prefixes = st.lists(elements, min_size=1, max_size=3).map("/".join)


def test_certificates_lie_where_the_go_original_puts_them() -> None:
    assert keys.certificate_key("certificates", UNNAMED) == "certificates/team/letsencrypt/*.example.com"
    assert keys.certificate_key("certificates", NAMED) == "certificates/team/shop"
    assert keys.old_named_key("certificates", NAMED) == "certificates/team/letsencrypt/shop/example.com"
    assert keys.token_key("tokens", "team", "5f0e") == "tokens/team/5f0e"


def test_orders_lie_below_the_certificates() -> None:
    assert keys.order_key("certificates", NAMED) == "certificates/.acme-manager/orders/team/shop"
    assert keys.order_key("certificates", UNNAMED).startswith(keys.orders_prefix("certificates") + "/")


def test_backups_of_keys_lie_below_their_owner_and_are_taken_for_no_certificates() -> None:
    places = [keys.backup_key("/certificates/", one) for one in (UNNAMED, NAMED)]
    assert places == [
        "certificates/team/.acme-manager/keys/by-issuer/letsencrypt/*.example.com",
        "certificates/team/.acme-manager/keys/by-name/shop",
    ]
    for key in places:
        assert keys.certificate_id_from_key("certificates", key) is None
        assert keys.old_named_id_from_key("certificates", key) is None
        assert keys.order_id_from_key("certificates", key) is None


def test_accounts_lie_below_the_certificates_and_are_taken_for_none() -> None:
    key = keys.account_key("/certificates/", "letsencrypt")
    assert key == "certificates/.acme-manager/accounts/letsencrypt"
    assert keys.certificate_id_from_key("certificates", key) is None
    assert keys.order_id_from_key("certificates", key) is None
    with pytest.raises(InvalidRequest, match="issuer"):
        keys.account_key("certificates", "a/b")


def test_slashes_around_a_prefix_do_not_matter() -> None:
    assert keys.certificate_key("/a/b/", NAMED) == "a/b/team/shop"
    assert keys.token_key("/tokens", "team", "1") == "tokens/team/1"
    assert keys.certificate_id_from_key("/a/b/", "a/b/team/shop") == CertificateId("team", name="shop")


def test_an_ipv6_address_and_a_wildcard_keep_their_spelling() -> None:
    for domain in ("2001:db8::1", "*.example.com"):
        key = keys.certificate_key("c", CertificateId("o", "i", domain))
        assert key == f"c/o/i/{domain}"


@given(prefixes, owners, elements, elements)
def test_a_certificate_is_found_again_from_its_key(prefix: str, owner: str, issuer: str, domain: str) -> None:
    certificate_id = CertificateId(owner, issuer, domain)
    key = keys.certificate_key(prefix, certificate_id)
    assert keys.certificate_id_from_key(prefix, key) == certificate_id
    assert keys.old_named_id_from_key(prefix, key) is None
    assert keys.order_id_from_key(prefix, key) is None
    order = keys.order_key(prefix, certificate_id)
    assert keys.order_id_from_key(prefix, order) == certificate_id
    assert keys.certificate_id_from_key(prefix, order) is None
    assert keys.old_named_id_from_key(prefix, order) is None
    keys.check_key(key)
    keys.check_key(order)


@given(prefixes, owners, elements)
def test_named_certificates_and_tokens_are_found_again(prefix: str, owner: str, name: str) -> None:
    named = CertificateId(owner, name=name)
    assert keys.certificate_id_from_key(prefix, keys.certificate_key(prefix, named)) == named
    assert keys.order_id_from_key(prefix, keys.order_key(prefix, named)) == named
    assert keys.old_named_id_from_key(prefix, keys.order_key(prefix, named)) is None
    assert keys.token_id_from_key(prefix, keys.token_key(prefix, owner, name)) == (owner, name)


@given(prefixes, owners, elements, elements, elements)
def test_the_old_layout_of_named_certificates_is_recognized(
    prefix: str, owner: str, issuer: str, domain: str, name: str
) -> None:
    certificate_id = CertificateId(owner, issuer, domain, name)
    key = keys.old_named_key(prefix, certificate_id)
    assert keys.old_named_id_from_key(prefix, key) == certificate_id
    assert keys.certificate_id_from_key(prefix, key) is None


@pytest.mark.parametrize("key", ["", "c", "c/", "c/o", "c/o/", "c//o/d", "cc/o/i/d", "x/o/i/d", "c/o/i/d/n/x"])
def test_other_keys_are_nobodys(key: str) -> None:
    for read in (keys.certificate_id_from_key, keys.old_named_id_from_key, keys.order_id_from_key):
        assert read("c", key) is None
    assert keys.token_id_from_key("c", key) is None


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "/a", "a/", "a\n", "\0", "a\x7fb", "\u200b", "\ud800"])
def test_unsafe_elements_are_refused_with_the_fields_name(bad: str) -> None:
    builders: dict[str, Callable[[], str]] = {
        "owner": lambda: keys.certificate_key("c", CertificateId(bad, "i", "d")),
        "issuer": lambda: keys.order_key("c", CertificateId("o", bad, "d")),
        "domain": lambda: keys.certificate_key("c", CertificateId("o", "i", bad)),
        "username": lambda: keys.token_key("t", bad, "1"),
        "id": lambda: keys.token_key("t", "u", bad),
        "name": lambda: keys.old_named_key("c", CertificateId("o", "i", "d", bad)),
    }
    for where, build in builders.items():
        with pytest.raises(InvalidRequest, match=f"'{where}'") as caught:
            build()
        assert caught.value.where == where


@pytest.mark.parametrize("name", ["..", "a/b", "\t"])
def test_an_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="'name'"):
        keys.certificate_key("c", CertificateId("o", name=name))


def test_the_owner_that_would_hide_among_our_orders_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="reserved"):
        keys.certificate_key("c", CertificateId(".acme-manager", "orders", "d"))
