"""How servers are reached: which token, which URLs, which TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from acme_manager.client.access import CREDENTIAL, access
from acme_manager.client.flags import ClientFlags
from acme_manager.client.manager import Access
from acme_manager.client.model import Common
from acme_manager.errors import ConfigInvalid


def read(environ: dict[str, str] | None = None, **flags: Any) -> Access:
    return access(ClientFlags(**flags), environ or {}, Common())


def test_the_first_token_that_is_there_counts(tmp_path: Path) -> None:
    (tmp_path / CREDENTIAL).write_text("of systemd\n")
    (tmp_path / "file").write_text("of a file\n")
    environ = {"ACME_MANAGER_TOKEN": "of a variable"}
    assert read(environ).token == "of a variable"
    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert read(environ).token == "of systemd"
    named = str(tmp_path / "file")
    assert read(environ, token_file=named).token == "of a file"
    assert read(environ, token_file=named, manager_token="of a flag").token == "of a flag"
    assert "of a flag" not in repr(read(manager_token="of a flag"))


def test_the_variable_counts_only_while_the_flag_has_its_default() -> None:
    environ = {"ACME_MANAGER_URL": "https://b/api/v1"}
    assert read(environ, manager_token="t").urls == ("https://b/api/v1",)
    given = read(environ, manager_token="t", manager_url="https://c/api/v1, http://d:1/api/v1/")
    assert given.urls == ("https://c/api/v1", "http://d:1/api/v1")


def test_only_who_asks_for_it_talks_to_any_server() -> None:
    for skip, mode in ((False, ssl.CERT_REQUIRED), (True, ssl.CERT_NONE)):
        verify = read(manager_token="t", tls_skip_verify=skip).verify
        assert isinstance(verify, ssl.SSLContext)
        assert verify.verify_mode == mode


@pytest.mark.parametrize(
    ("flags", "where"),
    [
        ({"manager_token": ""}, "-client.token-file"),
        ({"token_file": "/nowhere"}, "-client.token-file"),
        ({"manager_url": "ftp://x/api/v1"}, "-client.manager-url"),
        ({"manager_url": ","}, "-client.manager-url"),
        ({"manager_url": "https://x"}, "-client.manager-url"),
        ({"tls_ca_file": "/nowhere"}, "-client.tls-ca-file"),
        ({"client_cert_file": "/nowhere"}, "-client.tls-cert-file"),
        ({"client_cert_file": "/nowhere", "client_key_file": "/nowhere"}, "-client.tls-cert-file"),
    ],
)
def test_what_can_t_be_used_is_said_with_the_flag(flags: dict[str, Any], where: str) -> None:
    given = flags if "token_file" in flags else {"manager_token": "t", **flags}
    with pytest.raises(ConfigInvalid) as caught:
        read(**given)
    assert [one.where for one in caught.value.complaints] == [where]
