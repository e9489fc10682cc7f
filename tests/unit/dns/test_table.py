"""lego's names and variables: which belong to a provider, and what a `.env` of the Go original becomes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from acme_manager.config import dotenv
from acme_manager.dns.table import lego_providers, own_timing, own_variables
from acme_manager.errors import ConfigInvalid

PROBE = """
import json, sys
from lego_bridge import cmd
for name in json.load(sys.stdin):
    said = json.loads(cmd(json.dumps({"action": "configure", "provider": name, "credentials": {}})))
    print(json.dumps([name, said.get("error", "")]), flush=True)
"""
ASKS_THE_NETWORK = {"azure", "azuredns", "gcloud"}  # when it is set up, for credentials of the machine
VANISHED = {"azure"}  # names that lego had: ours leads to what took its place


def test_there_are_more_than_200_providers_and_no_name_is_used_twice() -> None:
    table = lego_providers()
    names = [name for one in set(table.values()) for name in (one.name, *one.also)]
    assert len(names) == len(set(names)) == len(table)
    assert len({one.name for one in table.values()}) > 200


def test_lego_knows_every_name_of_the_table_and_misses_no_variable_that_the_table_lacks() -> None:
    names = sorted(set(lego_providers()) - ASKS_THE_NETWORK)
    command = [sys.executable, "-I", "-c", PROBE]
    env = {"HOME": "/nonexistent"}
    done = subprocess.run(command, input=json.dumps(names), env=env, capture_output=True, text=True, check=True)
    said = dict(map(json.loads, done.stdout.splitlines()))
    assert set(said) == set(names)
    assert not {name for name, error in said.items() if "unrecognized" in error}
    missing = {
        name: variables
        for name, error in said.items()
        for found in re.findall(r"information are missing: ([A-Z0-9_,]+)", error)
        if (variables := [one for one in found.split(",") if not lego_providers()[name].reads(one)])
    }
    assert not missing


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "ovh",
            "OVH_ENDPOINT=ovh-eu\nOVH_APPLICATION_KEY=1234567898765432\n"
            "OVH_APPLICATION_SECRET=b9841238feb177a84330febba8a832089\nOVH_CONSUMER_KEY='256vfsd347245sdfg'\n"
            "VAULT_TOKEN=hvs.secret\nACME_MANAGER_DNS_TIMEOUT=5\n",
            {"OVH_ENDPOINT", "OVH_APPLICATION_KEY", "OVH_APPLICATION_SECRET", "OVH_CONSUMER_KEY"},
        ),
        ("cloudflare", "export CF_DNS_API_TOKEN=x\nCLOUDFLARE_TTL=120\n", {"CF_DNS_API_TOKEN", "CLOUDFLARE_TTL"}),
        ("route53", "AWS_REGION=eu-west-1\nAWS_PROFILE=dns\nOVH_ENDPOINT=x\n", {"AWS_REGION", "AWS_PROFILE"}),
        ("gcloud", "GCE_PROJECT=p\nGCE_SERVICE_ACCOUNT_FILE=/key.json\n", {"GCE_PROJECT", "GCE_SERVICE_ACCOUNT_FILE"}),
        ("azure", 'AZURE_CLIENT_ID="a"\nAZURE_RESOURCE_GROUP=g\n', {"AZURE_CLIENT_ID", "AZURE_RESOURCE_GROUP"}),
        ("gandiv5", "GANDIV5_PERSONAL_ACCESS_TOKEN=t\n# note\n", {"GANDIV5_PERSONAL_ACCESS_TOKEN"}),
        ("yandex", "YANDEX_PDD_TOKEN=t\nYANDEX_CLOUD_IAM_TOKEN=of-another\n", {"YANDEX_PDD_TOKEN"}),
        ("rfc2136", "RFC2136_NAMESERVER=ns\nRFC2136_TSIG_KEY=k\n", {"RFC2136_NAMESERVER", "RFC2136_TSIG_KEY"}),
        ("scaleway", "SCW_SECRET_KEY=s\nSCW_PROJECT_ID=p\n", {"SCW_SECRET_KEY", "SCW_PROJECT_ID"}),
        ("digitalocean", "DO_AUTH_TOKEN=t\nDO_NOT_TRACK=1\n", {"DO_AUTH_TOKEN"}),
    ],
)
def test_a_env_file_of_the_go_original_gives_a_provider_its_own_variables(
    tmp_path: Path, name: str, text: str, expected: set[str]
) -> None:
    (tmp_path / ".env").write_text(text)
    environ = dotenv.overlay({"PATH": "/bin", "HOME": "/root"}, dotenv.read(tmp_path / ".env"))
    assert set(own_variables(lego_providers()[name], environ)) == expected


@pytest.mark.parametrize(
    ("name", "variable", "hint"),
    [
        ("ovh", "OVH_APPLICATION_KEYS", "did you mean OVH_APPLICATION_KEY?"),
        ("cloudflare", "CF_ZONES", "-dns.show cloudflare prints what does"),
        ("desec", "DESEC_TOKN_FILE", "did you mean DESEC_TOKEN?"),
    ],
)
def test_a_variable_that_is_meant_for_a_provider_and_means_nothing_to_it_is_named(
    name: str, variable: str, hint: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        own_variables(lego_providers()[name], {variable: "the secret"})
    (complaint,) = caught.value.complaints
    assert complaint.where == variable
    assert hint in complaint.message
    assert "the secret" not in str(caught.value)


def test_files_have_absolute_names_since_a_plugin_runs_elsewhere() -> None:
    found = own_variables(lego_providers()["transip"], {"TRANSIP_PRIVATE_KEY_PATH": "key.pem"})
    assert found == {"TRANSIP_PRIVATE_KEY_PATH": str(Path("key.pem").absolute())}


def test_a_provider_waits_as_long_as_lego_would() -> None:
    assert own_timing(lego_providers()["namecheap"], {}).timeout == 3600
    changed = own_timing(lego_providers()["cloudflare"], {"CF_PROPAGATION_TIMEOUT": "7", "CF_POLLING_INTERVAL": "1"})
    assert (changed.timeout, changed.interval) == (7, 1)
    with pytest.raises(ConfigInvalid, match="OVH_PROPAGATION_TIMEOUT"):
        own_timing(lego_providers()["ovh"], {"OVH_PROPAGATION_TIMEOUT": "soon"})
