from __future__ import annotations

import pytest

from acme_manager.domain.certificate import (
    Certificate,
    CertificateId,
    StoredCertificate,
    certificate_from_json,
    certificate_to_json,
    parse_labels,
    stored_from_json,
    stored_to_json,
)
from acme_manager.errors import InvalidRequest

CERTIFICATE = Certificate(
    domain="example.com", issuer="letsencrypt", owner="alice", bundle=True, days=30, renewal_count=2, updated_at=5
)


def test_the_key_has_the_name_where_there_is_one() -> None:
    assert CertificateId("alice", "letsencrypt", "*.example.com").key == "alice/letsencrypt/*.example.com"
    assert CertificateId("alice", "letsencrypt", "example.com", "web").key == "alice/web"


def test_a_record_leaves_out_what_is_zero_and_keeps_the_order_of_the_go_program() -> None:
    assert list(certificate_to_json(CERTIFICATE).items()) == [
        ("domain", "example.com"), ("issuer", "letsencrypt"), ("bundle", True), ("days", 30), ("owner", "alice"),
        ("updated_at", 5), ("renewal_count", 2),
    ]  # fmt: skip


def test_a_secret_always_has_its_three_parts_and_a_key_only_where_the_server_made_one() -> None:
    secret = stored_to_json(StoredCertificate(certificate=CERTIFICATE))
    assert (secret["cert"], secret["ca_issuer"], secret["url"]) == ("", "", "")
    assert "private_key" not in secret
    ours = StoredCertificate(certificate=CERTIFICATE, cert="C", ca_issuer="I", url="U", private_key="K")
    assert stored_from_json(stored_to_json(ours)) == ours


def test_a_key_never_shows_in_a_repr() -> None:
    assert "hidden" not in repr(StoredCertificate(certificate=CERTIFICATE, private_key="hidden"))


def test_unknown_and_missing_members_of_a_record_are_no_error() -> None:
    assert certificate_from_json({"domain": "a.example", "future": 1, "san": None}) == Certificate(domain="a.example")


def test_a_member_of_a_wrong_type_is() -> None:
    with pytest.raises(ValueError, match="no certificate record"):
        certificate_from_json({"days": "thirty"})


@pytest.mark.parametrize(
    ("text", "labels"),
    [("", {}), ("env=prod,team=web", {"env": "prod", "team": "web"}), ("env=prod,odd,a=b=c", {"env": "prod"})],
)
def test_labels_are_pairs(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize("text", ["1a=b", "a-b=c", "__name__=x"])
def test_a_label_that_prometheus_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid Label Name"):
        parse_labels(text)
