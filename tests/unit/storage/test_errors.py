from __future__ import annotations

import pytest

from acme_manager.errors import StorageDenied, StorageUnavailable
from acme_manager.storage.errors import (
    Need,
    Refusal,
    Unreachable,
    in_our_words,
    login_in_our_words,
    may_pass,
    wait_after,
)

NEED = Need("list", "secret/metadata/certificates")


@pytest.mark.parametrize(
    ("status", "passing"),
    [(400, False), (403, False), (404, False), (412, True), (429, True), (500, True), (501, False), (503, True)],
)
def test_some_refusals_pass_by_themselves(status: int, passing: bool) -> None:
    assert may_pass(Refusal(status, [], {})) is passing


def test_a_server_that_is_away_may_come_back() -> None:
    assert may_pass(Unreachable("gone"))


def test_vaults_own_wish_for_a_pause_beats_ours_within_bounds() -> None:
    assert wait_after(Unreachable("gone"), 2.0) == 2.0
    assert wait_after(Refusal(429, [], {}), 2.0) == 2.0
    assert wait_after(Refusal(429, [], {}, retry_after=7), 2.0) == 7.0
    assert wait_after(Refusal(429, [], {}, retry_after=99999), 2.0) == 30.0


def test_only_a_mismatch_of_check_and_set_is_a_stale_version() -> None:
    assert Refusal(400, ["check-and-set parameter did not match the current version"], {}).stale
    assert not Refusal(400, ["check-and-set parameter required for this call"], {}).stale
    assert not Refusal(500, ["check-and-set parameter did not match the current version"], {}).stale


def test_a_404_with_a_reason_is_not_a_missing_secret() -> None:
    assert Refusal(404, [], {}).nothing_there
    assert not Refusal(404, ["no handler for route"], {}).nothing_there


def test_a_denial_names_capability_path_and_remedy() -> None:
    error = in_our_words(Refusal(403, ["permission denied"], {}), NEED)
    assert isinstance(error, StorageDenied)
    assert "list on secret/metadata/certificates" in str(error)
    assert "config/vault-policy.hcl" in str(error)


def test_a_sealed_vault_is_called_sealed() -> None:
    error = in_our_words(Refusal(503, ["Vault is sealed"], {}), NEED)
    assert isinstance(error, StorageUnavailable)
    assert "sealed" in str(error)


def test_a_missing_engine_names_the_setting() -> None:
    assert "storage.vault.secret_engine ('secret')" in str(in_our_words(Refusal(404, ["no handler"], {}), NEED))


def test_the_pause_that_vault_asks_for_is_passed_on() -> None:
    assert in_our_words(Refusal(429, ["quota"], {}, retry_after=12), NEED).retry_after == 12.0


def test_a_login_is_denied_or_merely_unavailable() -> None:
    assert isinstance(
        login_in_our_words(Refusal(400, ["invalid role or secret ID"], {}), "auth/x/login"), StorageDenied
    )
    assert isinstance(login_in_our_words(Refusal(503, ["Vault is sealed"], {}), "auth/x/login"), StorageUnavailable)
    assert isinstance(login_in_our_words(Unreachable("gone"), "auth/x/login"), StorageUnavailable)
