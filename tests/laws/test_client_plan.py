"""The agent's plan: whatever goes wrong around it, nothing that is wanted is ever deleted, and it comes to an end."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from acme_manager.client.model import ClientConfig, Common, Format, KeyRenewal, Wanted
from acme_manager.client.plan import (
    CHANGING,
    DEFAULT_KEY_TYPE,
    Action,
    OnDisk,
    Part,
    Situation,
    Step,
    Unknown,
    plan,
    plan_pull,
)
from acme_manager.client.record import Entry, Imported, read_record, write_record
from acme_manager.domain.certificate import Certificate

NAMES = ("a.example", "b.example", "*.c.example")
ISSUERS = ("one", "two")

commons = st.builds(
    Common,
    certificate_deploy=st.booleans(),
    certificate_backup=st.booleans(),
    certificate_keyfile_no_generate=st.booleans(),
    delay_before_delete=st.sampled_from([0.0, 50.0]),
    cert_days=st.sampled_from([0, 90]),
)
wanted = st.builds(
    Wanted,
    domain=st.sampled_from(NAMES),
    issuer=st.sampled_from(ISSUERS),
    name=st.sampled_from(["", "web"]),
    san=st.sampled_from(["", "x.example", "x.example, y.example"]),
    bundle=st.booleans(),
    days=st.sampled_from([0, 30]),
    renewal_days=st.sampled_from(["", "20-30"]),
    labels=st.sampled_from(["", "team=web"]),
    key_type=st.sampled_from(["", "rsa2048"]),
    key_renewal=st.sampled_from(KeyRenewal),
    formats=st.sampled_from([(), (Format.PKCS12,)]),
)
certificates = st.builds(
    Certificate,
    domain=st.sampled_from(NAMES),
    issuer=st.sampled_from(ISSUERS),
    name=st.sampled_from(["", "web", "old"]),
    san=st.sampled_from(["", "x.example", "y.example,x.example"]),
    bundle=st.booleans(),
    days=st.sampled_from([0, 30, 90]),
    labels=st.sampled_from(["", "team=web"]),
    key_type=st.sampled_from(["", "ec256", "rsa2048"]),
    fingerprint=st.sampled_from(["f1", "f2"]),
    csr=st.sampled_from(["", "csr"]),
)
parts = st.sampled_from(Part)
disks = st.builds(
    OnDisk,
    certificate=parts,
    key=parts,
    chain=parts,
    fingerprint=st.sampled_from(["f1", "f2"]),
    key_fits=st.booleans(),
    key_type=st.sampled_from(["ec256", "rsa2048"]),
    formats=st.sampled_from([frozenset(), frozenset({Format.PKCS12})]),
    untidy=st.sampled_from(["", "the mode of the key is 0644 instead of 0600"]),
)
entries = st.builds(
    Entry,
    issuer=st.sampled_from(ISSUERS),
    domain=st.sampled_from(NAMES),
    name=st.sampled_from(["", "web", "old"]),
    ours=st.booleans(),
    fingerprint=st.sampled_from(["f1", "f2"]),
    delete_from=st.sampled_from([0.0, 90.0, 200.0]),
    imported=st.none()
    | st.builds(
        Imported,
        source=st.just("/etc/letsencrypt/live/a.example/cert.pem"),
        names=st.sampled_from([("a.example",), ("a.example", "x.example")]),
        not_after=st.just(300.0),
        order_from=st.sampled_from([90.0, 200.0]),
    ),
)


def _identity(one: Certificate | Entry) -> str:
    return one.name or f"{one.issuer}/{one.domain}"


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    config = ClientConfig(
        common=draw(commons),
        certificates=tuple({one.identity: one for one in draw(st.lists(wanted, max_size=4))}.values()),
    )
    listed = {_identity(one): one for one in draw(st.lists(certificates, max_size=5))}
    record = {_identity(one): one for one in draw(st.lists(entries, max_size=5))}
    identities = sorted({*config.wanted, *listed, *record})
    return Situation(
        config=config,
        server=listed if draw(st.booleans()) else Unknown("connection refused"),
        disk={one: draw(disks) for one in identities if draw(st.booleans())},
        record=record,
        now=100.0,
        max_deletions=draw(st.sampled_from([1, 0, 2, None])),
    )


@given(situations())
def test_nothing_that_is_wanted_is_deleted_and_nothing_that_others_made(situation: Situation) -> None:
    for step in plan(situation):
        if step.action in {Action.DELETE, Action.REMOVE, Action.SCHEDULE}:
            assert step.identity not in situation.config.wanted
            assert situation.record[step.identity].ours
    assert all(
        step.action in {Action.KEEP, Action.FETCH, Action.RESTORE, Action.REPAIR} or step.action is Action.REMAKE
        for step in plan_pull(situation)
    )


@given(situations())
def test_no_more_is_deleted_in_a_run_than_is_allowed(situation: Situation) -> None:
    deletions = [step for step in plan(situation) if step.action in {Action.DELETE, Action.REMOVE}]
    assert situation.max_deletions is None or len(deletions) <= situation.max_deletions


@given(situations())
def test_what_is_not_known_changes_nothing(situation: Situation) -> None:
    unknown = attrs.evolve(situation, server=Unknown("timed out"))
    assert {step.action for step in plan(unknown)} <= {Action.KEEP}
    for identity, disk in situation.disk.items():
        unreadable = attrs.evolve(disk, key=Part.UNREADABLE, trouble="permission denied")
        blind = attrs.evolve(situation, disk={**situation.disk, identity: unreadable})
        for step in plan(blind):
            if step.identity == identity and identity in situation.config.wanted:
                assert step.action is Action.KEEP


@given(situations())
def test_every_wanted_certificate_gets_exactly_one_step_with_a_reason(situation: Situation) -> None:
    steps = plan(situation)
    assert all(step.reason for step in steps)
    for identity in situation.config.wanted:
        assert [step.identity for step in steps].count(identity) == 1


@given(situations())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(situation: Situation) -> None:
    for _ in range(4):  # facts, ingredients and files may each need a run; deletions one at a time
        situation = _carried_out(situation)
    final = attrs.evolve(situation, max_deletions=None)
    final = _carried_out(final)
    assert not [step for step in plan(final) if step.action in CHANGING]


def _carried_out(situation: Situation) -> Situation:
    """The world after a run in which everything went well."""
    for step in plan(situation):
        situation = _after(situation, step)
    return situation


def _after(situation: Situation, step: Step) -> Situation:
    if isinstance(situation.server, Unknown):
        return situation
    server, disk, record = dict(situation.server), dict(situation.disk), dict(situation.record)
    identity, common = step.identity, situation.config.common
    match step.action:
        case Action.CREATE | Action.REMAKE:
            assert step.wanted is not None
            server[identity] = _made(common, step.wanted)
        case Action.CHANGE:
            assert step.wanted is not None
            server[identity] = attrs.evolve(
                server[identity], renewal_days=step.wanted.renewal_days, labels=step.wanted.labels
            )
        case Action.DELETE | Action.REMOVE:
            server.pop(identity, None)
            disk.pop(identity, None)
            record.pop(identity, None)
        case Action.SCHEDULE:
            record[identity] = attrs.evolve(record[identity], delete_from=step.at)
    if step.action in {Action.CREATE, Action.REMAKE, Action.FETCH, Action.RESTORE, Action.REPAIR}:
        present = server[identity]
        if common.certificate_deploy:
            disk[identity] = OnDisk(
                certificate=Part.PRESENT,
                key=Part.PRESENT,
                chain=Part.PRESENT,
                fingerprint=present.fingerprint,
                key_fits=True,
                key_type=(step.wanted.key_type if step.wanted else "").lower() or DEFAULT_KEY_TYPE,
                formats=frozenset(step.wanted.formats if step.wanted else ()),
            )
    return attrs.evolve(situation, server=server, disk=disk, record=record, now=situation.now)


def _made(common: Common, one: Wanted) -> Certificate:
    return Certificate(
        domain=one.domain,
        issuer=one.issuer,
        name=one.name,
        san=one.san,
        bundle=one.bundle,
        days=one.days or common.cert_days,
        renewal_days=one.renewal_days,
        labels=one.labels,
        key_type=(one.key_type or DEFAULT_KEY_TYPE),
        fingerprint="f-new",
        csr="csr",
    )


@given(situations())
def test_what_was_imported_is_ordered_when_it_is_due_and_not_before(situation: Situation) -> None:
    for identity, one in situation.config.wanted.items():
        # What is on disk is what was imported, and what is wanted.
        names = tuple(sorted({one.domain, *(part.strip() for part in one.san.split(",") if part)}))
        imported = Imported(source="/somewhere/cert.pem", names=names, not_after=300.0, order_from=200.0)
        disk = OnDisk(
            certificate=Part.PRESENT,
            key=Part.PRESENT,
            fingerprint="f1",
            key_fits=True,
            key_type=one.key_type or DEFAULT_KEY_TYPE,
        )
        entry = Entry(issuer=one.issuer, domain=one.domain, name=one.name, fingerprint="f1", imported=imported)
        common = attrs.evolve(situation.config.common, certificate_deploy=True)
        before = attrs.evolve(
            situation,
            config=ClientConfig(common=common, certificates=(one,)),
            server={},
            disk={identity: disk},
            record={identity: entry},
        )
        [step] = plan(before)
        assert step.action is Action.KEEP
        assert "imported" in step.reason
        [step] = plan(attrs.evolve(before, now=200.0))
        assert step.action is Action.CREATE
        assert step.new_key == (one.key_renewal is KeyRenewal.RENEW and not common.certificate_keyfile_no_generate)


@given(st.dictionaries(st.text(min_size=1), entries))
def test_a_record_reads_back_as_it_was_written(record: dict[str, Entry]) -> None:
    assert read_record(write_record(record)) == record
