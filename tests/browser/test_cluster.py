"""Nodes that die while somebody looks."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.backstage import Backstage
from tests.browser.person import Person
from tests.browser.stage import Stage


def test_a_node_that_dies_is_shown_without_reloading(admin: Person, behind: Backstage[Stage]) -> None:
    page, cluster = admin.page, behind.value.cluster
    victim = next(node for node in cluster.nodes if node not in {behind.value.leader, behind.value.node})
    admin.go("cluster")
    row = page.get_by_role("row").filter(has_text=victim.name)
    expect(row.locator(".status.good").first).to_be_visible()
    admin.stay()
    victim.program.kill()
    try:
        expect(row.locator(".status.bad, .status.warn").first).to_be_visible()
        assert admin.stayed()
        page.get_by_role("link", name=f"Give up {victim.name}").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(victim.name)
        assert violations(page) == []
        page.go_back()
        admin.stay()
    finally:
        behind.call(lambda: cluster.start(victim))
        behind.call(cluster.wait_until_formed)
    expect(row.locator(".status.good").first).to_be_visible()
    assert admin.stayed()
