"""The plugin for acme.sh, on an installation that a test has written: it has acme.sh's shape, and nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from acme_manager.clock import SystemClock
from acme_manager.config.model import DnsConfig
from acme_manager.dns.acmesh import AcmeShSource
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.shipped import plugin_file
from acme_manager.errors import ConfigInvalid, DnsFailed
from acme_manager.plugins import PluginMetrics, PluginRunner

MAIN = """
keep() { echo "$1=$2" >>"$ACCOUNT_CONF_PATH"; }
[ -z "$1" ] || { echo "acme.sh was run, not read"; exit 9; }
"""
SCRIPT = """
dns_pretend_add() {
    [ "$PRETEND_TOKEN" = "the token" ] || { echo "no access with '$PRETEND_TOKEN'"; return 1; }
    keep PRETEND_TOKEN "$PRETEND_TOKEN"
    env >"$PRETEND_ZONE.env"
    echo "$1 $2" >>"$PRETEND_ZONE"
}
dns_pretend_rm() { grep -v "^$1 $2$" "$PRETEND_ZONE" >"$PRETEND_ZONE.new"; mv "$PRETEND_ZONE.new" "$PRETEND_ZONE"; }
"""
NAME = "_acme-challenge.example.test"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "installed"
    (home / "dnsapi").mkdir(parents=True)
    (home / "acme.sh").write_text(MAIN)
    (home / "dnsapi" / "dns_pretend.sh").write_text(SCRIPT)
    return {
        "ACMESH_HOME": str(home),
        "ACMESH_PROVIDER": "dns_pretend",
        "ACMESH_VARIABLES": "PRETEND_TOKEN, PRETEND_ZONE",
        "PRETEND_TOKEN": "the token",
        "PRETEND_ZONE": str(tmp_path / "zone"),
        "VAULT_TOKEN": "not for you",
    }


def provider(environ: dict[str, str]) -> PluginProvider:
    source = AcmeShSource(PluginRunner(PluginMetrics(CollectorRegistry()), SystemClock()))
    lookup = Lookup(DnsConfig(resolvers=(("127.0.0.1", 9),), timeout=0.1))
    found = source.provider("acmesh", environ, lookup)
    assert isinstance(found, PluginProvider)
    return found


async def test_a_script_writes_and_removes_and_the_installation_stays_as_it_was(
    environ: dict[str, str], tmp_path: Path
) -> None:
    before = sorted((tmp_path / "installed").rglob("*"))
    script = provider(environ)
    await script.put_txt(NAME, "one")
    await script.put_txt(NAME, "two")
    await script.remove_txt(NAME, "one")
    assert (tmp_path / "zone").read_text() == f"{NAME} two\n"
    assert sorted((tmp_path / "installed").rglob("*")) == before
    assert "not for you" not in (tmp_path / "zone.env").read_text()


async def test_a_failure_repeats_what_the_script_said_without_the_secret(environ: dict[str, str]) -> None:
    with pytest.raises(DnsFailed, match=r"dns_pretend failed with exit code 1: no access with '\*\*\*\*'"):
        await provider({**environ, "PRETEND_TOKEN": "a wrong one"}).put_txt(NAME, "one")


def test_what_is_missing_is_named_before_anything_runs(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        provider({"ACMESH_PROVIDER": "dns_pretend", "ACMESH_VARIABLES": "PRETEND_TOKEN"})
    assert [one.where for one in caught.value.complaints] == ["ACMESH_HOME", "PRETEND_TOKEN"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ACMESH_HOME": "installed"}, "ACMESH_HOME: 'installed' must be the absolute name"),
        ({"ACMESH_PROVIDER": "../../bin/x"}, "must be the name of a script in dnsapi"),
        ({"ACMESH_PROVIDER": "dns_absent"}, "is not there"),
        ({"ACMESH_VARIABLES": "PRETEND_TOKEN;reboot"}, "is no name of a variable"),
        ({"ACMESH_VARIABLES": "ABSENT"}, "ABSENT is not set"),
    ],
)
def test_by_hand_it_says_what_is_wrong(environ: dict[str, str], change: dict[str, str], error: str) -> None:
    command = [sys.executable, "-I", str(plugin_file("acmesh")), "present", f"{NAME}.", "one"]
    env = {"PATH": os.defpath, **environ, **change}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert error in json.loads(done.stdout)["error"]
