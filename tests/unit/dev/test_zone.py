from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.dev.zone import Zones, zone_of

KEY = dns.tsig.Key("dev", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "hmac-sha256")
OTHER = dns.tsig.Key("dev", "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=", "hmac-sha256")
NAME = "_acme-challenge.www.example.test."


@pytest.fixture
def zones() -> Zones:
    return Zones(KEY)


def ask(zones: Zones, name: str, kind: str, limit: int = 65535, **options: int) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)  # type: ignore[arg-type]
    wire = zones.answer_untrusted(query.to_wire(), limit)
    assert wire is not None
    assert len(wire) <= limit or "payload" in options
    answer = dns.message.from_wire(wire)
    assert query.is_response(answer)
    return answer


def change(zone: str = "example.test.", key: dns.tsig.Key | None = KEY) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage(zone)
    if key is not None:
        update.use_tsig(key)
    return update


def send(zones: Zones, update: dns.update.UpdateMessage) -> dns.rcode.Rcode:
    wire = zones.answer_untrusted(update.to_wire())
    assert wire is not None
    keyring = {KEY.name: KEY} if update.keyring else None
    return dns.message.from_wire(wire, keyring=keyring, request_mac=update.mac or b"").rcode()


def texts(zones: Zones, name: str = NAME) -> set[str]:
    return {rdata.to_text() for rrset in ask(zones, name, "TXT").answer for rdata in rrset}


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("a.b.example.test.", "example.test."),
        ("example.test.", "example.test."),
        ("host.", "host."),
        (".", "."),
    ],
)
def test_a_zone_is_the_last_two_labels(name: str, zone: str) -> None:
    assert zone_of(dns.name.from_text(name)) == dns.name.from_text(zone)


def test_the_start_of_authority_is_in_the_answer_at_the_apex_and_beside_it_elsewhere(zones: Zones) -> None:
    apex, below = ask(zones, "example.test.", "SOA"), ask(zones, NAME, "SOA")
    assert [rrset.rdtype for rrset in apex.answer] == [dns.rdatatype.SOA]
    assert not below.answer
    assert [rrset.name.to_text() for rrset in below.authority] == ["example.test."]
    assert apex.flags & below.flags & dns.flags.AA


def test_the_zones_name_server_has_our_address(zones: Zones) -> None:
    [server] = ask(zones, "example.test.", "NS").answer[0]
    [address] = ask(zones, server.to_text(), "A").answer[0]
    assert address.to_text() == "127.0.0.1"


@pytest.mark.parametrize("kind", ["AAAA", "CNAME", "MX", "CAA", "TXT"])
def test_what_a_name_does_not_have_is_no_error(zones: Zones, kind: str) -> None:
    answer = ask(zones, "example.test.", kind)
    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.answer


@pytest.mark.parametrize("name", [".", "test."])
def test_short_names_have_zones_too(zones: Zones, name: str) -> None:
    assert ask(zones, name, "SOA").answer
    assert ask(zones, name, "NS").answer


def test_a_signed_update_adds_values_and_removes_one_of_them(zones: Zones) -> None:
    for value in ("one", "two"):
        update = change()
        update.add(NAME, 60, "TXT", value)
        assert send(zones, update) == dns.rcode.NOERROR
    assert texts(zones) == {'"one"', '"two"'}
    update = change()
    update.delete(NAME, "TXT", "one")
    assert send(zones, update) == dns.rcode.NOERROR
    assert texts(zones) == {'"two"'}


@pytest.mark.parametrize("kinds", [(), ("TXT",)])
def test_a_name_can_be_emptied(zones: Zones, kinds: tuple[str, ...]) -> None:
    update = change()
    update.add(NAME, 60, "TXT", "one")
    send(zones, update)
    update = change()
    update.delete(NAME, *kinds)
    assert send(zones, update) == dns.rcode.NOERROR
    assert texts(zones) == set()


def test_removing_what_is_not_there_is_no_error(zones: Zones) -> None:
    update = change()
    update.delete(NAME, "TXT", "one")
    assert send(zones, update) == dns.rcode.NOERROR


