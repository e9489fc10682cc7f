"""`/ui/inventory`: which CAs, keys and lifetimes there are, and what is weak. Every figure leads to the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

import attrs
from quart import Blueprint, Response

from acme_manager.api.request import services
from acme_manager.services.catalogue_traits import LIFETIMES, NOTHING
from acme_manager.services.catalogue_views import CryptoInventory
from acme_manager.web.certificate_columns import csv_cell
from acme_manager.web.page import page_or_json
from acme_manager.web.viewer import Viewer, find_viewer

routes = Blueprint("ui_inventory", __name__, url_prefix="/ui")

_CAPITALS = {one: one.capitalize() for one in LIFETIMES}


@attrs.frozen(kw_only=True)
class Group:
    """One way to count. `filter` is the table's for its values (certificate_query.py); `nothing` is what an empty value
    is called."""

    title: str
    filter: str
    counts: Mapping[str, int]
    nothing: str = "None"
    words: Mapping[str, str] = attrs.field(factory=dict)  # for values that don't speak for themselves

    @property
    def lines(self) -> list[tuple[str, int, Mapping[str, str]]]:
        """What to show, how many, and the table's filter."""
        return [
            (self.words.get(value, value) or self.nothing, number, {self.filter: value or NOTHING})
            for value, number in self.counts.items()
        ]


def groups_of(found: CryptoInventory, viewer: Viewer) -> Sequence[Group]:
    """Everything but labels, as the page shows it."""
    stood_in = {one: number for one, number in found.issued_by.items() if found.issuers.get(one) != number}
    groups = (
        Group(title="Issuers", filter="issuer", counts=found.issuers),
        Group(title="Issued by, where another stood in", filter="issued_by", counts=stood_in),
        Group(title="Key types", filter="key_type", counts=found.key_types),
        Group(title="Lifetimes", filter="lifetime", counts=found.lifetimes, words=_CAPITALS),
        Group(title="Profiles", filter="profile", counts=found.profiles, nothing="None asked for"),
        Group(title="Challenges", filter="challenge", counts=found.challenges, nothing="Unknown"),
        Group(
            title="Who made the key",
            filter="key",
            counts=found.keys,
            words={"host": "The host: nobody else has it", "server": "This server, which hands it out"},
        ),
        Group(title="Owners", filter="owner", counts=found.owners if viewer.sees_all else {}),
    )
    return [one for one in groups if one.counts]


@routes.get("/inventory")
async def inventory() -> Response:
    """What there is, the weak on top."""
    viewer = await find_viewer()
    found = await services().catalogue.inventory(viewer.whose)
    return await page_or_json("inventory.html", viewer, found, found=found, counted=groups_of(found, viewer))


@routes.get("/inventory-csv")
async def export() -> Response:
    """The figures, one a line: what is counted by, the value, and how many."""
    viewer = await find_viewer()
    found = await services().catalogue.inventory(viewer.whose)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("by", "value", "certificates"))
    writer.writerows((csv_cell(by), csv_cell(value), number) for by, value, number in _figures(found, viewer))
    headers = {"Content-Disposition": 'attachment; filename="inventory.csv"'}
    return Response(text.getvalue(), headers=headers, content_type="text/csv; charset=utf-8")


def _figures(found: CryptoInventory, viewer: Viewer) -> Iterator[tuple[str, str, int]]:
    yield "all", "", found.total
    yield "reported", "yes", found.reported
    for weak in found.weaknesses:
        yield "weakness", weak.code, weak.count
    for group in groups_of(found, viewer):
        for value, number in group.counts.items():
            yield group.filter, value, number
    for name, values in found.labels.items():
        for value, number in values.items():
            yield f"label {name}", value, number
