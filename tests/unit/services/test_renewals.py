from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta

import attrs
import trio
from structlog.testing import capture_logs

from acme_manager.config.model import Common
from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.gotime import parse_time
from acme_manager.domain.keys import split_chain
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.errors import BudgetSpent, IssuanceFailed, IssuerRateLimited, Problem
from acme_manager.ports import IssuerFacts, RenewalInfo
from acme_manager.storage.memory import MemoryStorage
from tests.fakes.ca import MemoryCa
from tests.unit.services.renewing import DAY, HOUR, Renewing, open_renewing
from tests.unit.services.world import ALICE, NOW, FixedClock, wish

ID = CertificateId("alice", "test", "example.com")


def kept(renewing: Renewing, id: CertificateId = ID) -> Certificate:
    found = renewing.world.state.certificates.get(id.key)
    assert found is not None
    return found


def refusing(code: str, *, until: Callable[[], bool]) -> Callable[[str], Awaitable[None]]:
    """A CA that refuses every order with an ACME problem until something is so."""

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "validate" and not until():
            problem = Problem(type=f"urn:ietf:params:acme:error:{code}", detail="no")
            raise IssuanceFailed(f"refused: {code}", problem)

    return before


async def test_the_date_in_a_record_is_the_one_that_is_planned_though_its_ca_backdates_certificates() -> None:
    async with open_renewing() as renewing:
        renewing.ca.lifetime, renewing.ca.backdated = timedelta(days=30), timedelta(hours=1)
        stored = await renewing.world.certificates.request(ALICE, wish())
        planned = renewing.plans.plan(stored.certificate, NOW)
        assert planned is not None
        # Counted from its notBefore, the window of 20 to 30 days would just fit, and have it renewed at once.
        assert planned.code == "share"
        assert parse_time(stored.certificate.renewal_date) == planned.due > NOW + timedelta(days=20)
        changed = await renewing.world.certificates.update(ALICE, wish(labels="a=b"))
        assert changed.certificate.renewal_date == stored.certificate.renewal_date


async def test_a_certificate_is_renewed_at_its_renewal_date_with_a_new_key(autojump_clock: trio.abc.Clock) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        first = await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        due = (parse_time(first.certificate.renewal_date) - NOW).total_seconds()
        await trio.sleep(due - 5)
        assert kept(renewing) == first.certificate
        await trio.sleep(10)
        second = await renewing.world.certificates.get(ID)
        assert second.certificate.renewal_count == 1
        assert second.certificate.serial != first.certificate.serial
        assert second.private_key not in ("", first.private_key)
        assert parse_time(second.certificate.expires) - parse_time(first.certificate.expires) > timedelta(days=60)
        assert renewing.ca.requests[-1].replaces.startswith("-----BEGIN CERTIFICATE")
        assert renewing.counted("acme_manager_renewals_total", issuer="test") == 1
        assert renewing.failed_rounds == 0
        nursery.cancel_scope.cancel()


async def test_certificates_of_six_days_are_renewed_again_and_again(autojump_clock: trio.abc.Clock) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        renewing.ca.lifetime = timedelta(hours=160)
        await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        for _ in range(100):
            await trio.sleep(DAY)
            assert parse_time(kept(renewing).expires) > renewing.ca.now() + timedelta(hours=10)
        assert 100 * 24 / 160 < kept(renewing).renewal_count < 100 * 24 / 79
        nursery.cancel_scope.cancel()


