"""When CAs want certificates to be renewed (RFC 9773): each is asked when it wishes, by the leader only."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import structlog
import trio

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import milliseconds
from acme_manager.domain.keys import split_chain
from acme_manager.domain.planning import life_of
from acme_manager.domain.renewal import spread
from acme_manager.domain.renewal_state import RenewalState, Suggestion
from acme_manager.errors import AcmeManagerError
from acme_manager.ports import Clock, RenewalInfo
from acme_manager.services.issuers import Issuers
from acme_manager.services.state import State
from acme_manager.services.store import CertificateStore

_log = structlog.get_logger(__name__)

_AT_ONCE = 4  # questions to one CA
_PATIENCE = 60.0  # seconds for one
_NEW = timedelta(minutes=10)  # a certificate younger than that is asked about at once
_RARELY = timedelta(hours=6)  # the longest pause after errors, and how often to see whether a CA has begun to answer
_FIRST_PAUSE = timedelta(minutes=1)


class Asking:
    """Asks for windows and keeps the answers in the state. A CA that does not answer such questions is left alone."""

    def __init__(self, state: State, store: CertificateStore, issuers: Issuers, clock: Clock) -> None:
        self._state, self._store, self._issuers, self._clock = state, store, issuers, clock
        self._began = clock.now()
        self._waiting: dict[str, deque[str]] = {}
        self._asked: set[str] = set()  # waiting, or being asked about
        self._busy: dict[str, int] = {}
        self._held: dict[str, datetime] = {}  # certificates that could not be asked about, likewise
        self._silent: dict[str, datetime] = {}  # CAs without an answer, and until when they are left alone
        self._heard: dict[str, datetime] = {}  # CAs that were silent, and when they had begun to answer

    def begin(self) -> None:
        """This node has begun to lead."""
        self._began = self._clock.now()
        self._waiting.clear()
        self._asked.clear()
        self._busy.clear()
        self._held.clear()

    def when(self, certificate: Certificate) -> datetime | None:
        """When to ask about a certificate; None: never, or it is being asked about."""
        key, issuer, life = certificate.id.key, _issuer(certificate), life_of(certificate)
        if key in self._asked or issuer in self._silent or life is None:
            return None
        state, began = self._state.renewal(certificate), max(self._began, self._heard.get(issuer, self._began))
        if state.ask_at is not None:
            at = state.ask_at
        elif certificate.issued_at > milliseconds(began - _NEW):
            at = began
        else:  # of many that nobody has asked about yet, all at once would be too many
            at = began + _RARELY * spread(f"ask {key}")
        at = max(at, self._held.get(key, at))
        return at if at < life.end else None

    def add(self, certificate: Certificate) -> None:
        """Ask about a certificate soon."""
        key = certificate.id.key
        if key not in self._asked:
            self._asked.add(key)
            self._waiting.setdefault(_issuer(certificate), deque()).append(key)

    def pending(self, key: str) -> bool:
        """Whether a certificate waits for its turn, or is being asked about."""
        return key in self._asked

    def start(self, nursery: trio.Nursery, finished: Callable[[str], None]) -> None:
        """Go on with what waits, as far as each CA's share of questions at once goes; `finished` is told each key.

        It is also told the keys that have something to ask because their CA has begun to answer.
        """
        now = self._clock.now()
        for issuer, until in tuple(self._silent.items()):
            if until <= now:
                self._silent[issuer] = now + _RARELY
                nursery.start_soon(self._look_again, issuer, finished)
        for issuer, keys in tuple(self._waiting.items()):
            while keys and self._busy.get(issuer, 0) < _AT_ONCE:
                self._busy[issuer] = self._busy.get(issuer, 0) + 1
                nursery.start_soon(self._work, nursery, finished, issuer, keys.popleft())
            if not keys:
                del self._waiting[issuer]

    async def _work(self, nursery: trio.Nursery, finished: Callable[[str], None], issuer: str, key: str) -> None:
        try:
            await self._ask(issuer, key)
        except AcmeManagerError as error:  # this node leads no more
            _log.warning("renewal window not kept", key=key, error=str(error))
            self._held[key] = self._clock.now() + _RARELY
        except Exception:  # noqa: BLE001 a bug, or a record that nobody foresaw; it must not stop the renewals
            _log.exception("renewal window not learnt", key=key)
            self._held[key] = self._clock.now() + _RARELY
        finally:
            self._asked.discard(key)
            self._busy[issuer] -= 1
        finished(key)
        self.start(nursery, finished)

    async def _look_again(self, issuer: str, finished: Callable[[str], None]) -> None:
        """Has that CA begun to answer?"""
        try:
            with trio.fail_after(_PATIENCE):
                facts = await self._issuers.get(issuer).facts()
        except (AcmeManagerError, trio.TooSlowError) as error:
            _log.debug("not known whether a CA has renewal windows", issuer=issuer, error=str(error))
            return
        except Exception:  # noqa: BLE001 a bug; it must not stop the renewals
            _log.exception("not known whether a CA has renewal windows", issuer=issuer)
            return
        if facts.renewal_info:
            del self._silent[issuer]
            self._heard[issuer] = self._clock.now()
            for key, certificate in self._state.certificates.items():
                if _issuer(certificate) == issuer:
                    finished(key)

    async def _ask(self, issuer: str, key: str) -> None:
        certificate = self._state.certificates.get(key)
        if certificate is None or issuer in self._silent:
            return
        leaf = certificate.fingerprint
        try:
            with trio.fail_after(_PATIENCE):
                info = await self._answer(issuer, certificate)
        except (AcmeManagerError, trio.TooSlowError) as error:
            known = self._state.renewal(certificate)
            pause = min(_FIRST_PAUSE * 2 ** min(known.ask_failures, 20), _RARELY) * (1 + 0.1 * spread(key))
            said = str(error) or f"no answer within {_PATIENCE:g} s"
            level = logging.DEBUG if known.ask_failures else logging.INFO
            _log.log(
                level, "renewal window not learnt", key=key, issuer=issuer, error=said, again_in=pause.total_seconds()
            )
            changes = {"ask_at": self._clock.now() + pause, "ask_failures": known.ask_failures + 1}
            self._keep(key, leaf, changes)
            return
        if info is not None:
            self._learn(key, leaf, info)
        elif issuer not in self._silent:
            self._keep(key, leaf, {"ask_at": self._clock.now() + 4 * _RARELY * (1 + 0.1 * spread(key)), "ari": None})

    async def _answer(self, issuer: str, certificate: Certificate) -> RenewalInfo | None:
        ca = self._issuers.get(issuer)
        if not (await ca.facts()).renewal_info:
            self._silent[issuer] = self._clock.now() + _RARELY
            return None
        stored, _ = await self._store.read_version(certificate.id)
        if stored is None or stored.certificate.fingerprint != certificate.fingerprint:
            return None
        return await ca.renewal_info(split_chain(stored.cert)[0])

    def _learn(self, key: str, leaf: str, info: RenewalInfo) -> None:
        ari = Suggestion(start=info.start, end=info.end, explanation=info.explanation)
        known = self._state.renewals.get(key)
        before = known.of(leaf).ari if known else None
        if before is not None and before != ari:
            _log.info(
                "renewal window moved",
                key=key,
                start=ari.start.isoformat(),
                end=ari.end.isoformat(),
                explanation=ari.explanation,
            )
        wait = timedelta(seconds=info.ask_again) * (1 + 0.1 * spread(f"{key} {leaf}"))
        self._keep(key, leaf, {"ari": ari, "ask_at": self._clock.now() + wait, "ask_failures": 0})

    def _keep(self, key: str, leaf: str, changes: dict[str, object]) -> None:
        certificate = self._state.certificates.get(key)
        if certificate is None or certificate.fingerprint != leaf:
            return  # it was replaced meanwhile
        known: RenewalState = self._state.renewal(certificate)
        self._state.publish_renewal(key, attrs.evolve(known, **changes))  # type: ignore[arg-type]  # by name


def _issuer(certificate: Certificate) -> str:
    return certificate.issued_by or certificate.issuer
