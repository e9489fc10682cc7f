from __future__ import annotations

import dns.message
import dns.rcode
import dns.rrset
import pytest

from acme_manager.dns.answers import alias_of, referral, see, usable, zone_of

NAME = "_acme-challenge.www.example.test"


def answer(answer: str = "", authority: str = "", rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    message = dns.message.make_response(dns.message.make_query(NAME, "TXT"))
    message.set_rcode(rcode)
    message.answer = rrsets(answer)
    message.authority = rrsets(authority)
    return message


def rrsets(text: str) -> list[dns.rrset.RRset]:
    """Records in zone file form, one a line; those of one name and type make one set."""
    sets: dict[tuple[str, str], list[str]] = {}
    for name, _, _, kind, data in (line.split(maxsplit=4) for line in text.splitlines()):
        sets.setdefault((name, kind), []).append(data)
    return [dns.rrset.from_text(name, 5, "IN", kind, *data) for (name, kind), data in sets.items()]


SOA = "SOA ns1.example.test. host.example.test. 1 60 60 600 1"


def test_a_record_in_two_strings_is_one_value() -> None:
    assert see(answer(f'{NAME}. 5 IN TXT "ab" "cd"'), {"abcd"}).complete


def test_every_value_must_show_and_others_may() -> None:
    shown = answer(f'{NAME}. 5 IN TXT "a"\n{NAME}. 5 IN TXT "b"')
    assert see(shown, {"a"}).complete
    assert see(shown, {"a", "b"}).complete
    assert not see(shown, {"a", "c"}).complete


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (answer(rcode=dns.rcode.NXDOMAIN), "says that the name does not exist (NXDOMAIN)"),
        (answer(rcode=dns.rcode.REFUSED), "refuses to answer (REFUSED)"),
        (answer(rcode=dns.rcode.SERVFAIL), "fails to answer (SERVFAIL)"),
        (answer(rcode=dns.rcode.NOTIMP), "answers NOTIMP"),
        (answer(), "has no TXT record there"),
        (answer(f"{NAME}. 5 IN CNAME elsewhere.test."), "has a CNAME to elsewhere.test there"),
        (answer(f'{NAME}. 5 IN TXT "old"'), "shows other values: 'old'"),
        (
            answer("\n".join(f'{NAME}. 5 IN TXT "v{number}"' for number in range(5))),
            "shows other values: 'v0', 'v1', 'v2' and 2 more",
        ),
    ],
)
def test_what_a_server_showed_instead_is_put_in_words(message: dns.message.Message, words: str) -> None:
    sight = see(message, {"wanted"})
    assert (sight.complete, sight.words) == (False, words)


def test_only_a_statement_about_the_name_is_usable() -> None:
    assert usable(answer())
    assert usable(answer(rcode=dns.rcode.NXDOMAIN))
    assert not usable(answer(rcode=dns.rcode.SERVFAIL))


def test_the_zone_shows_in_an_answer_and_in_a_denial() -> None:
    assert zone_of(answer(f"example.test. 5 IN {SOA}"), "example.test") == "example.test"
    assert zone_of(answer(authority=f"EXAMPLE.test. 5 IN {SOA}", rcode=dns.rcode.NXDOMAIN), NAME) == "example.test"
    assert zone_of(answer(authority=f". 5 IN {SOA}"), NAME) == ""


def test_the_zone_of_an_aliass_target_is_not_taken_for_the_names_own() -> None:
    assert zone_of(answer(f"{NAME}. 5 IN CNAME web.test.", f"test. 5 IN {SOA}"), NAME) is None


def test_a_zone_elsewhere_is_not_taken_for_the_names_own() -> None:
    assert zone_of(answer(authority=f"other.test. 5 IN {SOA}"), NAME) is None


def test_an_alias_is_that_of_the_name_itself() -> None:
    chain = answer(f"{NAME}. 5 IN CNAME B.test.\nb.test. 5 IN CNAME c.test.")
    assert (alias_of(chain, NAME), alias_of(chain, "b.test"), alias_of(chain, "c.test")) == ("b.test", "c.test", None)


def test_a_referral_points_below_the_zone_and_towards_the_name() -> None:
    assert referral(answer(authority="www.example.test. 5 IN NS ns.test."), NAME, "example.test") == "www.example.test"
    assert referral(answer(authority="example.test. 5 IN NS ns.test."), NAME, "example.test") is None
    assert referral(answer(authority="other.example.test. 5 IN NS ns.test."), NAME, "example.test") is None
    assert referral(answer(authority="test. 5 IN NS ns.test."), NAME, "example.test") is None
    assert referral(answer(authority=f"example.test. 5 IN {SOA}"), NAME, "") is None
