"""Operations on the pages: chosen in a form, previewed, confirmed, watched, paused, resumed and aborted."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from acme_manager.domain.operation import Failure
from acme_manager.domain.request import OperationParams
from acme_manager.domain.token import Scope
from acme_manager.web.operation_form import Draft
from acme_manager.web.operations import grouped
from tests.unit.api.world import Api, open_api
from tests.unit.services.world import ALICE, NOW, MovableClock, wish
from tests.unit.web.browser import administrator, owner


async def make(api: Api, clock: MovableClock, *owners: str) -> None:
    for name in owners:
        await api.world.certificates.request(attrs.evolve(ALICE, username=name), wish())
    clock.at = NOW + timedelta(hours=1)


async def test_an_operation_is_chosen_previewed_confirmed_watched_paused_resumed_and_aborted() -> None:
    async with open_api(clock=(clock := MovableClock())) as api:
        await make(api, clock, "alice", "bob")
        admin = await administrator(api)
        assert "No operation has been started" in (await admin.get("operations")).text
        form = (await admin.get("operation-new")).form("operation-preview")
        preview = await admin.submit(
            form, kind="replace", names="*.com", issuers=("test",), revoke="on", reason="keyCompromise"
        )
        assert preview.status == 200
        assert preview.root.one("h1").text == "Replace 2 certificates?"
        assert "alice 1" in preview.id("by-owner").text
        assert api.services.operations.list() == []

        confirm = preview.form("operation-start")
        again = await admin.submit(confirm, typed="3")
        assert (again.status, again.wrong()) == (400, {"typed": "2 are selected now: type 2 to confirm"})
        begun = await admin.submit(again.form("operation-start"), typed="2")
        assert begun.goes_to == "operation?id=1&said=started"
        (operation,) = api.services.operations.list()
        assert operation.selector.names == ("*.com",)
        assert operation.selector.issuers == ("test",)
        assert (operation.revoke, operation.reason and operation.reason.name) == (True, "keyCompromise")
        assert operation.created_by.startswith("API key, request ")

        page = await admin.follow(begun)
        assert "has been started" in page.said
        assert "0 done 2 left" in page.id("operation-now").text
        assert page.id("what").text.count("test") == 1
        page = await admin.follow(await admin.submit(page.form("operation-pause")))
        assert "Nothing more is begun" in page.said
        page = await admin.follow(await admin.submit(page.form("operation-resume")))
        abort = await admin.get("operation-abort?id=1")
        refused = await admin.submit(abort.form("operation-abort"), typed="no")
        assert (refused.status, refused.wrong()) == (400, {"typed": "type 'abort' to confirm"})
        page = await admin.follow(await admin.submit(abort.form("operation-abort"), typed="abort"))
        assert "Aborted" in page.root.one("h1").text
        assert not page.root.all("form", action="operation-resume")
        assert "Aborted" in (await admin.get("operations")).id("operation-list").text
        (record,) = (await admin.json("operations")).json
        assert record == (await admin.json("operation?id=1")).json
        assert (record["id"], record["state"], record["left"]) == ("1", "aborted", 2)


async def test_a_link_fills_the_form_and_the_preview_leads_back_to_it() -> None:
    async with open_api(clock=(clock := MovableClock())) as api:
        await make(api, clock, "alice")
        admin = await administrator(api)
        page = await admin.get(
            "operation-new?kind=renew&serials=0A:1B&serials=2c&issuers=gone&labels=env%3Dprod&owners=alice"
        )
        values = page.form("operation-preview").values
        assert (values["serials"], values["labels"], values["owners"]) == ("0A:1B\n2c", "env=prod", "alice")
        assert values["issuers"] == "gone"  # also where no certificate is of it any more
        preview = await admin.submit(page.form("operation-preview"))
        assert "No certificate is selected" in preview.said
        assert not preview.has_form("operation-start")
        back = await admin.submit(preview.form("operation-new"))
        assert back.form("operation-preview").values | {"form_token": ""} == values | {"form_token": ""}


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"all": "on"}, "kind"),
        ({"kind": "renew"}, "all"),
        ({"kind": "renew", "all": "on", "names": "a.example"}, "all"),
        ({"kind": "renew", "all": "on", "issued_before": "yesterday"}, "issued_before"),
        ({"kind": "renew", "all": "on", "revoke": "on"}, "revoke"),
        ({"kind": "renew", "all": "on", "reason": "keyCompromise"}, "reason"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_is_kept(typed: dict[str, str], field: str) -> None:
    async with open_api() as api:
        admin = await administrator(api)
        page = await admin.submit((await admin.get("operation-new")).form("operation-preview"), **typed)
        assert page.status == 400
        assert page.root.all(id=f"field-{field}")
        assert page.root.all("a", href=f"#field-{field}")
        kept = page.form("operation-preview").values
        assert {name: kept.get(name) for name in typed} == typed


async def test_only_administrators_have_operations() -> None:
    async with open_api(clock=(clock := MovableClock())) as api:
        await make(api, clock, "alice")
        admin, alice = await administrator(api), await owner(api, *Scope)
        token = (await alice.get("certificates")).form("logout").values["form_token"]
        for address in ("operations", "operation?id=1", "operation-new", "operation-abort?id=1"):
            assert (await alice.get(address)).status == 403
            assert (await alice.json(address)).status == 403
        for action in ("preview", "start", "pause", "resume", "abort"):
            values = {"form_token": token, "kind": "revoke", "all": "on", "typed": "1", "id": "1"}
            assert (await alice.post(f"operation-{action}", values)).status == 403
        assert api.services.operations.list() == []
        assert (await admin.get("operation?id=9")).status == 404


def test_people_leave_out_the_zone_or_the_time_and_mean_utc() -> None:
    def read(text: str) -> str:
        return Draft.read(lambda name: [text] if name == "issued_before" else []).params.issued_before

    assert read("2026-11-24") == "2026-11-24T00:00:00Z"
    assert read("2026-11-24 12:30") == "2026-11-24T12:30:00Z"
    assert read("2026-11-24T12:30:00+01:00") == "2026-11-24T12:30:00+01:00"


def test_a_form_says_what_it_was_made_of() -> None:
    params = OperationParams(
        issuers=("a", "b"), names=("*.x", "y"), labels=("env=prod", "team"), ari=True, reason="superseded"
    )
    draft = Draft(kind="replace", params=params)
    assert Draft.read(lambda name: [value for field, value in draft.fields if field == name]) == draft


def test_failures_are_put_together_by_what_was_said() -> None:
    failures = [
        Failure(key="alice/www", cause="dns", error="no record"),
        Failure(key="bob/test/a.example", cause="", error="refused"),
        Failure(key="bob/test/b.example", cause="", error="refused"),
    ]
    first, second = grouped(failures)
    assert (first.error, [id.key for id in first.certificates]) == ("refused", [one.key for one in failures[1:]])
    assert (second.certificates[0].owner, second.certificates[0].name) == ("alice", "www")
