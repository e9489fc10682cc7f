"""The account's folder, in the Go original's layout."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from acme_manager.issuance.account_files import AccountFiles
from acme_manager.issuance.account_record import AccountRecord, Registration, new_key

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


REGISTERED = Registration("ops@example.org", "https://ca.test/account/1", json.loads(FROM_GO)["registration"]["body"])


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_the_go_original_wrote_is_read_and_written_alike(tmp_path: Path) -> None:
    there, other = tmp_path / "there", tmp_path / "accounts" / "ca"
    there.mkdir()
    key = new_key()
    (there / "private_key.pem").write_text(key)
    (there / "account.json").write_text(FROM_GO)
    found = AccountFiles(there).load()
    assert found == AccountRecord(key=key, registration=REGISTERED)
    AccountFiles(other).save(found)
    assert (other / "account.json").read_text() == FROM_GO
    assert (other / "private_key.pem").read_text() == key
    assert [_mode(path) for path in (other, other / "account.json", other / "private_key.pem")] == [0o700, 0o600, 0o600]
    assert len(list(other.iterdir())) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"email": 7}', '{"registration": null}', '{"registration": {"uri": 5}}', "\xff"]
)
def test_an_account_file_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "private_key.pem").write_text(new_key())
    (tmp_path / "account.json").write_text(text, encoding="latin-1")
    found = AccountFiles(tmp_path).load()
    assert found is not None
    assert found.registration is None


@pytest.mark.parametrize("text", ["precious", "pr\xe9cieux", ""])
def test_a_key_file_that_is_none_is_an_error_that_names_it_and_is_never_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "private_key.pem").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"private_key\.pem is no private key"):
        AccountFiles(tmp_path).load()
    with pytest.raises(ValueError, match=r"private_key\.pem is no private key"):
        AccountFiles(tmp_path).save(AccountRecord(key=new_key()))
    assert (tmp_path / "private_key.pem").read_text(encoding="latin-1") == text


def test_a_rolled_over_key_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    files, old, new = AccountFiles(tmp_path), new_key(), new_key()
    files.save(AccountRecord(key=old, registration=REGISTERED))
    files.save(AccountRecord(key=new, registration=REGISTERED))
    assert files.load() == AccountRecord(key=new, registration=REGISTERED)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["account.json", "private_key.pem"]


def test_another_account_in_the_folder_is_renamed_and_not_overwritten(tmp_path: Path) -> None:
    files, theirs, ours = AccountFiles(tmp_path), new_key(), new_key()
    files.save(AccountRecord(key=theirs, registration=REGISTERED))
    files.save(AccountRecord(key=ours))
    assert files.load() == AccountRecord(key=ours)
    (kept,) = tmp_path.glob("private_key.?*.pem")
    assert kept.read_text() == theirs
    assert len(list(tmp_path.glob("account.?*.json"))) == 1


def test_to_forget_is_to_delete_both(tmp_path: Path) -> None:
    files = AccountFiles(tmp_path)
    files.save(AccountRecord(key=new_key(), registration=REGISTERED))
    files.forget()
    files.forget()
    assert list(tmp_path.iterdir()) == []
