"""What keeps people from using a page, as far as axe-core can tell."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

_SOURCE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
_RUN = """async (options) => (await axe.run(document, options)).violations.flatMap(
    (rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)}: ${node.failureSummary}`))"""


def violations(page: Page, *rules: str) -> list[str]:
    """Of all rules, or of these."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(_SOURCE)
    return list(page.evaluate(_RUN, options))
