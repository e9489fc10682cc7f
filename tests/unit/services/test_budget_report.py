from __future__ import annotations

from prometheus_client import CollectorRegistry

from acme_manager.services.budget_report import BudgetCollector, report
from tests.unit.services.test_budgets import HOUR, LAG, failed, ids, limited, open_node


def test_a_node_shows_what_is_left_without_anything_spent() -> None:
    with open_node() as node:
        registry = CollectorRegistry()
        BudgetCollector.on(registry, node.budgets)

        def left(limit: str) -> float | None:
            return registry.get_sample_value("acme_manager_issuer_budget_remaining", {"issuer": "le", "limit": limit})

        def paused() -> float | None:
            return registry.get_sample_value("acme_manager_issuer_paused_until_timestamp_seconds", {"issuer": "le"})

        assert (left("new_orders"), left("certificates_per_domain"), left("certificates_per_set")) == (300, 50, 5)
        assert (left("failed_authorizations"), left("consecutive_failures"), paused()) == (5, 1152, 0)
        for number in range(3):
            node.order(f"{number}.one.example")
        node.order("0.two.example")
        node.refused("0.two.example", error=failed("dns", "0.two.example"))
        node.clock.forward(LAG)
        assert (left("new_orders"), left("certificates_per_domain"), left("certificates_per_set")) == (296, 47, 4)
        assert (left("failed_authorizations"), left("consecutive_failures")) == (4, 1151)
        node.refused("0.two.example", error=limited("slow down", 60.0))
        assert paused() == node.clock.at.timestamp() + 60
        node.clock.forward(60)
        assert paused() == 0


def test_only_what_is_low_is_shown_in_full_the_emptiest_first() -> None:
    with open_node() as node:
        for number in range(150):
            names = (f"{number}.example", f"www.{number}.example")
            node.orders(4 if number % 2 else 5, *names)
        found = report(node.budgets)["le"]
        account, *low = found.levels
        assert (account.kind, account.about) == ("new_orders", "")
        assert len(low) == 100
        assert [one.left for one in low] == sorted(one.left for one in low)
        assert all(one.about.endswith(".example and 1 more") for one in low)
        assert {one.kind for one in low} == {"certificates_per_set"}


def test_a_set_of_names_is_shown_without_what_tells_it_from_others() -> None:
    with open_node() as node:
        text = "too many certificates (5) already issued for this exact set of identifiers"
        node.refused("b.example", "a.example", error=limited(text, HOUR))
        (pause,) = report(node.budgets)["le"].pauses
        assert pause.about == "a.example and 1 more"
        assert node.budgets.wait("le", ids("a.example", "b.example"), renewal=True)[1] == (
            "the CA told us to wait (a.example and 1 more)"
        )
