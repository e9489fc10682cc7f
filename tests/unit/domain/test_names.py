from __future__ import annotations

import pytest

from acme_manager.domain.names import Identifier, IdentifierType, file_safe, outside, parse_identifier, parse_san
from acme_manager.errors import InvalidRequest

DNS, IP = IdentifierType.DNS, IdentifierType.IP


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", Identifier(DNS, "example.com")),
        ("Example.COM", Identifier(DNS, "example.com")),
        ("*.example.com", Identifier(DNS, "*.example.com")),
        ("_dmarc.example.com", Identifier(DNS, "_dmarc.example.com")),
        ("bücher.example", Identifier(DNS, "xn--bcher-kva.example")),
        ("BÜCHER.example", Identifier(DNS, "xn--bcher-kva.example")),
        ("*.straße.example", Identifier(DNS, "*.xn--strae-oqa.example")),
        ("192.0.2.1", Identifier(IP, "192.0.2.1")),
        ("2001:DB8:0:0::1", Identifier(IP, "2001:db8::1")),
    ],
)
def test_a_name_gets_the_spelling_a_ca_sees(text: str, expected: Identifier) -> None:
    assert parse_identifier(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "domain is empty"),
        ("example.*.com", 'domain "example.*.com" has a wildcard label in a non-leading position'),
        ("exa mple.com", 'domain "exa mple.com" contains an invalid label "exa mple"'),
        ("example..com", 'domain "example..com" contains an empty label'),
        ("*.", 'domain "*." contains an empty label'),
        ("-a.example.com", 'domain "-a.example.com" contains an invalid label "-a"'),
        (f"{'a' * 64}.com", f'domain "{"a" * 64}.com" has a label longer than 63 characters'),
        (f"{'a.' * 126}com", f'domain "{"a." * 126}com" exceeds maximum length of 253 characters'),
        ("a/b.example.com", 'domain "a/b.example.com" contains an invalid label "a/b"'),
        ("a\u2024b..example", "no internationalized name"),
    ],
)
def test_what_is_no_name_is_refused_in_the_words_scripts_look_for(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_identifier(text)
    assert str(refused.value).startswith("invalid 'domain' parameter: ")
    assert why in str(refused.value)
    assert refused.value.where == "domain"


def test_a_list_of_names_ignores_blanks_and_repeats() -> None:
    assert [one.value for one in parse_san(" b.example, a.example,,b.example")] == ["b.example", "a.example"]


def test_a_wildcard_is_validated_at_its_base() -> None:
    assert parse_identifier("*.example.com").base == "example.com"
    assert parse_identifier("*.example.com").wildcard


def test_file_names_avoid_what_shells_expand() -> None:
    assert file_safe("*.example.com") == "_.example.com"
    assert file_safe("2001:db8::1") == "2001-db8--1"


def test_globs_cover_names_with_dots_and_wildcards() -> None:
    assert outside(["www.example.com", "a.b.example.com", "*.example.com"], ["*.example.com"]) == []
    assert outside(["example.com", "evil-example.com"], ["*.Example.com"]) == ["example.com", "evil-example.com"]
