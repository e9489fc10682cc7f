from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from acme_manager.config.model import Common, Plugin
from acme_manager.domain.causes import Cure, classify
from acme_manager.errors import IssuerUnavailable, OrderRefused
from acme_manager.storage.memory import MemoryStorage
from tests.fakes.ca import MemoryCa
from tests.fakes.plugins import plugin
from tests.unit.services.world import ALICE, FixedClock, World, open_world, wish


class Notes:
    """Hooks that note what they are told, and that they were asked before any order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "notes"
        self.file.touch()

    def hook(self, name: str, body: str = "") -> Plugin:
        script = f'echo "{name} $# $*" >>"$NOTES"\n{body}'
        return plugin(self.folder, script, name, type="hook", env={"NOTES": str(self.file), "KEY": "planted"})

    @property
    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


@asynccontextmanager
async def world_with(*plugins: Plugin, **options: object) -> AsyncIterator[World]:
    async with open_world(common=Common(plugins=plugins), **options) as world:  # type: ignore[arg-type]
        yield world


async def test_hooks_are_asked_in_order_before_each_order_with_names_issuer_and_challenge(notes: Notes) -> None:
    dns = plugin(notes.folder, "exit 1", "dns")
    async with world_with(notes.hook("first"), dns, notes.hook("second")) as world:
        first = await world.certificates.request(ALICE, wish(san="*.b.example.com", dns_challenge="any"))
        told = "3 example.com,*.b.example.com test dns"
        assert notes.lines == [f"first {told}", f"second {told}"]
        await world.certificates.renew(first.certificate.id, "it is time")
        await world.certificates.update(ALICE, wish(san="c.example.com", http_challenge="kvring"))
        assert notes.lines[2::2] == [f"first {told}", "first 3 example.com,c.example.com test http"]
        asked = len(notes.lines)
        await world.certificates.update(ALICE, wish(san="c.example.com", http_challenge="kvring", labels="a=b"))
        await world.certificates.delete(first.certificate.id, revoke=True)
        assert len(notes.lines) == asked


async def test_a_hook_that_refuses_ends_it_before_anything_is_spent_or_written(notes: Notes) -> None:
    refusing = notes.hook("no", 'echo "out planted"; echo "planted: not on a friday" >&2; exit 4')
    async with world_with(refusing, notes.hook("later")) as world:
        with capture_logs() as logs, pytest.raises(OrderRefused) as caught:
            await world.certificates.request(ALICE, wish())
        assert str(caught.value) == (
            "not ordered: plugin 'no' refuses it with exit code 4; the server's log has what it wrote"
        )
        assert notes.lines == ["no 3 example.com test http"]
        assert world.ca.requests == []
        assert world.budgets.ledger("test") == {}
        assert await world.storage.list("") == []
        (line,) = [line for line in logs if line["event"] == "plugin ended"]
        assert (line["log_level"], line["stderr"]) == ("warning", "****: not on a friday")
        assert "planted" not in str(logs)


async def test_a_hook_that_can_t_be_asked_refuses_too(notes: Notes) -> None:
    hook = notes.hook("changed")
    hook.path.write_text("#!/bin/sh\n# another\n")
    async with world_with(hook) as world:
        with pytest.raises(OrderRefused, match=r"plugin 'changed' was not run: .* is not the file that was checked"):
            await world.certificates.request(ALICE, wish())
        assert world.ca.requests == []


async def test_an_order_that_is_taken_up_again_is_not_asked_about_again(notes: Notes) -> None:
    storage, common = MemoryStorage(FixedClock()), Common(plugins=(notes.hook("first"),))

    async def away(step: str) -> None:
        if step == "validate":
            raise IssuerUnavailable("the CA is away")

    async with open_world(storage, before=away, common=common) as world:
        with pytest.raises(IssuerUnavailable):
            await world.certificates.request(ALICE, wish())
        assert len(notes.lines) == 1
    async with open_world(storage, common=common) as world:
        await world.certificates.request(ALICE, wish())
        assert len(notes.lines) == 1


async def test_a_stand_in_is_asked_about_by_its_own_name(notes: Notes) -> None:
    async def away(step: str) -> None:
        raise IssuerUnavailable("the CA answers 503")

    async with world_with(notes.hook("first"), ca=MemoryCa(away), fallback={"second": MemoryCa()}) as world:
        await world.certificates.request(ALICE, wish())
    assert [line.split()[3] for line in notes.lines] == ["test", "second"]


def test_only_a_person_can_cure_a_refusal() -> None:
    cause = classify(OrderRefused("not ordered: plugin 'no' refuses it with exit code 4"))
    assert (cause.name, cause.cure, cause.counted) == ("hook", Cure.PERSON, True)
