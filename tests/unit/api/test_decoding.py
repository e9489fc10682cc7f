from __future__ import annotations

import contextlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.api.decoding import decode
from acme_manager.domain.request import CertificateParams, TokenParams
from acme_manager.errors import InvalidRequest


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"DOMAIN": "a", "Issuer": "b"}', {"domain": "a", "issuer": "b"}),
        (b'{"domain": "a", "owner": "mallory", "x": [1, {}]}', {"domain": "a"}),
        (b'\n\t {"days": 3} trailing {', {"days": 3}),
        (b'{"days": null, "bundle": null, "san": null}', {}),
        (b"null", {}),
        (b'{"days": -2147483648}', {"days": -(2**31)}),
        (b'{"labels": "\\ud800"}', {"labels": "\ufffd"}),
        (b'{"labels": "\\ud83d\\ude00"}', {"labels": "\U0001f600"}),
        (b'{"labels": "\xff"}', {"labels": "\ufffd"}),
        (b'{"domain": "a", "domain": "b"}', {"domain": "b"}),
    ],
)
def test_bodies_are_read_by_go_s_rules(body: bytes, expected: dict[str, Any]) -> None:
    assert decode(body, CertificateParams) == CertificateParams(**expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty (EOF)"),
        (b"  ", "the body is empty (EOF)"),
        (b"}", "the body is no JSON"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'"text"', "must be a JSON object, not a string"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"days": ' + b"9" * 5000 + b"}", "the body is no JSON that we read"),
        (b'{"days": 2147483648}', "'days' must be a whole number from -2147483648 to 2147483647, not 2147483648"),
        (b'{"days": 1.0}', "not 1.0"),
        (b'{"days": true}', "not true or false"),
        (b'{"bundle": 1}', "'bundle' must be true or false, not 1"),
        (b'{"domain": {}}', "'domain' must be a string, not an object"),
    ],
)
def test_what_can_not_be_read_is_said_in_words(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, CertificateParams)
    assert message in str(caught.value)


def test_every_wrong_field_is_a_complaint() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(b'{"domain": 1, "days": "x", "bundle": []}', CertificateParams)
    assert [one.where for one in caught.value.complaints] == ["domain", "days", "bundle"]


def test_wrong_values_are_not_repeated_since_they_may_be_secret_or_long() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(b'{"days": "s3cret"}', CertificateParams)
    assert "s3cret" not in str(caught.value)


_params = st.builds(
    CertificateParams,
    **{
        field.name: {"str": st.text(), "bool": st.booleans(), "int": st.integers(-(2**31), 2**31 - 1)}[str(field.type)]
        for field in attrs.fields(CertificateParams)
    },
)


@given(_params)
def test_what_was_written_is_read_back(params: CertificateParams) -> None:
    assert decode(json.dumps(attrs.asdict(params)).encode(), CertificateParams) == params


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*attrs.fields_dict(TokenParams), "x"]), inner),
)


@given(st.binary() | _json.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_gives_params_or_invalid_request(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(decode(body, TokenParams), TokenParams)