def test_names_are_the_same_in_any_case(zones: Zones) -> None:
    update = change()
    update.add(NAME.upper(), 60, "TXT", "one")
    send(zones, update)
    assert texts(zones, NAME) == {'"one"'}


def test_an_unsigned_update_is_refused(zones: Zones) -> None:
    update = change(key=None)
    update.add(NAME, 60, "TXT", "one")
    assert send(zones, update) == dns.rcode.REFUSED
    assert texts(zones) == set()


@pytest.mark.parametrize("key", [OTHER, dns.tsig.Key("who", KEY.secret, "hmac-sha256")])
def test_an_update_signed_with_another_key_is_not_authorized(zones: Zones, key: dns.tsig.Key) -> None:
    update = change(key=key)
    update.add(NAME, 60, "TXT", "one")
    wire = zones.answer_untrusted(update.to_wire())
    assert wire is not None
    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOTAUTH
    assert texts(zones) == set()


def test_a_change_of_anything_but_text_refuses_the_whole_update(zones: Zones) -> None:
    update = change()
    update.add(NAME, 60, "TXT", "one")
    update.add("www.example.test.", 60, "A", "127.0.0.2")
    assert send(zones, update) == dns.rcode.REFUSED
    assert texts(zones) == set()


def test_a_prerequisite_is_refused(zones: Zones) -> None:
    update = change()
    update.present("www.example.test.")
    update.add(NAME, 60, "TXT", "one")
    assert send(zones, update) == dns.rcode.REFUSED


def test_a_name_outside_the_updated_zone_is_refused(zones: Zones) -> None:
    update = change("example.test.")
    update.add(dns.name.from_text("_acme-challenge.other.test."), 60, "TXT", "one")
    assert send(zones, update) == dns.rcode.NOTZONE


def test_a_zone_that_is_none_of_ours_is_refused(zones: Zones) -> None:
    update = change("www.example.test.")
    update.add(NAME, 60, "TXT", "one")
    assert send(zones, update) == dns.rcode.NOTAUTH


def test_an_answer_that_does_not_fit_is_cut_and_says_so(zones: Zones) -> None:
    for number in range(20):
        update = change()
        update.add(NAME, 60, "TXT", f"{number:0>60}")
        send(zones, update)
    assert ask(zones, NAME, "TXT", 512).flags & dns.flags.TC
    for whole in (ask(zones, NAME, "TXT"), ask(zones, NAME, "TXT", 512, use_edns=0, payload=4096)):
        assert not whole.flags & dns.flags.TC
        assert len(whole.answer[0]) == 20


def test_whole_zones_and_other_operations_are_not_given(zones: Zones) -> None:
    assert ask(zones, "example.test.", "AXFR").rcode() == dns.rcode.REFUSED
    notify = dns.message.make_query("example.test.", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    wire = zones.answer_untrusted(notify.to_wire())
    assert wire is not None
    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOTIMP


def test_answers_are_not_answered(zones: Zones) -> None:
    response = dns.message.make_response(dns.message.make_query("example.test.", "A"))
    assert zones.answer_untrusted(response.to_wire()) is None


@given(st.binary(max_size=600))
def test_no_bytes_make_it_raise(wire: bytes) -> None:
    answer = Zones(KEY).answer_untrusted(wire, 512)
    assert answer is None or answer[:2] == wire[:2]


@given(
    st.integers(0, 200),
    st.binary(max_size=40),
    st.booleans(),
)
def test_no_damage_to_a_good_message_makes_it_raise(at: int, junk: bytes, update: bool) -> None:
    message: dns.message.Message = dns.message.make_query(NAME, "TXT", use_edns=0)
    if update:
        message = change()
        message.add(NAME, 60, "TXT", "one")
    wire = bytearray(message.to_wire())
    wire[at : at + len(junk)] = junk
    answer = Zones(KEY).answer_untrusted(bytes(wire), 512)
    assert answer is None or answer[:2] == bytes(wire[:2])
