"""All certificates as the pages of the UI want them: searched, sorted and counted, each with how it is doing.

Every node keeps a row for each in step with its copy of the state. A row is made anew when something of it changes, or
when the time has come at which its condition becomes another one; never because somebody looks at it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from operator import attrgetter

import attrs
import structlog
import trio

from acme_manager.config.model import Config
from acme_manager.domain.certificate import Certificate, CertificateId
from acme_manager.domain.condition import CODES, SHOWN_FOR, Code, Facts
from acme_manager.domain.judging import condition, failed_request
from acme_manager.domain.planning import RenewalPlan, life_of
from acme_manager.domain.timeline import timeline
from acme_manager.errors import CertificateNotFound
from acme_manager.ports import Clock
from acme_manager.services.agenda import Agenda
from acme_manager.services.catalogue_figures import calendar_of, count_facets, take_inventory
from acme_manager.services.catalogue_row import BATCH, COLUMNS, NEVER, Row, in_order, make_row
from acme_manager.services.catalogue_views import CryptoInventory, Entry, Facets, Overview, Page, Query, Work
from acme_manager.services.latest_attempts import LatestAttempts
from acme_manager.services.plans import Plans
from acme_manager.services.reports import Reports
from acme_manager.services.settings import Settings
from acme_manager.services.state import State
from acme_manager.structure import Bell

_log = structlog.get_logger(__name__)

_SLICE = 25  # rows made anew without letting others run
_IDLE = 60.0  # seconds: how often time is looked at while nothing changes and nobody asks
_MOST_OWNERS = 1000  # whose facets are kept
_KEY, _AFTER_SLASH = attrgetter("key"), chr(ord("/") + 1)


class Catalogue:
    """`following` has to be entered before anything is asked. An owner of None is whoever may see everything.

    What is asked raises StorageUnavailable as long as this node does not know all certificates.
    """

    def __init__(
        self,
        *,
        state: State,
        plans: Plans,
        attempts: LatestAttempts,
        reports: Reports,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._state, self._plans, self._attempts, self._reports = state, plans, attempts, reports
        self._settings, self._clock = settings, clock
        self._config: Config | None = None  # by which all rows were made
        self._rows: dict[str, Row] = {}
        self._sorted: list[Row] = []  # by key
        self._failed: set[str] = set()  # keys of failed requests for what there is not
        self._touched: dict[str, None] = {}
        self._agenda = Agenda()  # when conditions change by themselves
        self._bell = Bell()
        self._version = 0  # of what facets are made of
        self._facets: dict[str | None, tuple[int, Facets]] = {}

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep in step for the length of a block."""
        with ExitStack() as stack:
            for watched in (self._state.certificates, self._state.renewals, self._attempts.open, self._reports):
                stack.enter_context(watched.watched_by(self._touch))
            stack.enter_context(self._state.operations.watched_by(lambda _id: self._touch_all()))
            stack.enter_context(self._attempts.following())
            self._touched |= dict.fromkeys(key for key, _ in self._state.certificates.items())
            yield

    async def run(self) -> None:
        """Keep up while nobody asks, so that whoever does need not wait. Never returns."""
        await self._state.loaded.wait()
        while True:
            await self._keep_up()
            with trio.move_on_after(_IDLE):
                await self._bell.wait()

    async def rows(self, owner: str | None, query: Query) -> Page:
        """A page of the table."""
        now = await self._keep_up()
        visible, found, counts = self._visible(owner), list[Row](), Counter[Code]()
        reported = self._reports.certificates()
        for start in range(0, len(visible), BATCH):
            matching = query.matching(visible[start : start + BATCH], now.timestamp(), reported)
            counts.update([row.code for row in matching])
            found += [row for row in matching if row.code in query.conditions] if query.conditions else matching
            await trio.lowlevel.checkpoint()
        page = await in_order(
            found, COLUMNS[query.sort], descending=query.descending, offset=query.offset, limit=query.limit
        )
        return Page(
            rows=await self._entries(page, now),
            total=len(found),
            offset=query.offset,
            limit=query.limit,
            counts=_every_code(counts),
            facets=await self._find_facets(owner, visible),
        )

    async def entry(self, id: CertificateId) -> Entry:
        """One certificate. Raises CertificateNotFound."""
        now = await self._keep_up()
        row = self._rows.get(id.key)
        if row is None:
            raise CertificateNotFound(id.key)
        return self._entry(row, now)

    async def overview(self, owner: str | None, *, most: int = 50, days: int = 30) -> Overview:
        """The home page, with so many certificates in each of its lists."""
        now = await self._keep_up()
        visible, counts, wrong, following = self._visible(owner), Counter[Code](), list[Row](), list[Row]()
        latest = NEVER  # of those that are due next, once there are enough
        for start in range(0, len(visible), BATCH):
            batch = visible[start : start + BATCH]
            counts.update([row.code for row in batch])
            wrong += [row for row in batch if row.wrong]
            following += [row for row in batch if row.due < latest and not row.wrong]
            following = sorted(following, key=COLUMNS["due"])[:most]
            if len(following) == most:
                latest = following[-1].due
            await trio.lowlevel.checkpoint()
        urgent = await in_order(wrong, COLUMNS["condition"], limit=most)
        return Overview(
            at=now,
            total=len(visible),
            counts=_every_code(counts),
            wrong=await self._entries(urgent, now),
            wrong_total=len(wrong),
            requests=self._failed_requests(owner, now, most),
            following=await self._entries(following, now),
            running=self._running(owner, now),
            days=await calendar_of(visible, now, days),
        )

    async def inventory(self, owner: str | None) -> CryptoInventory:
        """What there is."""
        now, hosts = await self._keep_up(), self._reports.hosts()
        number = sum(hosts.values()) if owner is None else hosts.get(owner, 0)
        return await take_inventory(self._visible(owner), now, hosts=number, reported=self._reports.certificates())

    def _touch(self, key: str) -> None:
        self._touched[key] = None
        self._bell.ring()

    def _touch_all(self) -> None:
        self._touched |= dict.fromkeys(self._rows)
        self._bell.ring()

    async def _keep_up(self) -> datetime:
        """Make anew what has to be, and return the instant for which everything is right."""
        self._state.require_loaded()
        if self._settings.config is not self._config:
            self._config = self._settings.config
            self._touch_all()
        now = self._clock.now()
        self._touched |= dict.fromkeys(self._agenda.pop_due(now.timestamp()))
        while self._touched:
            for _ in range(min(_SLICE, len(self._touched))):
                key, _nothing = self._touched.popitem()
                try:
                    self._refresh(key, now)
                except Exception:  # noqa: BLE001 a record that nobody foresaw must not hide the others
                    _log.exception("certificate can't be judged, left out", key=key)
                    self._drop(key)
            await trio.lowlevel.checkpoint()
        return now

    def _refresh(self, key: str, now: datetime) -> None:
        certificate = self._state.certificates.get(key)
        if certificate is None:
            if self._drop(key):
                self._attempts.forget(key)
            self._judge_request(key, now)
            return
        self._failed.discard(key)
        issuer = self._settings.issuers.get(certificate.issuer)
        row = self._rows.get(key)
        if row is None or row.certificate is not certificate or row.issuer is not issuer:
            row = self._place(make_row(key, certificate, issuer))
        facts = self._facts_of(certificate, now)
        said = condition(facts, now)
        row.judge(said, facts.plan)
        self._look_again(key, said.until)

    def _judge_request(self, key: str, now: datetime) -> None:
        """What has failed and left nothing is shown for a while."""
        attempt = self._attempts.open.get(key)
        said = None if attempt is None else failed_request(attempt, now)
        (self._failed.discard if said is None else self._failed.add)(key)
        failed_at = None if attempt is None else attempt.failed_at
        ends = () if failed_at is None else (failed_at, failed_at + SHOWN_FOR)
        self._look_again(key, min((at for at in ends if at > now), default=None))

    def _look_again(self, key: str, at: datetime | None) -> None:
        if at is None:
            self._agenda.remove(key)
        else:
            self._agenda.put(key, at.timestamp())

    def _place(self, row: Row) -> Row:
        at = bisect_left(self._sorted, row.key, key=_KEY)
        if row.key in self._rows:
            self._sorted[at] = row
        else:
            self._sorted.insert(at, row)
        self._rows[row.key] = row
        self._version += 1
        return row

    def _drop(self, key: str) -> bool:
        """Whether there was a row."""
        if self._rows.pop(key, None) is None:
            return False
        del self._sorted[bisect_left(self._sorted, key, key=_KEY)]
        self._version += 1
        return True

    def _facts_of(self, certificate: Certificate, now: datetime) -> Facts:
        key = certificate.id.key
        hosts, attempt = self._reports.standing(certificate), self._attempts.open.get(key)
        return Facts(
            life=life_of(certificate),
            plan=self._plan(certificate, now),
            renewal=self._state.renewal(certificate),
            issuer=certificate.issuer,
            configured=certificate.issuer in self._settings.issuers,
            held=self._state.standing(certificate).held,
            outdated=0 if hosts is None else hosts.outdated,
            not_served=0 if hosts is None else hosts.not_served,
            attempt=attempt,
        )

    def _plan(self, certificate: Certificate, now: datetime) -> RenewalPlan | None:
        try:
            return self._plans.plan(certificate, now)
        except (OverflowError, ValueError):  # times near the ends of the calendar, in a record of another program
            return None

    def _visible(self, owner: str | None) -> list[Row]:
        """Keys begin with their owner's name, so an owner's rows lie side by side."""
        if owner is None:
            return self._sorted[:]
        first = bisect_left(self._sorted, f"{owner}/", key=_KEY)
        return self._sorted[first : bisect_left(self._sorted, f"{owner}{_AFTER_SLASH}", key=_KEY)]

    async def _entries(self, rows: Sequence[Row], now: datetime) -> list[Entry]:
        found = list[Entry]()
        for start in range(0, len(rows), _SLICE):
            found += [self._entry(row, now) for row in rows[start : start + _SLICE]]
            await trio.lowlevel.checkpoint()
        return found

    def _entry(self, row: Row, now: datetime) -> Entry:
        facts = self._facts_of(row.certificate, now)
        return Entry(
            key=row.key,
            certificate=row.certificate,
            condition=condition(facts, now),
            plan=facts.plan,
            timeline=None if facts.life is None else timeline(facts.life, facts.plan, now),
            labels=row.labels,
            key_type=row.key_type,
            challenge=row.challenge,
        )

    async def _find_facets(self, owner: str | None, rows: Sequence[Row]) -> Facets:
        """They change with what there is, and not with how it is doing: most requests find them made."""
        version, known = self._version, self._facets.get(owner)
        if known is None or known[0] != version:
            if len(self._facets) > _MOST_OWNERS:
                self._facets.clear()
            known = self._facets[owner] = version, await count_facets(rows)
        return known[1]

    def _failed_requests(self, owner: str | None, now: datetime, most: int) -> list[Work]:
        found = [work for key in self._failed if (work := self._work(key, owner)) is not None]
        found.sort(key=lambda work: work.attempt.began, reverse=True)
        return [attrs.evolve(work, condition=failed_request(work.attempt, now)) for work in found[:most]]

    def _running(self, owner: str | None, now: datetime) -> list[Work]:
        found = [work for key in self._attempts.running if (work := self._work(key, owner)) is not None]
        return sorted((one for one in found if one.attempt.goes_on(now)), key=lambda work: work.attempt.began)

    def _work(self, key: str, owner: str | None) -> Work | None:
        attempt = self._attempts.open.get(key)
        if attempt is None or (owner is not None and not key.startswith(f"{owner}/")):
            return None
        certificate = self._state.certificates.get(key)
        return Work(id=_id_of(key) if certificate is None else certificate.id, attempt=attempt, certificate=certificate)


def _id_of(key: str) -> CertificateId:
    owner, _, rest = key.partition("/")
    issuer, slash, domain = rest.partition("/")
    return CertificateId(owner, issuer, domain) if slash else CertificateId(owner, name=rest)


def _every_code(counts: Mapping[Code, int]) -> dict[Code, int]:
    return {code: counts.get(code, 0) for code in CODES}
