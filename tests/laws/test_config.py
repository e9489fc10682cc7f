from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from acme_manager.config.document import read_document
from acme_manager.config.load import load
from acme_manager.config.model import Common, Config, IssuerConfig, Plugin, VaultConfig
from acme_manager.config.schema import keys_of
from acme_manager.errors import ConfigInvalid

_keys = st.sampled_from(
    ["common", "issuer", "storage", "vault", "le"]
    + [key for section in (Common, IssuerConfig, Plugin, VaultConfig) for key in keys_of(section)]
)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=5)
    | st.sampled_from(["https://ca.example", "20-30", "1h", "a/b", "ab" * 32, "kvring", "\0"])
)
_garbage = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_keys | st.text(max_size=5) | st.integers(), inner, max_size=6)
    ),
    max_leaves=25,
)


def _section(section: type) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keys_of(section)), _garbage, max_size=8)


_nearly = st.fixed_dictionaries(
    {},
    optional={
        "common": _section(Common) | _garbage,
        "issuer": st.dictionaries(st.text(max_size=5), _section(IssuerConfig), max_size=3) | _garbage,
        "storage": st.fixed_dictionaries({"vault": _section(VaultConfig)}) | _garbage,
    },
)


def _load(content: bytes, environ: dict[str, str]) -> Config | ConfigInvalid:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yml"
        path.write_bytes(content)
        try:
            return load(path, environ)
        except ConfigInvalid as error:
            return error


def _whole(result: Config | ConfigInvalid) -> bool:
    return isinstance(result, Config) or bool(result.complaints)


@given(_garbage | _nearly)
def test_any_value_is_a_configuration_or_is_refused_with_reasons(content: Any) -> None:
    assert _whole(_load(yaml.safe_dump(content).encode(), {}))


@given(st.text(max_size=60) | st.text(alphabet=st.sampled_from("abc:-?[]{}&*!|>'\"%@`#, \n\t0123.e_~<"), max_size=60))
@example("=")
@example("!!int ''")
@example("? [a]\n: b")
@example("<<: 1")
@example("a: 0b")
@example("a: !!timestamp 1-1-1")
def test_any_text_is_a_document_or_is_refused_with_reasons(text: str) -> None:
    assert _whole(_load(text.encode(errors="surrogatepass"), {}))


_variables = st.sampled_from(
    [
        "ACME_MANAGER_DNS_" + name + end
        for name in ("RESOLVERS", "TIMEOUT", "PROPAGATIONWAIT", "PROPAGATIONRNS")
        for end in ("", "_FILE")
    ]
    + ["LEGO_DISABLE_CNAME_SUPPORT", "VAULT_CACERT", "VAULT_NAMESPACE"]
)


@given(st.dictionaries(_variables, st.text(max_size=20)))
def test_any_variables_are_settings_or_are_refused_with_reasons(environ: dict[str, str]) -> None:
    content = {
        "common": {"rootpath_account": "/a"},
        "issuer": {"le": {"ca_dir_url": "https://ca"}},
        "storage": {
            "vault": {
                "url": "https://v",
                "role_id": "r",
                "secret_id": "s",
                "secret_engine": "e",
                "certificate_prefix": "c",
            }
        },
    }
    result = _load(yaml.safe_dump(content).encode(), environ)
    assert _whole(result)
    if isinstance(result, ConfigInvalid):
        assert {complaint.where for complaint in result.complaints} <= set(environ)


@given(
    st.dictionaries(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5), st.integers(), max_size=5)
)
def test_every_key_has_the_line_it_stands_on(values: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yml"
        path.write_text("".join(f'"{key}": {value}\n' for key, value in values.items()), encoding="utf-8")
        document = read_document(path)
    assert document.lines == {(key,): number for number, key in enumerate(values, 1)}
    assert (document.content or {}) == values
