from __future__ import annotations

from pathlib import Path

import attrs
import yaml

from acme_manager.dev.folder import Folder, State
from acme_manager.dev.openbao import OpenBao
from acme_manager.dev.server_config import config_of, environ_of
from acme_manager.domain.token import matches_hash

STATE = State()
NAMESERVER = ("127.0.0.1", 5300)


def test_the_configuration_has_the_admin_keys_hash_and_not_the_key(tmp_path: Path) -> None:
    openbao = OpenBao("http://127.0.0.1:8200", 8200, 1)
    config = config_of(Folder(tmp_path, -1, kept=True), STATE, openbao)
    assert matches_hash(STATE.api_key, config["common"]["api_key_hash"])
    text = yaml.safe_dump(config)
    unneeded = (STATE.api_key, STATE.operator_role_id, STATE.operator_secret_id, STATE.tsig_secret)
    assert not any(secret in text for secret in unneeded)


def test_variables_meant_for_another_server_are_left_out() -> None:
    theirs = {
        "RFC2136_TSIG_FILE": "x",
        "DNSUPDATE_NAMESERVER": "x",
        "VAULT_NAMESPACE": "x",
        "ACME_MANAGER_DNS_PROPAGATIONWAIT": "60",
        "LEGO_CA_CERTIFICATES": "x",
        "HTTPS_PROXY": "x",
        "PATH": "/bin",
    }
    environ = environ_of(theirs, STATE, NAMESERVER)
    assert {name: environ[name] for name in theirs if name in environ} == {"PATH": "/bin"}


def test_every_dns_question_and_update_goes_to_our_name_server() -> None:
    environ = environ_of({}, STATE, NAMESERVER)
    assert environ["RFC2136_NAMESERVER"] == environ["ACME_MANAGER_DNS_RESOLVERS"] == "127.0.0.1:5300"
    assert environ["ACME_MANAGER_DNS_AUTHORITATIVE_PORT"] == "5300"
    assert environ["RFC2136_TSIG_SECRET"] == STATE.tsig_secret


def test_the_environment_holds_no_secret_that_it_does_not_need() -> None:
    values = environ_of({}, STATE, NAMESERVER).values()
    secrets = {value for value in attrs.astuple(STATE) if isinstance(value, str) and value} - {STATE.tsig_secret}
    assert not secrets & set(values)
