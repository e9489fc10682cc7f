from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import structlog.testing
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from acme_manager.config.model import Common, Config, IssuerConfig, VaultConfig
from acme_manager.errors import Complaint, ConfigInvalid
from acme_manager.services.settings import Settings
from acme_manager.structure import Bell
from acme_manager.workers.config_watcher import ConfigWatcher
from tests.unit.services.world import audit_on

CA = IssuerConfig(name="le", ca_dir_url="https://ca.example/dir", hmac="a secret")
VAULT = VaultConfig(url="https://vault", role_id="r", secret_id="s", secret_engine="kv", certificate_prefix="c")
FIRST = Config(common=Common(), issuers={"le": CA}, vault=VAULT, digest="00000000000a" + 52 * "f")
SECOND = attrs.evolve(
    FIRST,
    common=Common(cert_timeout=60.0),
    issuers={"le": attrs.evolve(CA, hmac="another secret")},
    digest="00000000000b" + 52 * "f",
)
BROKEN = ConfigInvalid("config.yml", [Complaint("issuer", "is empty"), Complaint("common", "is wrong")])


@attrs.define
class Reluctant:
    """A part that is not ready for a change as long as `trouble` is set."""

    trouble: Exception | None = None
    patience: float = 0.0

    @asynccontextmanager
    async def prepared(self, _old: Config, _new: Config) -> AsyncIterator[Callable[[], None]]:
        await trio.sleep(self.patience)
        if self.trouble is not None:
            raise self.trouble
        yield lambda: None


class Stage:
    """A watcher of files that say what `files` says, whichever of the two looks of a round it is."""

    def __init__(self, *configs: Config | ConfigInvalid) -> None:
        self.files = list(configs)
        self.settings, self.part = Settings(FIRST), Reluctant()
        self.registry, self.asked = CollectorRegistry(), Bell()
        self.watcher = ConfigWatcher(self.settings, self._read, [self.part], self.registry, self.asked, audit_on())

    def _read(self) -> Config:
        found = self.files.pop(0) if len(self.files) > 1 else self.files[0]
        if isinstance(found, ConfigInvalid):
            raise found
        return found

    async def look(self, config: Config | ConfigInvalid | None = None) -> list[str]:
        """One round; what it logged."""
        if config is not None:
            self.files = [config]
        with structlog.testing.capture_logs() as logged:
            await self.watcher.look()
        self.audited = [line for line in logged if line["event"] == "audit"]
        return [
            " ".join(str(line[key]) for key in ("event", "where", "err", "changed") if key in line)
            for line in logged
            if line["event"] != "audit"
        ]

    def shown(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"acme_manager_config_{name}")

    def figures(self) -> tuple[float | None, ...]:
        return self.shown("reload"), self.shown("error"), self.shown("restart_required")


async def test_a_change_is_applied_and_told_without_its_secrets(autojump_clock: trio.testing.MockClock) -> None:
    stage = Stage(FIRST)
    started = stage.shown("last_reload_timestamp_seconds") or 0
    assert started > 0
    assert await stage.look() == []
    assert (stage.figures(), stage.shown("hash")) == ((0, 0, 0), 0xA)
    assert stage.shown("last_reload_timestamp_seconds") == started
    told = "configuration applied common.cert_timeout: 240 -> 60; issuer.le.hmac: changed"
    assert await stage.look(SECOND) == [told]
    (audited,) = stage.audited
    assert (audited["action"], audited["actor"]) == ("config.reload", "system")
    assert audited["error"] == "common.cert_timeout, issuer.le.hmac"
    assert stage.settings.config is SECOND
    assert (stage.figures(), stage.shown("hash")) == ((1, 0, 0), 0xB)
    assert (stage.shown("last_reload_timestamp_seconds") or 0) > started
    assert await stage.look(SECOND) == []
    assert stage.figures() == (1, 0, 0)


