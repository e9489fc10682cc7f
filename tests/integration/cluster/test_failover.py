"""The leader dies, hangs or stops, and the others go on without losing or repeating anything."""

from __future__ import annotations

import itertools
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.cluster.asking import (
    STAMP,
    new_token,
    path_of,
    tokens_shown_by,
    until_written,
    wish,
    written_with_one_retry,
)
from tests.integration.site import eventually
from tests.parts.cluster import Cluster, members_told_by, open_cluster
from tests.parts.faults import Hold
from tests.parts.node import Node

LEASE = 3.0  # seconds; the default
FINALIZE = "POST /finalize-order/"


async def test_kill_9_of_the_leader_costs_seconds_and_nothing_else(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        one, other = cluster.others(leader)
        before = str((await new_token(one)).json()["id"])
        leader.program.kill()
        _, after = await until_written(one, within=10)
        assert {before, after} <= await tokens_shown_by(one)
        await eventually(partial(shows_tokens, other, {before, after}), within=2)
        await cluster.start(leader)
        await eventually(partial(shows_tokens, leader, {before, after}), within=5)
        successor = await cluster.wait_for_leader()
        assert successor is not leader  # who comes back takes nothing from a healthy leader


async def test_a_leader_that_slept_through_its_lease_answers_no_write_as_leader(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        others = cluster.others(leader)
        old_term = term_of(await new_token(leader))
        leader.program.freeze()
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await new_token(leader))

        async with trio.open_nursery() as nursery:
            for _ in range(5):  # these wait in its sockets, and are what it sees first
                nursery.start_soon(ask)
            successor = await cluster.wait_for_leader(others)
            await new_token(successor)
            leader.program.thaw()
        for answer in answers:
            assert answer.is_success or answer.status_code == 503, answer.text
            assert not answer.is_success or term_of(answer) > old_term
        given = {answer.json()["id"] for answer in answers if answer.is_success}
        await eventually(partial(shows_tokens, successor, given), within=2)
        assert await cluster.wait_for_leader() is successor


async def test_a_graceful_stop_is_seen_by_no_client_that_retries_once(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        others = cluster.others(leader)
        answers: list[httpx.Response] = []
        enough = trio.Event()

        async def keep_asking(nodes: list[Node]) -> None:
            for turn in itertools.count():
                if enough.is_set():
                    return
                answers.append(await written_with_one_retry(nodes[turn % 3 :] + nodes[: turn % 3]))

        async with trio.open_nursery() as asking:
            for _ in range(4):
                asking.start_soon(keep_asking, [*cluster.nodes])
            await trio.sleep(LEASE)  # who has just started grants nothing for so long
            await wait_for_more(answers, 10)
            leader.program.send(signal.SIGTERM)
            taken_over, _ = await until_written(others[0], within=5)
            await wait_for_more(answers, 40)
            enough.set()  # no request is cut off: httpx would leave its body half read
        assert taken_over < 1
        assert {answer.status_code for answer in answers} == {201}
        await eventually(lambda: has_ended(leader), within=10)
        assert leader.program.returncode == 0
        given = {answer.json()["id"] for answer in answers}
        for node in others:
            await eventually(partial(shows_tokens, node, given), within=2)
        shown = await members_told_by(others[0])
        assert shown[leader.name]["state"] == "LEAVING"


async def test_an_order_goes_on_under_the_next_leader(tmp_path: Path) -> None:
    domain = "www.example.test"
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        follower = cluster.others(leader)[0]
        hold = Hold()
        cluster.to_ca.plan(hold, on=FINALIZE)
        asked = wish(domain)
        async with follower.client() as client, trio.open_nursery() as nursery:

            async def ask() -> None:
                lost = await client.post("/api/v1/certificate", json=asked)
                assert lost.status_code == 503, lost.text
                assert lost.json()["type"].endswith("/outcome-unknown")

            nursery.start_soon(ask)
            with trio.fail_after(20):
                await hold.reached.wait()
            leader.program.kill()
            hold.release.set()
        async with follower.client() as client:

            async def kept() -> bool:
                return (await client.get(path_of(domain))).is_success

            await eventually(kept, within=20)
            assert (await client.post("/api/v1/certificate", json=asked)).status_code == 409
            serial = int((await client.get(path_of(domain))).json()["serial"], 16)
        assert await cluster.ca.status(serial) == "Valid"
        assert cluster.to_ca.count("POST /order-plz") == 1  # the nodes share nothing but storage, and so the account
        assert len({one.target for one in cluster.to_ca.seen if one.line.startswith(FINALIZE)}) == 1
        await eventually(partial(no_orders, cluster), within=5)
        assert await cluster.dns.txt(f"_acme-challenge.{domain}") == set()


async def test_the_last_of_three_reads_and_does_not_write(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        last, *gone = cluster.nodes
        async with last.client() as client:
            created = await client.post("/api/v1/certificate", json=wish("www.example.test"))
            assert created.status_code == 201, created.text
            for node in gone:
                node.program.kill()

            async def is_refused() -> bool:
                answer = await new_token(last)
                return answer.status_code == 503 and answer.json()["type"].endswith("/no-quorum")

            await eventually(is_refused, within=20)
            refused = await client.put("/api/v1/certificate", json=wish("www.example.test") | {"labels": "a=b"})
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["Retry-After"]) >= 1
            assert all(node.name in refused.json()["detail"] for node in gone)
            assert (await client.get(path_of("www.example.test"))).json() == created.json()
            assert len((await client.get("/api/v1/certificate/metadata")).json()) == 1
            ready = await client.get("/ready")
            assert ready.status_code == 200
            assert ready.json()["parts"]["ring"].startswith("read-only")
        await cluster.start(gone[0])
        await until_written(last, within=20)


async def test_all_at_once_come_back_with_the_same_data_and_one_leader(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        async with cluster.nodes[0].client() as client:
            created = await client.post("/api/v1/certificate", json=wish("www.example.test"))
            assert created.status_code == 201, created.text
            deleted = await client.post("/api/v1/certificate", json=wish("old.example.test"))
            assert deleted.status_code == 201, deleted.text
            assert (await client.delete(path_of("old.example.test"))).status_code == 204
        tokens = await tokens_shown_by(cluster.nodes[0])
        for node in cluster.nodes:
            node.program.kill()
        await cluster.start()
        await cluster.wait_until_formed()
        for node in cluster.nodes:
            async with node.client() as client:
                assert (await client.get(path_of("www.example.test"))).json() == created.json()
                assert (await client.get(path_of("old.example.test"))).status_code == 404
            assert await tokens_shown_by(node) == tokens
        await until_written(cluster.nodes[0], within=10)


async def test_a_member_that_will_not_come_back_is_forgotten_and_one_that_lives_is_not(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        leader = await cluster.wait_for_leader()
        one, gone = cluster.others(leader)
        assert (await forget(one, leader)).status_code == 409
        gone.program.kill()

        async def is_forgotten() -> bool:  # not before it is known to be dead
            return (await forget(one, gone)).status_code == 302

        await eventually(is_forgotten, within=40)
        await eventually(lambda: votes_no_more(one, gone), within=5)
        leader.program.kill()  # of two voters both are needed
        with pytest.raises(trio.TooSlowError):
            await until_written(one, within=5)
        await cluster.start(leader)
        await until_written(one, within=20)
        shown = await members_told_by(one)
        assert {name for name, shard in shown.items() if shard["voter"]} == {leader.name, one.name}


async def test_the_last_of_three_can_be_made_to_go_on_alone_and_the_others_join_it(tmp_path: Path) -> None:
    async with open_cluster(tmp_path) as cluster:
        last, *gone = cluster.nodes
        before = str((await new_token(last)).json()["id"])
        for node in cluster.nodes:
            node.program.kill()
        usual = last.program.argv
        last.program.argv = (*usual, "-ring.force-new-cluster")
        await cluster.start(last, ready=False)
        _, after = await until_written(last, within=20)
        shown = await members_told_by(last)
        assert {name for name, shard in shown.items() if shard["voter"]} == {last.name}
        assert "-ring.force-new-cluster" in last.program.log()  # loud
        last.program.argv = usual
        await cluster.start(*gone)
        await cluster.wait_until_formed()
        for node in cluster.nodes:
            await eventually(partial(shows_tokens, node, {before, after}), within=5)


async def forget(asked: Node, member: Node) -> httpx.Response:
    async with asked.anonymous(**{"X-API-Key": "the administrator's key"}) as client:
        return await client.post("/ring", data={"forget": member.name})


def term_of(answer: httpx.Response) -> int:
    """The term in which a write was made."""
    assert answer.is_success, answer.text
    return int(answer.headers[STAMP].partition(".")[0])


async def shows_tokens(node: Node, wanted: set[str]) -> bool:
    return wanted <= await tokens_shown_by(node)


async def votes_no_more(asked: Node, member: Node) -> bool:
    shown = await members_told_by(asked)
    return member.name not in shown or not shown[member.name]["voter"]


async def no_orders(cluster: Cluster) -> bool:
    return await cluster.bao.keys("certificates/.acme-manager/orders") == []


async def wait_for_more(answers: list[httpx.Response], count: int) -> None:
    until = len(answers) + count
    with trio.fail_after(30):
        while len(answers) < until:  # noqa: ASYNC110 the list tells nobody
            await trio.sleep(0.02)


async def has_ended(node: Node) -> bool:
    await trio.lowlevel.checkpoint()
    return not node.program.alive