async def test_the_old_one_is_served_and_counts_as_due_while_the_new_one_is_made(
    autojump_clock: trio.abc.Clock,
) -> None:
    go = trio.Event()

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "validate" and renewing.ca.now() > NOW + timedelta(days=1):
            await go.wait()

    async with open_renewing(ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        first = await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        await trio.sleep((parse_time(first.certificate.renewal_date) - NOW).total_seconds() + 60)
        assert await renewing.world.certificates.get(ID) == first
        assert renewing.counted("acme_manager_renewals_due") == 1
        go.set()
        await trio.sleep(1)
        assert kept(renewing).renewal_count == 1
        assert renewing.counted("acme_manager_renewals_due") == 0
        nursery.cancel_scope.cancel()


async def test_failures_back_off_and_what_a_person_must_cure_is_said_once(autojump_clock: trio.abc.Clock) -> None:
    def cured() -> bool:
        return not NOW + timedelta(days=1) < renewing.ca.now() < NOW + timedelta(days=72)

    async with open_renewing(ca=MemoryCa(refusing("caa", until=cured))) as renewing, trio.open_nursery() as nursery:
        await renewing.world.certificates.request(ALICE, wish(renewal_days="20"))
        with capture_logs() as logs:
            nursery.start_soon(renewing.run)
            await trio.sleep(70 * DAY + 3 * HOUR)
            state = renewing.world.state.renewal(kept(renewing))
            assert (state.cause, state.cure, state.failures) == ("caa", "person", 4)
            assert state.error == "refused: caa"
            planned = renewing.plans.plan(kept(renewing), renewing.ca.now())
            assert planned is not None
            assert planned.code == "retry"
            assert planned.reason.startswith("failed 4 times, next try at 2027-02-0")
            await trio.sleep(3 * DAY)
        assert [one["log_level"] for one in logs if one["event"].startswith("renewal fail")].count("error") == 1
        assert len(renewing.ca.placed) <= 7
        assert kept(renewing).renewal_count == 1  # the cause is gone, and so is what was known of it
        assert renewing.world.state.renewals.get(ID.key) is None
        assert renewing.counted("acme_manager_renewal_failures_total", issuer="test", cause="caa") == state.failures + 1
        assert any(one["event"] == "renewals" and one.get("failed_caa") for one in logs)
        nursery.cancel_scope.cancel()


async def test_the_retry_after_of_a_ca_is_waited_for(autojump_clock: trio.abc.Clock) -> None:
    tries: list[float] = []

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "order" and renewing.ca.now() > NOW + timedelta(days=1):
            tries.append(trio.current_time())
            if len(tries) == 1:
                raise IssuerRateLimited("slow down", None, 5 * HOUR)

    async with open_renewing(ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        await trio.sleep(75 * DAY)
        assert len(tries) == 2
        assert 5 * HOUR <= tries[1] - tries[0] < 6 * HOUR
        nursery.cancel_scope.cancel()


async def test_a_ca_without_room_holds_its_certificates_back_and_says_which_limit(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        for number in range(3):
            await renewing.world.certificates.request(ALICE, wish(domain=f"{number}.example", renewal_days="30"))
        renewing.room.full = (HOUR, "300 new orders per 3h of our account")
        nursery.start_soon(renewing.run)
        await trio.sleep(60 * DAY + 1800)
        assert renewing.counted("acme_manager_renewals_deferred", issuer="test") == 3
        for key, certificate in renewing.world.state.certificates.items():
            state = renewing.world.state.renewal(certificate)
            assert (state.waits_for, state.failures) == ("300 new orders per 3h of our account", 0), key
        asked = len(renewing.room.asked)
        await trio.sleep(HOUR)
        assert len(renewing.room.asked) == asked + 1  # one for all that wait for the same
        renewing.room.full = (0.0, "")
        await trio.sleep(HOUR)
        assert {one.renewal_count for _, one in renewing.world.state.certificates.items()} == {1}
        assert renewing.counted("acme_manager_renewals_deferred", issuer="test") == 0
        nursery.cancel_scope.cancel()


async def test_a_slow_ca_holds_nobody_else_up_and_the_most_urgent_goes_first(autojump_clock: trio.abc.Clock) -> None:
    order: list[str] = []
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        world = renewing.world
        settings = world.issuing.settings
        few = {name: attrs.evolve(one, max_orders=1) for name, one in settings.issuers.items()}
        settings.config = attrs.evolve(settings.config, issuers=few)
        for number, days in enumerate((90, 89, 88)):
            renewing.ca.lifetime = timedelta(days=days)
            await world.certificates.request(ALICE, wish(domain=f"{days}.example", renewal_days="30"))
            if not number:
                bare = wish(issuer="bare", http_challenge="kvring", renewal_days="30", domain="other.example")
                await world.certificates.request(ALICE, bare)

        async def before(step: str) -> None:
            if step == "order":
                name = renewing.ca.requests[-1].identifiers[0].value
                order.append(name)
                await trio.sleep(200 if name != "other.example" else 1)

        renewing.ca._before = before
        await trio.sleep(61 * DAY)  # nobody has led for a while
        nursery.start_soon(renewing.run)
        await trio.sleep(100)
        assert sorted(order) == ["88.example", "other.example"]
        assert kept(renewing, CertificateId("alice", "bare", "other.example")).renewal_count == 1
        await trio.sleep(HOUR)
        assert [one for one in order if one != "other.example"] == ["88.example", "89.example", "90.example"]
        nursery.cancel_scope.cancel()


async def test_a_ca_is_asked_at_once_and_by_its_own_time_and_its_window_counts(autojump_clock: trio.abc.Clock) -> None:
    asked: list[float] = []

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "renewal info":
            asked.append(trio.current_time())

    async with open_renewing(ari=True, ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        nursery.start_soon(renewing.run)
        await trio.sleep(1)
        began = trio.current_time()
        first = await renewing.world.certificates.request(ALICE, wish())
        window = RenewalInfo(
            start=NOW + timedelta(days=40),
            end=NOW + timedelta(days=42),
            explanation="https://ca.test/why",
            ask_again=6 * HOUR,
        )
        renewing.ca.windows[first.certificate.serial] = window
        await trio.sleep(2 * DAY)
        assert asked[0] - began < 5
        pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
        assert pauses
        assert all(6 * HOUR <= pause <= 6.7 * HOUR for pause in pauses)
        (view,) = renewing.plans.describe([kept(renewing)])
        assert b'"code":"ari"' in bytes(view)
        assert b'"explanation":"https://ca.test/why"' in bytes(view)
        await trio.sleep(41 * DAY)
        assert kept(renewing).renewal_count == 1
        assert kept(renewing).issued_at / 1000 < (NOW + timedelta(days=42)).timestamp()
        assert renewing.world.state.renewal(kept(renewing)).ari is None  # that was of the one before
        nursery.cancel_scope.cancel()


async def test_a_window_that_moves_into_the_past_means_now_but_not_again_and_again(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_renewing(ari=True) as renewing, trio.open_nursery() as nursery:
        first = await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        past = RenewalInfo(start=NOW - timedelta(days=2), end=NOW - timedelta(days=1), ask_again=HOUR)
        await trio.sleep(5 * DAY)
        renewing.ca.windows[first.certificate.serial] = past
        await trio.sleep(2 * DAY)
        assert kept(renewing).renewal_count == 1
        renewing.ca.windows[kept(renewing).serial] = past
        await trio.sleep(2 * DAY)
        assert kept(renewing).renewal_count == 2
        assert len(renewing.ca.placed) == 3
        nursery.cancel_scope.cancel()


async def test_a_ca_that_does_not_answer_questions_is_left_alone(autojump_clock: trio.abc.Clock) -> None:
    asked: list[str] = []

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        asked.append(step)
        if step == "renewal info":
            raise IssuanceFailed("what?")

    async with open_renewing(ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        for number in range(5):
            await renewing.world.certificates.request(ALICE, wish(domain=f"{number}.example"))
        nursery.start_soon(renewing.run)
        await trio.sleep(DAY)
        assert asked.count("facts") <= 5 + 4  # none has RFC 9773, which may change
        assert "renewal info" not in asked
        assert len(renewing.world.state.renewals) == 0
        renewing.ca.said = attrs.evolve(renewing.ca.said, renewal_info=True)
        await trio.sleep(2 * DAY)
        assert 5 * 8 < asked.count("renewal info") < 5 * 24  # 1 min, 2 min, … and then each 6 hours
        nursery.cancel_scope.cancel()


async def test_a_person_s_wish_counts_at_once_and_a_forced_one_as_soon_as_there_is_room(
    autojump_clock: trio.abc.Clock,
) -> None:
    frozen = Common(renewal_freezes=("nov-jan",))
    async with open_renewing(common=frozen) as renewing, trio.open_nursery() as nursery:
        await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        renewed = await renewing.world.certificates.renew(ID, "asked for by alice")
        assert renewed.certificate.renewal_count == 1
        leaf = renewed.certificate.fingerprint
        renewing.world.state.publish_renewal(ID.key, RenewalState(leaf=leaf, forced="operation 7"))
        await trio.sleep(1)
        assert kept(renewing).renewal_count == 2
        assert renewing.world.state.renewals.get(ID.key) is None
        nursery.cancel_scope.cancel()


async def test_a_freeze_moves_a_renewal_and_lets_nothing_expire(autojump_clock: trio.abc.Clock) -> None:
    months: dict[str, list[int]] = {}

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "order":
            months.setdefault(renewing.ca.requests[-1].identifiers[0].value, []).append(renewing.ca.now().month)

    frozen = Common(renewal_freezes=("jan",))
    async with open_renewing(common=frozen, ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        await renewing.world.certificates.request(ALICE, wish(domain="late.example", renewal_days="30"))
        renewing.ca.lifetime = timedelta(days=64)
        await renewing.world.certificates.request(ALICE, wish(domain="early.example", renewal_days="5-20"))
        renewing.ca.lifetime = timedelta(days=10)
        await renewing.world.certificates.request(ALICE, wish(domain="often.example"))
        nursery.start_soon(renewing.run)
        for _ in range(80):
            await trio.sleep(DAY)
            for key, certificate in renewing.world.state.certificates.items():
                assert parse_time(certificate.expires) > renewing.ca.now() + timedelta(hours=6), key
        assert months["late.example"][:2] == [11, 2]  # put off
        assert months["early.example"][:2] == [11, 12]  # it could not wait so long
        assert 1 in months["often.example"]  # nor be done long before
        nursery.cancel_scope.cancel()


async def test_an_issuer_that_is_gone_is_no_error_and_counts_again_when_it_is_back(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        await renewing.world.certificates.request(ALICE, wish())
        settings = renewing.world.issuing.settings
        both = settings.config
        settings.config = attrs.evolve(both, issuers={})
        nursery.start_soon(renewing.run)
        await trio.sleep(80 * DAY)
        assert len(renewing.ca.placed) == 1
        assert renewing.failed_rounds == 0
        (view,) = renewing.plans.describe([kept(renewing)])
        assert b"issuer 'test' is not configured" in bytes(view)
        settings.config = both
        await trio.sleep(6 * HOUR)
        assert kept(renewing).renewal_count == 1
        nursery.cancel_scope.cancel()


async def test_a_record_of_the_go_program_is_renewed_at_its_own_date_or_a_new_one(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        dates = {"good": "2027-01-20 10:00:00 +0000 UTC", "bad": "2026-12-01 10:00:00.123 +0000 UTC m=+1.5 x"}
        for name, date in dates.items():
            stored = await renewing.world.certificates.request(ALICE, wish(domain=f"{name}.example"))
            old = attrs.evolve(stored.certificate, issued_at=0, renewal_date=date)
            renewing.world.state.publish(old)
        nursery.start_soon(renewing.run)
        good, bad = (CertificateId("alice", "test", f"{name}.example") for name in dates)
        assert renewing.plans.plan(kept(renewing, good), NOW).due == parse_time(dates["good"])  # type: ignore[union-attr]
        planned = renewing.plans.plan(kept(renewing, bad), NOW)
        assert planned is not None
        assert planned.reason.startswith("20-30 days before expiry; its renewal_date can't be read")
        await trio.sleep(72 * DAY)
        assert kept(renewing, good).renewal_count == kept(renewing, bad).renewal_count == 1
        nursery.cancel_scope.cancel()


async def test_a_renewal_that_one_leader_has_begun_is_finished_by_the_next_with_the_same_order(
    autojump_clock: trio.abc.Clock,
) -> None:
    storage = MemoryStorage(FixedClock())
    dying = False

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if dying and step == "validate":
            scope.cancel()
            await trio.sleep_forever()

    ca = MemoryCa(before)
    with trio.CancelScope() as scope:
        async with open_renewing(storage=storage, ca=ca) as renewing, trio.open_nursery() as nursery:
            first = await renewing.world.certificates.request(ALICE, wish())
            dying = True
            nursery.start_soon(renewing.run)
            await trio.sleep(80 * DAY)
    assert len(ca.placed) == 2
    dying = False
    async with open_renewing(storage=storage, ca=ca) as renewing, trio.open_nursery() as nursery:
        nursery.start_soon(renewing.run)
        await trio.sleep(5)
        assert kept(renewing).renewal_count == 1
        assert (ca.resumed, len(ca.placed)) == ([ca.placed[1]], 2)
        assert ca.requests[-1].replaces == split_chain(first.cert)[0]
        nursery.cancel_scope.cancel()


async def test_the_next_leader_goes_on_where_the_last_one_was_with_failures_and_windows(
    autojump_clock: trio.abc.Clock,
) -> None:
    asked: list[str] = []

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        asked.append(step)

    async with open_renewing(ari=True, ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        stored = await renewing.world.certificates.request(ALICE, wish())
        asked.clear()
        known = RenewalState(
            leaf=stored.certificate.fingerprint,
            ari=Suggestion(start=NOW + timedelta(days=50), end=NOW + timedelta(days=51)),
            ask_at=NOW + timedelta(hours=5),
            failures=2,
            retry_at=NOW + timedelta(days=55),
        )
        renewing.world.state.publish_renewal(ID.key, known)
        nursery.start_soon(renewing.run)
        await trio.sleep(4 * HOUR)
        assert asked == []
        renewing.ca.said = IssuerFacts()  # it does not answer any more, and what it has said still counts
        await trio.sleep(54 * DAY)
        assert kept(renewing).renewal_count == 0
        await trio.sleep(DAY)
        assert kept(renewing).renewal_count == 1
        nursery.cancel_scope.cancel()


def stand_in(renewing: Renewing) -> None:
    """Let `bare` stand in for `test`."""
    settings = renewing.world.issuing.settings
    issuers = {**settings.issuers, "test": attrs.evolve(settings.issuers["test"], fallback=("bare",))}
    settings.config = attrs.evolve(settings.config, issuers=issuers)


async def test_what_is_urgent_is_tried_without_room_where_another_ca_stands_in(autojump_clock: trio.abc.Clock) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        stand_in(renewing)
        await renewing.world.certificates.request(ALICE, wish())
        renewing.room.full = (HOUR, "a limit")
        nursery.start_soon(renewing.run)
        await trio.sleep(80 * DAY)
        assert kept(renewing).renewal_count == 0
        await trio.sleep(2 * DAY)
        assert kept(renewing).renewal_count == 1
        nursery.cancel_scope.cancel()


async def test_a_wait_of_days_for_room_ends_when_the_renewal_is_urgent(autojump_clock: trio.abc.Clock) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        stand_in(renewing)
        renewing.ca.lifetime = timedelta(hours=160)
        stored = await renewing.world.certificates.request(ALICE, wish())
        renewing.room.full = (7 * DAY, "a limit")
        nursery.start_soon(renewing.run)
        await trio.sleep(143 * HOUR)
        assert kept(renewing) == stored.certificate
        assert renewing.world.state.renewal(stored.certificate).waits_for == "a limit"
        await trio.sleep(2 * HOUR)
        assert kept(renewing).renewal_count == 1
        nursery.cancel_scope.cancel()


async def test_what_is_urgent_and_nobody_does_is_tried_again_soon(autojump_clock: trio.abc.Clock) -> None:
    tries: list[float] = []

    async def before(step: str) -> None:
        await trio.lowlevel.checkpoint()
        if step == "order" and renewing.ca.placed:  # which holds the first one
            tries.append(trio.current_time())
            if len(tries) < 4:
                raise BudgetSpent("no room", retry_after=7 * DAY)

    async with open_renewing(ca=MemoryCa(before)) as renewing, trio.open_nursery() as nursery:
        stand_in(renewing)
        renewing.ca.lifetime = timedelta(hours=160)
        await renewing.world.certificates.request(ALICE, wish())
        nursery.start_soon(renewing.run)
        await trio.sleep(159 * HOUR)
        assert len(tries) == 4
        assert kept(renewing).renewal_count == 1
        nursery.cancel_scope.cancel()


async def test_a_record_that_nobody_can_order_is_a_failure_of_its_own_and_of_no_other(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with open_renewing() as renewing, trio.open_nursery() as nursery:
        stored = await renewing.world.certificates.request(ALICE, wish())
        odd = attrs.evolve(stored.certificate, domain="not a name")
        renewing.world.state.publish(odd)
        nursery.start_soon(renewing.run)
        await trio.sleep(72 * DAY)
        assert kept(renewing).renewal_count == 1
        assert renewing.world.state.renewal(odd).cause == "configuration"
        assert renewing.failed_rounds == 0
        nursery.cancel_scope.cancel()
