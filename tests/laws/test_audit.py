from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.domain.audit import LONGEST, Entry, Query, Refusals, entry_from_json, entry_to_json, safe_text
from acme_manager.domain.audit_chain import Check, Segment, digest, entries_of, segment_to_json

TEXTS = st.text(max_size=300)
ENTRIES = st.builds(
    Entry,
    number=st.integers(0, 10**9),
    at=st.integers(1, 10**13),
    actor=TEXTS,
    owner=TEXTS,
    action=TEXTS,
    object=TEXTS,
    status=st.integers(0, 599),
    error=TEXTS,
    count=st.integers(1, 10**6),
    source=TEXTS,
    request_id=TEXTS,
)
Chain = list[dict[str, Any]]


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Stored segments, the oldest first."""
    before, chain = "", []
    for number, entries in enumerate(draw(st.lists(st.lists(ENTRIES, min_size=1, max_size=3), min_size=2, max_size=5))):
        record = segment_to_json(Segment(number=number + 1, before=before, entries=tuple(entries)))
        chain.append(json.loads(json.dumps(record)))
        before = digest(record)
    return chain


def breaks(chain: Chain | list[dict[str, Any] | None], last: str) -> list[int]:
    check = Check("")
    for number, record in enumerate(chain):
        check.take(number + 1, record)
    check.end(last)
    return [one.segment for one in check.breaks]


@given(chains())
def test_a_chain_as_it_was_written_is_whole(chain: Chain) -> None:
    assert breaks(chain, digest(chain[-1])) == []


@given(chains(), st.data())
def test_any_change_in_a_segment_shows_there_or_at_the_next_one(chain: Chain, data: st.DataObject) -> None:
    end, at = digest(chain[-1]), data.draw(st.integers(0, len(chain) - 1))
    entry = data.draw(st.sampled_from(chain[at]["entries"]))
    change = data.draw(st.sampled_from(["at", "more", "fewer", "twice"]))
    if change == "at":
        entry["at"] += 1
    elif change == "more":
        entry["unheard_of"] = True
    elif change == "fewer":
        chain[at]["entries"].remove(entry)
    else:
        chain[at]["entries"].append(entry)
    found = breaks(chain, end)
    assert found
    assert found[0] in {at + 1, min(at + 2, len(chain))}


@given(chains(), st.data())
def test_a_segment_that_is_missing_or_cut_off_shows(chain: Chain, data: st.DataObject) -> None:
    end, at = digest(chain[-1]), data.draw(st.integers(0, len(chain) - 1))
    assert breaks([*chain[:at], None, *chain[at + 1 :]], end) == [at + 1]
    assert breaks([*chain[:at], *chain[at + 1 :]], end)


@given(chains(), st.data())
def test_segments_in_another_order_show(chain: Chain, data: st.DataObject) -> None:
    end = digest(chain[-1])
    other = data.draw(st.permutations(chain).filter(lambda found: found != chain))
    assert breaks(other, end)


@given(chains(), st.data())
def test_a_chain_written_anew_from_some_point_on_shows_at_its_end(chain: Chain, data: st.DataObject) -> None:
    end, at = digest(chain[-1]), data.draw(st.integers(0, len(chain) - 1))
    chain[at]["entries"][0]["at"] += 1
    for earlier, later in zip(chain[at:], chain[at + 1 :], strict=False):
        later["before"] = digest(earlier)
    assert breaks(chain, end) == [len(chain)]


@given(ENTRIES)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert entry_from_json(json.loads(json.dumps(entry_to_json(entry)))) == entry


@given(st.dictionaries(st.sampled_from(["at", "actor", "number", "status", "new"]), st.integers() | TEXTS | st.none()))
def test_an_entry_that_somebody_has_changed_is_read_or_left_out(record: dict[str, Any]) -> None:
    try:
        entry = entry_from_json(record)
    except ValueError:
        assert entries_of({"entries": [record]}) == ()
    else:
        assert entries_of({"entries": [record]}) == (entry,)


@given(TEXTS, TEXTS)
def test_texts_are_bounded_of_one_line_and_without_keys(before: str, after: str) -> None:
    text = safe_text(f"{before}-----BEGIN PRIVATE KEY-----\nMC4C{after}")
    assert len(text) <= LONGEST
    assert text.isprintable()
    assert "BEGIN PRIVATE" not in text
    assert "MC4C" not in text or "MC4C" in before
    assert safe_text(text) == text


@given(ENTRIES)
def test_an_entry_is_found_by_its_own_words(entry: Entry) -> None:
    for name in ("actor", "object", "action"):
        assert Query(**{name: getattr(entry, name)}).matches(entry)
    assert Query(q=entry.error.upper().casefold(), since=entry.at, until=entry.at, owner=entry.owner).matches(
        attrs.evolve(entry, error=entry.error.upper())
    )
    assert not Query(since=entry.at + 1).matches(entry)
    assert not Query(until=entry.at - 1).matches(entry) or entry.at == 1
    assert not Query(owner=entry.owner + "x").matches(entry)


KINDS = st.tuples(
    st.integers(0, 200_000), st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.sampled_from([200, 401, 503])
)


@given(st.lists(KINDS, max_size=200).map(sorted))
def test_every_refusal_is_noted_or_counted_and_there_are_few_notes(tried: list[tuple[int, str, int]]) -> None:
    refusals, noted = Refusals(), []
    for at, source, status in tried:
        noted += refusals.due(at)
        entry = Entry(at=at, action="token.create", source=source, status=status)
        if refusals.admits(entry):
            noted.append(entry)
    noted += refusals.due(10**9)
    done = [one for one in noted if one.status == 200]
    assert len(done) == sum(status == 200 for _, _, status in tried), "what was done is never held back"
    assert sum(one.count for one in noted) == len(tried)
    assert len(noted) - len(done) <= 2 * (200_000 // 60_000 + 2)
