"""The page about the cluster, on one of three nodes of which one is dead, and giving that up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from acme_manager.domain.token import Scope
from acme_manager.errors import Conflict, NoQuorum, NotFound
from acme_manager.ring.alone import Alone
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.resync import Resync
from acme_manager.services.settings import Settings
from tests.unit.api.world import open_api
from tests.unit.services.world import NOW
from tests.unit.web.browser import Browser, administrator, owner


class Three(Alone):
    """One leads, one is dead, and one that votes was never seen. Dead and unseen ones can be given up."""

    def __init__(self) -> None:
        super().__init__("node-1")
        self.forgotten: list[str] = []

    def members(self) -> list[dict[str, Any]]:
        found = [
            {"name": "node-1", "state": "ACTIVE", "status": "alive", "address": "10.0.0.1:7946", "health": 0},
            {"name": "node-2", "state": "Unhealthy", "status": "dead", "heartbeat": NOW - timedelta(minutes=5)},
        ]
        return [one for one in found if one["name"] not in self.forgotten]

    def statistics(self) -> dict[str, Any]:
        voters = [name for name in ("node-1", "node-2", "node-3") if name not in self.forgotten]
        return {"voters": voters, "leader_term": 7, "leader_since": "2026-11-24T11:00:00+00:00"}

    def forget(self, name: str) -> None:
        if name == "node-1":
            raise Conflict("the member 'node-1' is alive; stop it first, then give it up")
        if name not in {"node-2", "node-3"}:
            raise NotFound(f"there is no member '{name}' to forget")
        self.forgotten.append(name)


class Leaderless(Three):
    def leads(self) -> bool:
        return False

    def leader(self) -> None:
        return None

    def leader_url(self) -> None:
        return None

    def why_not(self) -> NoQuorum:
        return NoQuorum("1 of 3 voters in reach")


class Two(Alone):
    def members(self) -> list[dict[str, Any]]:
        return [{"name": name, "state": "ACTIVE"} for name in ("node-1", "node-2")]


async def test_the_page_shows_who_is_there_who_leads_and_what_is_missing() -> None:
    async with open_api(replaced={"cluster": Three()}) as api:
        page = await (await administrator(api)).get("cluster")
        picture = page.root.one("svg", class_="ring")
        assert picture["role"] == "img"
        assert (
            "node-1 leads; 1 of 3 voters are there and 2 are needed; node-2 is dead; node-3 is missing"
            in (picture["aria-label"])
        )
        rows = [row.text for row in page.id("cluster-now").one("tbody").all("tr")]
        assert "leads" in rows[0]
        assert "Dead votes" in rows[1]
        assert "5 minutes ago" in rows[1]
        assert "Missing votes" in rows[2]
        links = {link["href"] for link in page.root.all("a") if "forget" in link["href"]}
        assert links == {"cluster-forget?name=node-2", "cluster-forget?name=node-3"}


async def test_without_a_majority_the_page_says_what_that_means_and_offers_nothing_that_takes_one() -> None:
    async with open_api(replaced={"cluster": Leaderless()}) as api:
        page, home = [await Browser(api).get(name, **{"X-API-Key": "admin"}) for name in ("cluster", "")]
        assert "Nothing can be written just now 1 of 3 voters in reach." in page.said
        assert not [one for one in page.root.all("a") if one["href"].startswith("cluster-forget")]
        assert "Node node-2 does not answer" in home.text
        assert "give it up" not in home.text


async def test_an_owner_sees_members_and_leader_and_nothing_of_how_the_node_works() -> None:
    async with open_api(replaced={"cluster": Three()}) as api:
        alice = await owner(api, Scope.READ)
        page = await alice.get("cluster")
        assert page.root.all("svg", class_="ring")
        for part in ("workers", "parts", "gossip", "map"):
            assert not page.root.all(id=part)
        assert not page.has_form("cluster-resync")
        assert (await alice.get("cluster-forget?name=node-2")).status == 403
        record = (await alice.json("cluster")).json
        assert set(record) == {"shards", "now", "statistics"}
        admin = (await (await administrator(api)).json("cluster")).json
        assert set(admin) == {*record, "rates", "workers", "parts", "configurations"}


async def test_a_member_is_given_up_once_its_name_is_typed() -> None:
    async with open_api(replaced={"cluster": (cluster := Three())}) as api:
        admin = await administrator(api)
        page = await admin.get("cluster-forget?name=node-2")
        assert "Now 2 of 3 votes are needed, and 1 is there. Without it 2 of 2 are needed: as many as before." in (
            page.said
        )
        again = await admin.submit(page.form("cluster-forget"), typed="node-1")
        assert (again.status, again.wrong()) == (400, {"typed": "type 'node-2' to confirm"})
        assert cluster.forgotten == []
        done = await admin.submit(again.form("cluster-forget"), typed="node-2")
        assert cluster.forgotten == ["node-2"]
        assert "has been given up" in (await admin.follow(done)).said


async def test_one_that_lives_or_that_nobody_knows_is_not_given_up() -> None:
    async with open_api(replaced={"cluster": (cluster := Three())}) as api:
        admin = await administrator(api)
        assert (await admin.get("cluster-forget?name=node-1")).status == 409
        assert (await admin.get("cluster-forget?name=node-9")).status == 404
        form = (await admin.get("cluster-forget?name=node-2")).form("cluster-forget")
        refused = await admin.submit(form, name="node-1", typed="node-1")
        assert (refused.status, cluster.forgotten) == (409, [])
        assert "'node-1' is alive" in refused.said


async def test_comparing_with_storage_shows_what_was_corrected() -> None:
    async def resync() -> Resync:
        return Resync(certificates=3, tokens=1, certificates_changed=["alice/test/a.example"], seconds=0.25)

    async with open_api(replaced={"resync": resync}) as api:
        admin = await administrator(api)
        page = await admin.submit((await admin.get("cluster")).form("cluster-resync"))
        assert "Something differed" in page.said
        assert "alice/test/a.example" in page.text


class TwoFiles(NodeWatch):
    """Two nodes read another `config.yml` each."""

    configuration = "b" * 12

    def configuration_of(self, member: str) -> str:
        return {"node-1": self.configuration, "node-2": "a" * 12}.get(member, "")


async def test_a_node_whose_configuration_differs_is_marked() -> None:
    cluster = Two("node-1")
    watch = TwoFiles(cluster, cluster, cast("Settings", None))
    async with open_api(replaced={"cluster": cluster, "node_watch": watch}) as api:
        page = await (await administrator(api)).get("cluster")
        rows = [row.text for row in page.id("cluster-now").one("tbody").all("tr")]
        assert "Differs" not in rows[0]
        assert "aaaaaaaaaaaa Differs" in rows[1]
