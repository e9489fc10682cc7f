"""What the agent plans in single cases; tests/laws has what holds in all of them."""

from __future__ import annotations

from acme_manager.client.model import ClientConfig, Common, Listed, Wanted
from acme_manager.client.plan import Action, OnDisk, Part, Situation, plan

WANTED = Wanted(issuer="ca", domain="example.com")
ON_DISK = OnDisk(
    certificate=Part.PRESENT, key=Part.PRESENT, chain=Part.PRESENT, fingerprint="f", key_fits=True, key_type="ec256"
)


def situation(present: Listed) -> Situation:
    config = ClientConfig(common=Common(certificate_deploy=True), certificates=(WANTED,))
    disk = {WANTED.identity: ON_DISK}
    return Situation(config=config, server={WANTED.identity: present}, disk=disk, record={}, now=0.0)


def test_a_key_that_an_operation_replaces_is_made_anew() -> None:
    present = Listed(issuer="ca", domain="example.com", fingerprint="f", csr="c")
    [step] = plan(situation(present))
    assert step.action is Action.KEEP
    [step] = plan(situation(Listed(issuer="ca", domain="example.com", fingerprint="f", csr="c", new_key_wanted=True)))
    assert (step.action, step.new_key) == (Action.REMAKE, True)
    assert "operation" in step.reason
