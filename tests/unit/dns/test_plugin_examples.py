"""The examples of docs/plugin-protocol.md do what the page says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from acme_manager.config.model import Plugin
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.protocol import read_description
from acme_manager.errors import DnsFailed
from acme_manager.structure import background
from tests.fakes.dns import MemoryLookup
from tests.fakes.plugins import plugin, plugin_runner

PAGE = Path(__file__).parents[3].joinpath("docs/plugin-protocol.md").read_text()
PYTHON, SHELL, HOOK = (match["body"] for match in re.finditer(r"```(?:python|sh)\n(?P<body>#!.*?)```", PAGE, re.DOTALL))
NAME = "_acme-challenge.example.com"


def example(folder: Path, text: str, **env: str) -> Plugin:
    first, _, body = text.partition("\n")
    return plugin(folder, body, first=first, env=env)


def provider(plugin: Plugin) -> PluginProvider:
    return PluginProvider(plugin=plugin, runner=plugin_runner(), zone_of=MemoryLookup({}, ("example.com",)).zone_of)


def test_the_examples_are_no_longer_than_they_have_to_be() -> None:
    assert max(text.count("\n") for text in (PYTHON, SHELL, HOOK)) <= 22


@pytest.mark.parametrize("text", [PYTHON, SHELL])
async def test_an_example_says_what_it_is(tmp_path: Path, text: str) -> None:
    done = await plugin_runner().run(example(tmp_path, text, API_TOKEN="t"), "describe", ["describe"])
    found = read_description(done.stdout)
    assert found is not None
    assert len(found.required) == 1
    done = await plugin_runner().run(example(tmp_path, text, API_TOKEN="t"), "nonsense", ["nonsense"])
    assert done.returncode > 0
    assert b"usage:" in done.stderr


async def test_the_example_in_python_keeps_other_values_and_may_be_repeated(tmp_path: Path) -> None:
    zone = tmp_path / "zone"
    zone.write_text("www 60 IN A 192.0.2.1\n")
    writer = provider(example(tmp_path, PYTHON, ZONE_FILE=str(zone)))
    async with trio.open_nursery() as nursery:
        for value in ("one", "two", "two"):
            nursery.start_soon(writer.put_txt, NAME, value)
    records = [f'{NAME}. 60 IN TXT "{value}"' for value in ("one", "two")]
    assert sorted(zone.read_text().splitlines()) == sorted([*records, "www 60 IN A 192.0.2.1"])
    for _ in range(2):
        await writer.remove_txt(NAME, "one")
    assert sorted(zone.read_text().splitlines()) == [records[1], "www 60 IN A 192.0.2.1"]
    zone.unlink()
    with pytest.raises(DnsFailed, match="the zone file can't be written: No such file or directory") as caught:
        await writer.put_txt(NAME, "one")
    assert caught.value.cause == "unavailable"


@asynccontextmanager
async def api(status: int, asked: list[str]) -> AsyncIterator[str]:
    """Something that answers each request with a status."""

    async def answer(stream: trio.SocketStream) -> None:
        asked.append((await stream.receive_some(65536)).decode())
        await stream.send_all(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await stream.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with background(partial(trio.serve_listeners, answer, [listener])):
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"


async def test_the_example_in_shell_calls_the_api_and_tells_apart_what_it_answers(tmp_path: Path) -> None:
    asked: list[str] = []
    async with api(200, asked) as url:
        writer = provider(example(tmp_path, SHELL, API_TOKEN="planted", API_URL=url))
        await writer.put_txt(NAME, "one")
        await writer.remove_txt(NAME, "one")
    assert [text.split(" HTTP")[0] for text in asked] == [f"PUT /txt/{NAME}.", f"DELETE /txt/{NAME}."]
    assert all("Authorization: Bearer planted" in text and text.endswith("value=one") for text in asked)
    for status, words in ((403, "does not accept the token"), (500, "answered with status 500")):
        async with api(status, asked) as url:
            with pytest.raises(DnsFailed, match=words):
                await provider(example(tmp_path, SHELL, API_TOKEN="planted", API_URL=url)).put_txt(NAME, "one")
    with pytest.raises(DnsFailed, match="answered with status 000"):
        await provider(example(tmp_path, SHELL, API_TOKEN="t", API_URL=url)).put_txt(NAME, "one")


@pytest.mark.parametrize(
    ("names", "issuer", "passes"),
    [
        ("www.example.com,example.com", "le", True),
        ("*.example.com", "le", True),
        ("*.example.com", "test", False),
        ("www.example.com,evil.test", "le", False),
        ("badexample.com", "le", False),
    ],
)
async def test_the_example_of_a_hook_refuses_what_it_should(
    tmp_path: Path, names: str, issuer: str, passes: bool
) -> None:
    done = await plugin_runner().run(example(tmp_path, HOOK), "hook", [names, issuer, "dns"])
    assert (done.returncode == 0) is passes


async def test_a_script_for_lego_is_a_plugin_as_it_stands(tmp_path: Path) -> None:
    records = tmp_path / "records"
    script = f"""
case "$1" in
    present) echo "$2 $3" >>{records} ;;
    cleanup) sed -i "/^$2 $3$/d" {records} ;;
    *) exit 1 ;;
esac"""
    writer = provider(plugin(tmp_path, script))
    await writer.put_txt(NAME, "one")
    assert records.read_text() == f"{NAME}. one\n"
    await writer.remove_txt(NAME, "one")
    assert records.read_text() == ""
