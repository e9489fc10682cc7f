from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from acme_manager.config.model import Common
from acme_manager.domain.certificate import CertificateId
from acme_manager.domain.operation import OperationKind, OperationState
from acme_manager.domain.request import OperationParams, RenewParams
from acme_manager.errors import (
    Conflict,
    InvalidRequest,
    IssuanceFailed,
    IssuerUnavailable,
    OperationNotFound,
    Problem,
    StorageUnavailable,
)
from acme_manager.ports import RenewalInfo
from acme_manager.ring.alone import Alone
from acme_manager.storage.memory import MemoryStorage
from tests.fakes.ca import MemoryCa
from tests.unit.services.operating import open_operating
from tests.unit.services.renewing import DAY, HOUR
from tests.unit.services.test_certificates import csr_for
from tests.unit.services.world import ALICE, NOW, FixedClock, wish, with_limits

FROZEN = Common(renewal_freezes=("nov-dec",))


async def test_all_are_replaced_by_new_keys_whatever_the_calendar_says_and_the_old_ones_revoked(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_operating(common=FROZEN) as operating:
        before = await operating.make(20)
        with capture_logs() as logs:
            operation = await operating.start(all=True, revoke=True)
            assert (operation.id, operation.total, operation.state) == ("1", 20, OperationState.RUNNING)
            await trio.sleep(10)
        state, progress = await operating.look()
        assert (state, progress.total, progress.left) == ("done", 20, 0)
        assert {one.renewal_count for one in operating.certificates} == {1}
        assert not {one.serial for one in before} & {one.serial for one in operating.certificates}
        assert operating.revoked == [4] * 20
        assert len(operating.renewing.ca.placed) == 40
        said = {one["event"]: one for one in logs}
        assert said["operation started"]["selector"] == {"all": True}
        assert said["certificate issued"]["reason"] == "operation 1: replace"
        assert said["operation done"]["id"] == "1"
        assert operating.items("1", "left") is None  # it is over
        await trio.sleep(DAY)
        assert len(operating.renewing.ca.placed) == 40


async def test_only_what_is_selected_is_renewed(autojump_clock: trio.abc.Clock) -> None:
    async with open_operating() as operating:
        await operating.make(3)
        await operating.make(1, name="other", labels="team=web", key_type="ec384")
        await operating.start("renew", key_types=("EC384",), labels=("team",), owners=("alice",))
        await trio.sleep(10)
        assert [one.name for one in operating.certificates if one.renewal_count] == ["other"]
        with pytest.raises(InvalidRequest, match="no certificate is selected"):
            await operating.start("renew", owners=("bob",))
        serials = [one.serial for one in operating.certificates if one.domain == "1.example"]
        await operating.start("renew", serials=tuple(f"0{one}".upper() for one in serials))
        await trio.sleep(10)
        assert [one.domain for one in operating.certificates if one.renewal_count] == ["0.example", "1.example"]
        assert operating.revoked == []


async def test_a_record_without_an_expiry_is_made_anew_too(autojump_clock: trio.abc.Clock) -> None:
    async with open_operating() as operating:
        (made,) = await operating.make(1)
        operating.renewing.world.state.publish(attrs.evolve(made, expires="", issued_at=0))
        await operating.start("renew", all=True)
        await trio.sleep(10)
        assert (await operating.look())[0] == "done"
        assert operating.certificates[0].renewal_count == 1


async def test_pause_resume_and_abort_count_at_once_for_what_has_not_begun(autojump_clock: trio.abc.Clock) -> None:
    async def before(step: str) -> None:
        await trio.sleep(1 if step == "order" else 0)

    async with open_operating(ca=MemoryCa(before)) as operating:
        operations = operating.renewing.world.operations
        await operating.make(80)  # of which eight are made at once
        await operating.start(all=True)
        await trio.sleep(2.5)
        paused = await operations.change("1", OperationState.PAUSED)
        await trio.sleep(1)
        _, progress = await operating.look()
        assert 8 <= progress.done < 80
        await trio.sleep(HOUR)
        assert (await operating.look())[1] == progress
        assert paused.active_at(int(1e15)) == 2500
        with pytest.raises(Conflict, match="can't be paused: operation 1 is paused"):
            await operations.change("1", OperationState.PAUSED)
        await operations.change("1", OperationState.RUNNING)
        await trio.sleep(3.5)
        assert progress.done < (operating.items("1", "done") or 0) <= (await operating.look())[1].done < 80
        aborted = await operations.change("1", OperationState.ABORTED)
        await trio.sleep(HOUR)
        renewed = sum(one.renewal_count for one in operating.certificates)
        assert aborted.total - aborted.left <= renewed <= aborted.total - aborted.left + 8
        assert (await operating.look())[1].left == aborted.left
        with pytest.raises(Conflict, match="can't be resumed: operation 1 is aborted"):
            await operations.change("1", OperationState.RUNNING)
        with pytest.raises(OperationNotFound):
            await operations.change("7", OperationState.PAUSED)


async def test_the_next_leader_goes_on_and_replaces_none_a_second_time_though_its_clock_is_behind(
    autojump_clock: trio.abc.Clock,
) -> None:
    storage, shared = MemoryStorage(FixedClock()), Alone()

    async def before(step: str) -> None:
        await trio.sleep(1 if step == "order" else 0)

    ca = MemoryCa(before)
    async with open_operating(storage=storage, ca=ca, cluster=shared) as operating:
        await operating.make(40)
        await operating.start(all=True, revoke=True)
        await trio.sleep(2.5)
        assert 0 < (await operating.look())[1].left < 40
    # A map that has seen nothing of it, as after a stop of all nodes; the clock begins at NOW again.
    async with open_operating(storage=storage, ca=ca) as operating:
        await trio.sleep(HOUR)
        assert (await operating.look())[0] == "done"
        assert {one.renewal_count for one in operating.certificates} == {1}
        assert len(ca.placed) == 80
        assert operating.revoked == [4] * 40


async def test_what_is_being_renewed_when_it_begins_is_revoked_too(autojump_clock: trio.abc.Clock) -> None:
    go = trio.Event()

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "validate" and len(operating.certificates) == 2:
            await go.wait()

    async with open_operating(ca=MemoryCa(before)) as operating, trio.open_nursery() as nursery:
        (_, second) = await operating.make(2)
        nursery.start_soon(operating.renewing.world.certificates.renew, second.id, "a test")
        await trio.sleep(1)
        await operating.start(all=True, revoke=True, reason="keyCompromise")
        await trio.sleep(1)
        go.set()
        await trio.sleep(10)
        assert operating.revoked == [1, 1]
        assert {one.renewal_count for one in operating.certificates} == {1}
        assert (await operating.look())[0] == "done"


async def test_a_leaked_key_of_a_host_is_not_used_again_until_the_host_has_made_another(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_operating() as operating:
        world, csr = operating.renewing.world, csr_for("host.example")
        operating.renewing.ca.lifetime = timedelta(hours=12)
        await world.certificates.request(ALICE, wish(domain="host.example", csr=csr))
        await operating.make(2)
        params: dict[str, Any] = {"all": True, "revoke": True, "reason": "1"}
        preview = await world.operations.preview(OperationKind.REPLACE, OperationParams(**params))
        assert (preview.total, preview.host_keys) == (3, 1)
        assert preview.warnings[0].startswith("1 certificates have a key of their host's: the host's agent must make")
        await operating.start(**params)
        await trio.sleep(11 * HOUR)  # also beyond its time
        state, progress = await operating.look()
        assert (state, progress.left, progress.waiting_for_host) == ("running", 1, 1)
        assert operating.items("1", "host") == 1
        host = CertificateId("alice", "test", "host.example")
        (present,) = [one for one in operating.certificates if one.csr]
        (view,) = operating.renewing.plans.describe([present])
        assert b'"code":"held"' in bytes(view)
        assert b'"new_key_wanted":true' in bytes(view)
        with pytest.raises(InvalidRequest, match="operation 1 replaces its key") as wrong:
            await world.certificates.renew_for(ALICE, RenewParams(issuer="test", domain="host.example"))
        assert wrong.value.where == "csr"
        with pytest.raises(InvalidRequest, match="make a new key"):
            await world.certificates.update(ALICE, wish(domain="host.example", csr=csr, days=10))
        await world.certificates.update(ALICE, wish(domain="host.example", csr=csr_for("host.example")))
        await trio.sleep(10)
        assert operating.revoked == [1, 1, 1]
        assert (await operating.look())[0] == "done"
        (view,) = operating.renewing.plans.describe([world.state.certificates.get(host.key)])  # type: ignore[list-item]
        assert b"new_key_wanted" not in bytes(view)


@pytest.mark.parametrize("params", [{"revoke": True, "reason": "1", "same_key": True}, {"revoke": True}, {}])
async def test_a_key_of_a_host_is_used_again_where_it_has_not_leaked_or_that_is_wanted(
    autojump_clock: trio.abc.Clock, params: dict[str, Any]
) -> None:
    async with open_operating() as operating:
        csr = csr_for("host.example")
        await operating.renewing.world.certificates.request(ALICE, wish(domain="host.example", csr=csr))
        await trio.sleep(1)
        await operating.start(names=("host.*",), **params)
        await trio.sleep(10)
        (present,) = operating.certificates
        assert (present.renewal_count, present.csr) == (1, csr)


async def test_what_fails_is_shown_with_its_cause_and_tried_again_and_an_abort_keeps_that(
    autojump_clock: trio.abc.Clock,
) -> None:
    async def before(step: str) -> None:
        began = operating.renewing.world.state.operations.get("1") is not None
        if step == "order" and began and operating.renewing.ca.requests[-1].identifiers[0].value == "1.example":
            raise IssuanceFailed("refused: caa", Problem(type="urn:ietf:params:acme:error:caa", detail="no"))
        await trio.lowlevel.checkpoint()

    async with open_operating(ca=MemoryCa(before)) as operating:
        await operating.make(3)
        await operating.start(all=True)
        await trio.sleep(2 * HOUR)
        state, progress = await operating.look()
        assert (state, progress.done, progress.failed) == ("running", 2, 1)
        (failure,) = progress.failures
        assert (failure.key, failure.cause, failure.error) == ("alice/test/1.example", "caa", "refused: caa")
        assert operating.renewing.world.state.renewal(operating.certificates[1]).failures == 3  # 1 min, 10 min, 100 min
        await operating.renewing.world.operations.change("1", OperationState.ABORTED)
        operating.renewing.world.state.publish_renewal(
            failure.key, operating.renewing.world.state.renewal(operating.certificates[0])
        )
        state, kept = await operating.look()
        assert (state, kept.done, kept.failures) == ("aborted", 2, (failure,))


async def test_windows_are_asked_for_at_once_and_a_new_certificate_is_replaced_again_if_its_ca_wants_that(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_operating(ari=True, common=FROZEN) as operating:
        ca = operating.renewing.ca
        quiet = RenewalInfo(start=NOW + timedelta(days=60), end=NOW + timedelta(days=62), ask_again=DAY)
        made = await operating.make(30)
        for one in made:
            ca.windows[one.serial] = quiet
        for one in made:
            await operating.renewing.world.certificates.renew(one.id, "so that it has just been renewed")
        for one in operating.certificates:
            ca.windows[one.serial] = quiet
        await trio.sleep(2 * HOUR)
        moved = {one.domain for one in operating.certificates[:10]}
        for one in operating.certificates[:10]:
            ca.windows[one.serial] = attrs.evolve(quiet, start=NOW - timedelta(days=9), end=NOW - timedelta(days=8))
        preview = await operating.renewing.world.operations.preview(OperationKind.REPLACE, OperationParams(ari=True))
        assert preview.total == 0  # as far as is known
        await operating.start(ari=True, revoke=True)
        await trio.sleep(60)
        assert {one.domain for one in operating.certificates if one.renewal_count == 2} == moved
        assert (await operating.look())[0] == "done"
        assert operating.revoked == [4] * 10


async def test_an_operation_by_windows_is_not_done_before_all_cas_have_answered(autojump_clock: trio.abc.Clock) -> None:
    away = False

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if away and step == "renewal info":
            raise IssuerUnavailable("away")

    async with open_operating(ari=True, ca=MemoryCa(before)) as operating:
        (one,) = await operating.make(1)
        away = True
        await operating.start(ari=True)
        await trio.sleep(HOUR)
        state, progress = await operating.look()
        assert (state, progress.total, progress.unasked) == ("running", 0, 1)
        operating.renewing.ca.windows[one.serial] = RenewalInfo(
            start=NOW - timedelta(days=2), end=NOW - timedelta(days=1), ask_again=DAY
        )
        away = False
        await trio.sleep(2 * HOUR)
        assert operating.certificates[0].renewal_count == 1
        assert (await operating.look())[0] == "done"


async def test_certificates_are_revoked_and_deleted_and_none_of_them_renewed_before(
    autojump_clock: trio.abc.Clock,
) -> None:
    away = True

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if away and step == "revoke" and len(operating.revoked) >= 3:
            raise IssuerUnavailable("the CA is away")

    async with open_operating(ca=MemoryCa(before)) as operating:
        operating.renewing.ca.lifetime = timedelta(hours=12)
        await operating.make(12)
        await operating.start("revoke", names=("[0-9].example", "10.*"), reason="cessationOfOperation")
        await trio.sleep(30)
        state, progress = await operating.look()
        assert (state, progress.done, progress.failed) == ("running", 3, 8)
        assert progress.failures[0].error == "not revoked: the CA is away"
        (view, *_) = operating.renewing.plans.describe(operating.certificates)
        assert b'"reason":"operation 1 revokes it"' in bytes(view)
        await operating.renewing.world.operations.change("1", OperationState.PAUSED)
        away = False
        await trio.sleep(9 * HOUR)
        assert (await operating.look())[1].done == 3
        await operating.renewing.world.operations.change("1", OperationState.RUNNING)
        await trio.sleep(2 * HOUR)
        assert [one.domain for one in operating.certificates] == ["11.example"]
        assert operating.revoked == [5] * 11
        assert (await operating.look())[0] == "done"
        assert operating.certificates[0].renewal_count == 1  # it was nobody's business


async def test_an_old_certificate_that_could_not_be_revoked_is_tried_again_before_it_is_done(
    autojump_clock: trio.abc.Clock,
) -> None:
    away = True

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if away and step == "revoke":
            raise IssuerUnavailable("away")

    async with open_operating(ca=MemoryCa(before)) as operating:
        await operating.make(3)
        await operating.start(all=True, revoke=True)
        await trio.sleep(HOUR)
        state, progress = await operating.look()
        assert (state, progress.left) == ("running", 0)
        assert operating.items("1", "unrevoked") == 3
        away = False
        await trio.sleep(11 * 60)
        assert operating.revoked == [4] * 3
        assert (await operating.look())[0] == "done"
        assert {one.renewal_count for one in operating.certificates} == {1}
        assert await operating.renewing.world.issuing.journal.read_all() == []


async def test_a_preview_says_what_it_is_about_and_how_long_the_limits_make_it(autojump_clock: trio.abc.Clock) -> None:
    async with open_operating(run=False) as operating:
        world = operating.renewing.world
        await operating.make(20)
        settings = world.issuing.settings
        params = OperationParams(all=True)
        preview = await world.operations.preview(OperationKind.RENEW, params)
        (at_ca,) = preview.issuers.values()
        assert (preview.total, dict(preview.owners), preview.host_keys) == (20, {"alice": 20}, 0)
        assert (at_ca.certificates, at_ca.seconds, at_ca.limit) == (20, 25.0, "")  # 20 / 8 x 10 s
        with_limits(settings, "letsencrypt-staging")
        limits = attrs.evolve(settings.issuers["test"].limits, new_orders=None)
        config = attrs.evolve(settings.issuers["test"], limits=limits)
        settings.config = attrs.evolve(settings.config, issuers={"test": config})
        assert (await world.operations.preview(OperationKind.RENEW, params)).seconds == 25.0
        settings.config = attrs.evolve(settings.config, issuers={})
        preview = await world.operations.preview(OperationKind.RENEW, params)
        assert preview.warnings == ("issuer 'test' is not configured: its 20 certificates have to wait until it is",)
        assert world.ca.requests[20:] == []
        assert list(world.operations.list()) == []


@pytest.mark.parametrize(
    ("kind", "params", "where"),
    [
        ("replace", {}, "all"),
        ("replace", {"all": True, "owners": ("alice",)}, "all"),
        ("renew", {"all": True, "revoke": True}, "revoke"),
        ("revoke", {"all": True, "same_key": True}, "same_key"),
        ("replace", {"all": True, "reason": "keyCompromise"}, "reason"),
        ("revoke", {"all": True, "reason": "because"}, "reason"),
        ("renew", {"issued_before": "yesterday"}, "issued_before"),
        ("renew", {"issued_before": "2026-11-24T12:00:00"}, "issued_before"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_the_name_of_its_field(
    kind: str, params: dict[str, Any], where: str, autojump_clock: trio.abc.Clock
) -> None:
    async with open_operating(run=False) as operating:
        await operating.make(1)
        with pytest.raises(InvalidRequest) as wrong:
            await operating.start(kind, **params)
        assert wrong.value.where == where


async def test_the_last_fifty_are_kept_and_only_so_many_may_be_open(autojump_clock: trio.abc.Clock) -> None:
    async with open_operating(run=False) as operating:
        operations, storage = operating.renewing.world.operations, operating.renewing.world.storage
        await operating.make(1)
        for _ in range(55):
            operation = await operating.start(all=True)
            await operations.change(operation.id, OperationState.ABORTED)
        for _ in range(20):
            await operating.start(all=True)
        kept = [one.id for one in operations.list()]
        assert kept == [str(number) for number in range(75, 5, -1)]
        assert len(await storage.list("certificates/.acme-manager/operations")) == 70
        with pytest.raises(Conflict, match="20 operations under way"):
            await operating.start(all=True)
        storage.down = StorageUnavailable("away")
        with pytest.raises(StorageUnavailable):
            await operations.change("60", OperationState.PAUSED)
        assert operations.get("60").state is OperationState.RUNNING
