"""The documentation and the example know every flag, key and variable, with its default."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import attrs
import pytest
import yaml

from acme_manager.cli.values import format_value
from acme_manager.config import environment
from acme_manager.config.dns import DnsCredentials, DnsZone
from acme_manager.config.flag import Flag, Kind, flags_of
from acme_manager.config.load import load
from acme_manager.config.model import Common, Flags, IssuerConfig, Plugin, VaultConfig
from acme_manager.config.schema import keys_of
from acme_manager.config.ui import OidcConfig, UiConfig
from acme_manager.domain import budget
from acme_manager.domain.budget import PRESETS, Limits
from acme_manager.domain.oidc import OidcOwner
from acme_manager.errors import ConfigInvalid

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config/example.yml").read_text(encoding="utf-8")
SECTIONS = {
    "`common`": Common,
    "`common.plugins[]`": Plugin,
    "`issuer.<name>`": IssuerConfig,
    "`issuer.<name>.limits`": Limits,
    "`storage.vault`": VaultConfig,
    "`dns_credentials.<name>`": DnsCredentials,
    "`dns_zones.<zone>`": DnsZone,
    "`ui`": UiConfig,
    "`ui.oidc`": OidcConfig,
    "`ui.oidc.owners[]`": OidcOwner,
}
_GO_DURATIONS = {"rate_limit_window", "session_duration"}


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading: cells by the name in the first."""
    _, _, below = DOCUMENT.partition(f"## {heading}\n")
    lines = re.split(r"\n#", below)[0].splitlines()
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {first: others for first, *others in cells}


@pytest.mark.parametrize("flag", flags_of(Flags), ids=lambda flag: flag.name)
def test_a_flag_is_documented_with_its_kind_default_and_help(flag: Flag) -> None:
    default = format_value(flag.kind, flag.default)
    shown = f" `{default}` " if default and default != "false" else " "
    assert f"\n| `-{flag.name}` | {flag.kind.value} |{shown}| {flag.help} |\n" in DOCUMENT


def test_no_flag_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^\| `-([^`]+)` \|", DOCUMENT, re.MULTILINE)
    assert sorted(documented) == sorted(flag.name for flag in flags_of(Flags))


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_keys_of_a_section_are_documented_with_their_defaults(heading: str) -> None:
    section, table = SECTIONS[heading], rows(heading)
    assert list(table) != []
    assert sorted(table) == sorted(keys_of(section))
    for field in attrs.fields(section):
        if field.name in table and type(field.default) in {bool, int, float} and field.name not in _GO_DURATIONS:
            shown = table[field.name][1]
            assert shown == format_value(Kind.INT, field.default).removesuffix(".0"), field.name
        elif (
            field.name in table and isinstance(field.default, str) and field.name not in {"checksum", "renewals_exempt"}
        ):
            assert table[field.name][1] == (field.default or "none"), field.name
        elif field.name in table and field.default is attrs.NOTHING:
            assert table[field.name][1] == "needed", field.name


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_of_limits_are_documented_with_their_figures(name: str) -> None:
    preset = PRESETS[name]
    figures = [str(preset.of(kind) or "none") for kind in budget.Kind]
    assert f"| {name} | {' | '.join(figures)} | {preset.renewals_exempt} |\n" in DOCUMENT


def test_every_variable_is_documented() -> None:
    source = inspect.getsource(environment)
    names = {f"ACME_MANAGER_DNS_{name}" for name in re.findall(r'_PREFIX \+ "(\w+)"', source)}
    names |= set(re.findall(r'"((?:LEGO|VAULT)_\w+)"', source))
    assert len(names) >= 9
    assert names <= set(rows("Variables"))


def test_the_example_is_a_configuration() -> None:
    config = load(ROOT / "config/example.yml", {})
    assert list(config.issuers) == ["letsencrypt", "sectigo", "internal"]


def test_the_example_says_something_about_every_key() -> None:
    said = set(re.findall(r"^[ #-]*(\w+):", EXAMPLE, re.MULTILINE))
    for section in SECTIONS.values():
        assert set(keys_of(section)) <= said


def test_the_example_is_still_one_with_all_its_comments_taken_away(tmp_path: Path) -> None:
    text = re.sub(r"^( *)# ((?:  )*(?:- )?[a-zA-Z_.-]+:( |$))", r"\1\2", EXAMPLE, flags=re.MULTILINE)
    bundle, path = tmp_path / "ca.pem", tmp_path / "config.yml"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    text = re.sub(r"/etc/acme-manager/\S+\.pem", str(bundle), text)
    path.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:  # the plugin that it shows is not there
        load(path, {})
    assert {complaint.where for complaint in caught.value.complaints} == {
        "common.plugins[0].path",
        "common.plugins[0].checksum",
    }
    content = yaml.safe_load(text)
    shown = content["common"]
    for field in attrs.fields(Common):
        if f"# {field.name}:" in EXAMPLE and type(field.default) in {bool, int, float, str}:
            expected = "1h" if field.name == "rate_limit_window" else field.default
            assert shown[field.name] == expected, field.name
