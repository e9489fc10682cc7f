"""Whatever happens in whatever order, the catalogue is the one that would be made anew of the same facts."""

from __future__ import annotations

from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from acme_manager.domain.condition import Code
from acme_manager.domain.report import Installed
from acme_manager.services.catalogue import Catalogue
from acme_manager.services.catalogue_row import COLUMNS
from acme_manager.services.catalogue_views import Query
from tests.unit.services.cataloguing import DAY, Shelf, certificate, open_shelf

_NAMES = ("a.example", "b.example", "c.example")
_OWNERS = ("al", "alice", "bob")

_changes = st.tuples(
    st.sampled_from(
        ("keep", "renew", "remove", "fail", "running", "failed", "issued", "report", "configure", "wait", "ask")
    ),
    st.sampled_from(_NAMES),
    st.sampled_from(_OWNERS),
    st.floats(0, 100),
)


async def _change(shelf: Shelf, what: str, domain: str, owner: str, number: float) -> None:
    made = certificate(domain, owner, age=number, issuer="other" if number > 50 else "le", labels=f"n={number:.0f}")
    there = shelf.state.certificates.get(made.id.key)
    some = dict(list(shelf.settings.issuers.items())[: 1 + (number > 50)])
    match what:
        case "keep":
            shelf.keep(made)
        case "remove":
            shelf.state.withdraw(made.id.key)
        case "renew" if there is not None:
            shelf.keep(attrs.evolve(there, fingerprint=f"{number}", renewal_count=there.renewal_count + 1))
        case "fail" if there is not None:
            shelf.fail(there)
        case "running" | "failed" | "issued":
            shelf.attempt(made.id.key, what)
        case "report":
            shelf.report(owner, "host", Installed(issuer="le", domain=domain, fingerprint="old"))
        case "configure":
            shelf.settings.config = attrs.evolve(shelf.settings.config, issuers=some)
        case "wait":
            shelf.clock.at += number / 10 * DAY
        case _:
            await shelf.catalogue.rows(None, Query())


async def _seen(catalogue: Catalogue, owner: str | None, sort: str) -> dict[str, Any]:
    query = Query(sort=sort)
    return {
        "page": await catalogue.rows(owner, query),
        "overview": await catalogue.overview(owner),
        "inventory": await catalogue.inventory(owner),
    }


@given(st.lists(_changes, max_size=30), st.sampled_from((None, *_OWNERS)), st.sampled_from(sorted(COLUMNS)))
@settings(max_examples=60)
def test_it_is_the_one_that_would_be_made_anew(
    changes: list[tuple[str, str, str, float]], owner: str | None, sort: str
) -> None:
    async def live() -> None:
        with open_shelf() as shelf:
            for change in changes:
                await _change(shelf, *change)
            kept, another = await _seen(shelf.catalogue, owner, sort), shelf.another()
            with another.following():
                anew = await _seen(another, owner, sort)
            for seen in (kept, anew):  # what failed before a certificate was removed is known to who has seen it only
                seen["overview"] = attrs.evolve(seen["overview"], requests=[])
            assert kept == anew
            page, overview = kept["page"], kept["overview"]
            assert sum(page.counts.values()) == page.total == overview.total == kept["inventory"].total
            assert overview.counts == page.counts == _counted(page.rows)
            owners = {owner} if owner is not None else set(_OWNERS)
            assert {entry.certificate.owner for entry in page.rows} <= owners

    trio.run(live)


def _counted(rows: Any) -> dict[Code, int]:
    return {code: sum(entry.condition.code is code for entry in rows) for code in Code}
