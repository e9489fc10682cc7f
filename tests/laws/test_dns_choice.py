"""What holds of the choice of DNS credentials, and of the rules for zones, whatever is configured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acme_manager.config.dns import AUTO, DnsCredentials, DnsZone
from acme_manager.config.model import DnsConfig
from acme_manager.dns.challenge import within
from acme_manager.dns.credentials import Choice, allowed, choose
from acme_manager.dns.zones import ZoneRules
from acme_manager.errors import DnsFailed

LABELS = st.sampled_from(["a", "b", "ab"])  # few, so that names are within each other, and ends of each other
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
OWNERS = st.sampled_from(["alice", "bob"])
SETS = st.lists(
    st.builds(
        DnsCredentials,
        name=st.sampled_from(["one", "two", "three", "four"]),
        provider=st.sampled_from(["p", "q"]),
        zones=st.lists(NAMES, max_size=3).map(tuple),
        owners=st.lists(st.sampled_from(["alice", "b*"]), max_size=1).map(tuple),
    ),
    max_size=4,
    unique_by=lambda one: one.name,
).map(lambda found: {one.name: one for one in found})


@given(SETS, st.sampled_from([AUTO, "p", "q"]), NAMES, OWNERS)
def test_the_chosen_set_fits_and_none_that_fits_has_a_longer_zone(
    sets: dict[str, DnsCredentials], wanted: str, name: str, owner: str
) -> None:
    def fits(one: DnsCredentials) -> int:
        """The length of its longest zone that the name is in, 0 where it must not be chosen."""
        if wanted not in {AUTO, one.provider} or not allowed(one, owner):
            return 0
        return max((len(zone) for zone in one.zones if within(name, zone)), default=0)

    best = max(map(fits, sets.values()), default=0)
    try:
        chosen = choose(sets, wanted, name, owner)
    except DnsFailed:
        assert (wanted, best) == (AUTO, 0)
        return
    if not best:
        assert chosen == Choice(wanted)
        return
    assert fits(sets[chosen.credentials]) == best
    assert chosen.provider == sets[chosen.credentials].provider
    shuffled = dict(reversed(sets.items()))
    assert choose(shuffled, wanted, name, owner) == chosen


@given(SETS, NAMES, OWNERS)
def test_a_set_that_is_named_is_used_inside_its_zones_and_nowhere_else(
    sets: dict[str, DnsCredentials], name: str, owner: str
) -> None:
    for one in sets.values():
        inside = not one.zones or any(within(name, zone) for zone in one.zones)
        try:
            assert choose(sets, one.name, name, owner) == Choice(one.provider, one.name)
            assert inside
        except DnsFailed:
            assert not inside


@given(st.lists(NAMES, max_size=4, unique=True), NAMES)
def test_the_longest_zone_that_a_name_is_in_has_the_say(zones: list[str], name: str) -> None:
    config = DnsConfig(zones={zone: DnsZone(name=zone, timeout=float(len(zone))) for zone in zones})
    longest = max((len(zone) for zone in zones if within(name, zone)), default=0)
    assert ZoneRules(config).of(name).timeout == longest
