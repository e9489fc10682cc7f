"""The account's folder, in the Go original's layout."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from acme_manager.issuance.account_files import AccountFiles, Registration

FROM_GO = """{
\t"email": "ops@example.org",
\t"registration": {
\t\t"body": {
\t\t\t"status": "valid",
\t\t\t"contact": [
\t\t\t\t"mailto:ops@example.org"
\t\t\t],
\t\t\t"orders": "https://ca.test/orders/1"
\t\t},
\t\t"uri": "https://ca.test/account/1"
\t}
}"""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_the_go_original_wrote_is_read_and_written_alike(tmp_path: Path) -> None:
    files = AccountFiles(tmp_path)
    (tmp_path / "account.json").write_text(FROM_GO)
    found = files.load_registration()
    assert found == Registration("ops@example.org", "https://ca.test/account/1")
    files.save_registration(
        found, json.loads(FROM_GO)["registration"]["body"] | {"key": {"kty": "EC"}, "status": "valid"}
    )
    assert (tmp_path / "account.json").read_text() == FROM_GO
    assert _mode(tmp_path / "account.json") == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"email": 7}', '{"registration": null}', '{"registration": {"uri": 5}}']
)
def test_an_account_file_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "account.json").write_text(text)
    assert AccountFiles(tmp_path).load_registration() is None


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "accounts" / "ca"
    first = AccountFiles(folder).make_key()
    assert AccountFiles(folder).make_key() == first == AccountFiles(folder).load_key()
    assert first.alg == "ES256"
    assert _mode(folder) == 0o700
    assert _mode(folder / "private_key.pem") == 0o600
    assert [file.name for file in folder.iterdir()] == ["private_key.pem"]


def test_a_key_file_that_is_none_is_an_error_that_names_it_and_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "private_key.pem").write_text("precious")
    for action in (AccountFiles(tmp_path).load_key, AccountFiles(tmp_path).make_key):
        with pytest.raises(ValueError, match=r"private_key\.pem is no private key"):
            action()
    assert (tmp_path / "private_key.pem").read_text() == "precious"


def test_the_next_key_takes_over_once(tmp_path: Path) -> None:
    files = AccountFiles(tmp_path)
    files.make_key()
    coming = files.make_next_key()
    assert files.make_next_key() == coming
    files.adopt_next_key()
    files.adopt_next_key()
    assert files.load_key() == coming
    assert files.load_next_key() is None
