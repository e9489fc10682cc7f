"""Laws of reading and judging CAA records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.caa import Asker, CaaRecord, CaaSet, evaluate, parse_grant

labels = st.from_regex(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,8}", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
blanks = st.text(" \t", max_size=3)
values = st.text([chr(code) for code in range(0x21, 0x7F) if code != 0x3B], max_size=20)
parameters = st.lists(st.tuples(labels, values), max_size=4)
octets = st.text([chr(code) for code in range(256)], max_size=60)
records = st.builds(
    CaaRecord,
    flags=st.integers(0, 255),
    tag=st.sampled_from(["issue", "issuewild", "ISSUE", "iodef", "issuemail", "tbs"]),
    value=st.one_of(st.sampled_from(["", ";", "ca.test", "ca.test; accounturi=x", "other.test"]), octets),
)
sets = st.lists(records, max_size=5).map(lambda found: CaaSet(at="example.com", records=tuple(found)))
ASKER = Asker(identities=("ca.test",), account="https://ca.test/1", method="dns-01")


@given(octets)
def test_any_octets_are_read_or_malformed(value: str) -> None:
    grant = parse_grant(value)
    assert grant is None or grant.domain == value.partition(";")[0].strip(" \t").lower()


@given(domains, parameters, st.data())
def test_what_the_grammar_makes_is_read_back(domain: str, given: list[tuple[str, str]], data: st.DataObject) -> None:
    def padded(*parts: str) -> str:
        return "".join(data.draw(blanks) + part for part in parts) + data.draw(blanks)

    grant = parse_grant(";".join([padded(domain), *(padded(tag, "=", value) for tag, value in given)]))
    assert grant is not None
    assert grant.domain == domain.lower()
    assert grant.parameters == tuple((tag.lower(), value) for tag, value in given)


@given(sets, st.booleans())
def test_of_a_ca_without_a_name_nothing_is_said_that_is_wrong_of_one_with_a_name(found: CaaSet, wildcard: bool) -> None:
    nameless = evaluate(found, Asker(identities=()), wildcard=wildcard).allowed
    assert nameless is None or nameless == evaluate(found, ASKER, wildcard=wildcard).allowed


@given(sets, st.booleans())
def test_what_is_not_allowed_comes_with_a_reason_and_a_remedy(found: CaaSet, wildcard: bool) -> None:
    verdict = evaluate(found, ASKER, wildcard=wildcard)
    assert verdict.why
    assert verdict.allowed or verdict.remedy


@given(sets, st.booleans())
def test_the_remedy_of_a_refusal_cures_it(found: CaaSet, wildcard: bool) -> None:
    verdict = evaluate(found, ASKER, wildcard=wildcard)
    _, add, line = verdict.remedy.partition("add the record: example.com. CAA ")
    if add:
        flags, tag, value = line.split(" ", 2)
        more = CaaRecord(flags=int(flags), tag=tag, value=value.strip('"'))
        cured = CaaSet(at=found.at, records=(*found.records, more))
        assert evaluate(cured, ASKER, wildcard=wildcard).allowed is True


@given(sets, st.booleans())
def test_the_order_of_records_does_not_matter(found: CaaSet, wildcard: bool) -> None:
    backwards = CaaSet(at=found.at, records=found.records[::-1])
    assert evaluate(found, ASKER, wildcard=wildcard).allowed == evaluate(backwards, ASKER, wildcard=wildcard).allowed
