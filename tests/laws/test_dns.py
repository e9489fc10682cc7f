"""Laws of the pure parts of dns-01."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise

import dns.message
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.dns.answers import see
from acme_manager.dns.challenge import Record, challenge_name, challenge_value, enclosing, record_of, within
from acme_manager.dns.propagation import next_pause
from acme_manager.domain.names import Identifier, IdentifierType
from acme_manager.ports import Challenge

labels = st.from_regex(r"[a-z0-9_]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=6).map(".".join)
keys = st.from_regex(r"[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{43}", fullmatch=True)
texts = st.text(min_size=1, max_size=40)
values = st.sets(st.from_regex(r"[A-Za-z0-9_-]{1,43}", fullmatch=True), max_size=6)


def challenge(name: str, key: str) -> Challenge:
    return Challenge(Identifier(IdentifierType.DNS, name), "dns-01", key.split(".", maxsplit=1)[0], key)


@given(keys)
def test_a_value_is_43_characters_that_decode_to_the_digest(key: str) -> None:
    value = challenge_value(challenge("example.test", key))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", value)
    assert base64.urlsafe_b64decode(value + "=") == hashlib.sha256(key.encode()).digest()


@given(names, keys)
def test_a_wildcard_and_its_base_have_one_name(name: str, key: str) -> None:
    assert (
        challenge_name(challenge(f"*.{name}", key)) == challenge_name(challenge(name, key)) == f"_acme-challenge.{name}"
    )


@given(texts, texts, texts)
def test_a_trace_is_text_that_leads_back_to_the_record(provider: str, name: str, value: str) -> None:
    record = Record(provider, name, value)
    trace = record.trace()
    assert all(isinstance(part, str) for part in trace.values())
    assert record_of(dict(trace)) == record


@given(names)
def test_every_enclosing_name_encloses_and_they_get_shorter(name: str) -> None:
    found = enclosing(name)
    assert found[0] == name
    assert len(found) == name.count(".") + 1
    assert all(within(name, zone) for zone in found)
    assert all(len(parent) < len(child) for child, parent in pairwise(found))


@given(names, names)
def test_within_goes_by_whole_labels(name: str, zone: str) -> None:
    assert within(name, zone) == (zone in enclosing(name))


@given(values, values)
def test_a_sight_is_complete_exactly_when_nothing_wanted_is_missing(shown: set[str], wanted: set[str]) -> None:
    message = dns.message.make_response(dns.message.make_query("a.test", "TXT"))
    if shown:
        message.answer.append(
            dns.rrset.from_text("a.test.", 5, "IN", "TXT", *(f'"{value}"' for value in sorted(shown)))
        )
    assert see(message, wanted).complete == (wanted <= shown)


@given(st.floats(0.01, 30), st.floats(0.01, 30))
def test_pauses_grow_to_the_longest_and_stay_there(pause: float, longest: float) -> None:
    following = next_pause(pause, longest)
    assert following <= longest
    assert following > pause or following == longest