async def test_files_that_can_not_be_read_change_nothing_and_are_complained_of_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage(FIRST)
    told = [
        "configuration not applied, the old one stays issuer is empty",
        "configuration not applied, the old one stays common is wrong",
    ]
    assert await stage.look(BROKEN) == told
    assert await stage.look(BROKEN) == []
    assert (stage.settings.config, stage.figures()) == (FIRST, (0, 1, 0))
    stage.asked.ring()
    assert await stage.look(BROKEN) == told
    assert await stage.look(FIRST) == ["configuration in use is what the files say"]
    assert stage.figures() == (0, 0, 0)


@pytest.mark.parametrize("patience", [0.0, 61.0])
async def test_a_part_that_is_not_ready_keeps_all_others_back_until_it_is(
    patience: float, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage(FIRST)
    stage.part.trouble = ConfigInvalid("config", [Complaint("storage.vault", "the new login fails")])
    stage.part.patience = patience
    why = (
        "not all parts of this node were ready for it within 60 s" if patience else "storage.vault the new login fails"
    )
    (line,) = await stage.look(SECOND)
    assert line.split() == f"configuration not applied, the old one stays {why}".split()
    assert (stage.settings.config, stage.figures()) == (FIRST, (0, 1, 0))
    stage.part.trouble, stage.part.patience = None, 0.0
    (line,) = await stage.look()
    assert line.startswith("configuration applied")
    assert stage.figures() == (1, 0, 0)


async def test_what_needs_a_restart_holds_the_whole_change_back(autojump_clock: trio.testing.MockClock) -> None:
    stage = Stage(FIRST)
    moved = attrs.evolve(SECOND, vault=attrs.evolve(VAULT, url="https://other", secret_id="t"))
    (line,) = await stage.look(moved)
    assert line.endswith("before storage.vault.url: https://vault -> https://other")
    assert await stage.look() == []
    assert (stage.settings.config, stage.figures(), stage.shown("hash")) == (FIRST, (0, 0, 1), 0xA)
    await stage.look(BROKEN)
    assert stage.figures() == (0, 1, 0)
    await stage.look(FIRST)
    assert stage.figures() == (0, 0, 0)


async def test_a_file_that_is_being_written_is_left_alone_until_the_next_look(
    autojump_clock: trio.testing.MockClock,
) -> None:
    half = attrs.evolve(SECOND, issuers={})
    stage = Stage(half, SECOND)
    assert await stage.look() == ["configuration is still being written, it is read again at the next look"]
    assert (stage.settings.config, stage.figures()) == (FIRST, (0, 0, 0))
    stage.files = [BROKEN, SECOND]
    await stage.look()
    assert stage.figures() == (0, 0, 0)
    await stage.look(SECOND)
    assert stage.settings.config is SECOND


async def test_another_comment_in_the_file_is_no_change_but_another_file(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage(attrs.evolve(FIRST, digest="00000000000c" + 52 * "f"))
    assert await stage.look() == []
    assert (stage.figures(), stage.shown("hash")) == ((0, 0, 0), 0xC)


async def test_a_defect_in_a_part_is_shown_as_an_error_of_the_configuration(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage(SECOND)
    stage.part.trouble = RuntimeError("boom")
    with pytest.raises(RuntimeError):
        await stage.look()
    assert (stage.settings.config, stage.figures()) == (FIRST, (0, 1, 0))


async def test_whoever_asks_gets_an_answer() -> None:
    stage = Stage(FIRST)
    stage.asked.ring()
    assert await stage.look() == ["configuration in use is what the files say"]
    assert await stage.look() == []


async def test_pages_are_told_what_is_wrong_with_the_files_until_it_is_mended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage(FIRST)
    settings = stage.settings
    await stage.look(BROKEN)
    assert (settings.refused, settings.postponed) == ("issuer: is empty; common: is wrong", "")
    await stage.look(attrs.evolve(FIRST, vault=attrs.evolve(VAULT, url="https://other")))
    assert (settings.refused, settings.postponed) == ("", "storage.vault.url: https://vault -> https://other")
    await stage.look(FIRST)
    assert (settings.refused, settings.postponed) == ("", "")
