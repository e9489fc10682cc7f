"""docs/agent.md and the example know every flag, key and metric of the agent, with its default."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client import CollectorRegistry

from acme_manager.cli.values import format_value
from acme_manager.client.config import load_client
from acme_manager.client.flags import ClientFlags
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.model import Common, Wanted
from acme_manager.client.plan import Action
from acme_manager.config.flag import Flag, flags_of
from acme_manager.config.model import VaultConfig
from acme_manager.config.schema import keys_of

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/agent.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config/example-client.yml").read_text(encoding="utf-8")
SECTIONS: dict[str, type[Any]] = {"`common`": Common, "`certificate[]`": Wanted, "`storage.vault`": VaultConfig}


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading: cells by the name in the first."""
    _, _, below = DOCUMENT.partition(f"# {heading}\n")
    lines = re.split(r"\n#", below)[0].splitlines()
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {first: others for first, *others in cells}


@pytest.mark.parametrize("flag", flags_of(ClientFlags), ids=lambda flag: flag.name)
def test_a_flag_is_documented_with_its_kind_default_and_help(flag: Flag) -> None:
    default = format_value(flag.kind, flag.default)
    shown = f" `{default}` " if default and default != "false" else " "
    assert f"\n| `-{flag.name}` | {flag.kind.value} |{shown}| {flag.help} |\n" in DOCUMENT


def test_no_flag_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^\| `-([^`]+)` \|", DOCUMENT, re.MULTILINE)
    assert sorted(documented) == sorted(flag.name for flag in flags_of(ClientFlags))


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_keys_of_a_section_are_documented_with_their_defaults(heading: str) -> None:
    section, table = SECTIONS[heading], rows(heading)
    assert list(table) == keys_of(section)
    for field in attrs.fields(section):
        if field.name not in table:
            continue
        match field.default:
            case bool():
                shown = str(field.default).lower()
            case int() if field.name.endswith("_perm"):
                shown = f"{field.default:04o}"
            case int() | float():
                shown = f"{field.default:g}"
            case None | "" | ():
                shown = "none"
            case attrs.NOTHING:
                shown = "needed"
            case _:
                shown = str(field.default)
        assert table[field.name][0] == shown, field.name


def test_the_steps_of_a_plan_are_documented() -> None:
    assert sorted(rows("What a run does")) == sorted(Action)


def test_the_metrics_are_documented() -> None:
    registry = CollectorRegistry()
    ClientMetrics(registry, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in registry.collect()}
    ours = {name for name in names if not name.startswith("acme_manager_vault_")}
    assert ours | {"acme_manager_client_build_info", "acme_manager_vault_*"} == set(rows("Metrics"))


def test_the_example_is_a_configuration_without_a_doubt() -> None:
    loaded = load_client(ROOT / "config/example-client.yml", {})
    assert loaded.warnings == ()
    assert list(loaded.config.wanted) == ["letsencrypt/www.example.com", "wildcard"]


def test_the_example_is_still_one_with_all_its_comments_taken_away_and_says_every_key(tmp_path: Path) -> None:
    text = re.sub(r"^( *)# ((?:  )*(?:- )?[a-z_]+:( |$))", r"\1\2", EXAMPLE, flags=re.MULTILINE)
    text = re.sub(r"^( +)# ([a-z_]+:( |$))", r"\1\2", text, flags=re.MULTILINE)
    bundle, path = tmp_path / "ca.pem", tmp_path / "client-config.yml"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    path.write_text(text.replace("/etc/acme-manager/vault-ca.pem", str(bundle)))
    loaded = load_client(path, {})
    assert loaded.warnings == ()
    assert loaded.config.vault is not None
    said = set(re.findall(r"^[ #-]*(\w+):", EXAMPLE, re.MULTILINE))
    for section in SECTIONS.values():
        assert set(keys_of(section)) <= said
