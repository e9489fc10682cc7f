"""Records that go with the process that wrote them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
import trio

from acme_manager.config.model import Plugin
from acme_manager.dns.held import Holder
from acme_manager.dns.plugin import PluginProvider
from acme_manager.errors import DnsFailed
from tests.integration.dns.shipped import runner

BEGIN = """
import json, os, socket, sys
request = json.loads(sys.stdin.readline())
path = os.environ["ZONE_FILE"]
def hold():
    open(path, "w").write(request["value"])
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(request["socket"])
    connection.recv(1)
    os.remove(path)
"""
NAME = "_acme-challenge.example.test"


async def no_zone(_name: str) -> str:
    return "example.test"


def provider(folder: Path, body: str, timeout: float = 20.0) -> PluginProvider:
    path = folder / "plugin.py"
    path.write_text(BEGIN + body)
    path.chmod(0o755)
    plugin = Plugin(
        name="holding",
        path=path,
        checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
        timeout=timeout,
        env={"ZONE_FILE": str(folder / "zone")},
    )
    return PluginProvider(
        plugin=plugin, runner=runner(), zone_of=no_zone, interpreter=(sys.executable, "-I"), holder=Holder()
    )


async def test_a_record_is_there_until_it_is_removed(tmp_path: Path) -> None:
    holding = provider(tmp_path, "hold()")
    async with holding.lasting():
        await holding.put_txt(NAME, "one")
        await holding.put_txt(NAME, "one")
        assert (tmp_path / "zone").read_text() == "one"
        await holding.remove_txt(NAME, "one")
        assert not (tmp_path / "zone").exists()


async def test_an_order_that_is_given_up_still_has_its_record_removed(tmp_path: Path) -> None:
    holding = provider(tmp_path, "hold()")
    with trio.CancelScope() as order:
        async with holding.lasting():
            await holding.put_txt(NAME, "one")
            order.cancel()
            try:
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(10, shield=True):
                    await holding.remove_txt(NAME, "one")
    assert not (tmp_path / "zone").exists()


async def test_what_nobody_removed_ends_with_the_block(tmp_path: Path) -> None:
    holding = provider(tmp_path, "hold()\nimport time\ntime.sleep(3600)")
    with trio.fail_after(15):
        async with holding.lasting():
            await holding.put_txt(NAME, "one")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('print(\'{"error": "no such zone", "cause": "zone"}\')\nsys.exit(1)', "no such zone"),
        ("sys.exit(0)", "ended without holding the record"),
        ("import time\ntime.sleep(3600)", "was not written within 0.5 s"),
    ],
)
async def test_a_record_that_was_not_written_is_an_error(tmp_path: Path, body: str, error: str) -> None:
    holding = provider(tmp_path, body, timeout=0.5 if "sleep" in body else 20.0)
    async with holding.lasting():
        with pytest.raises(DnsFailed, match=error):
            await holding.put_txt(NAME, "one")


async def test_a_process_that_dies_while_it_holds_is_reported_when_the_record_is_to_go(tmp_path: Path) -> None:
    holding = provider(tmp_path, "os.remove = lambda _: os.kill(os.getpid(), 9)\nhold()")
    async with holding.lasting():
        await holding.put_txt(NAME, "one")
        with pytest.raises(DnsFailed, match="failed to hold the record"):
            await holding.remove_txt(NAME, "one")
