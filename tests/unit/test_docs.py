"""The documentation speaks of the code that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_tree_names_every_module_and_no_other() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    package = text.partition("acme_manager/\n")[2].partition("\nplugins/")[0]
    told, folder = set(), ""
    for line in package.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        told.add(folder + name if line.startswith(" ") else name)
    modules = {str(path.relative_to(ROOT / "acme_manager")) for path in (ROOT / "acme_manager").rglob("*.py")}
    there = {module for module in modules if "/" not in module or not module.endswith("__init__.py")}
    assert {one for one in told if not one.endswith("/")} == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith(("/", "mailto:"))]
    assert [link for link in local if not (page.parent / link).exists()] == []
