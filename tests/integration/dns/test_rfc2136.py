from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from acme_manager.dns.rfc2136 import Rfc2136, read_settings
from acme_manager.errors import DnsFailed
from tests.integration.dns.servers import environ
from tests.parts.dns_server import DnsServer, TsigKey
from tests.parts.program import free_port

NAME = "_acme-challenge.www.example.test"


def rfc2136(variables: Mapping[str, str]) -> Rfc2136:
    return Rfc2136(read_settings(variables))


async def test_a_value_is_added_beside_others_and_removed_alone(server: DnsServer) -> None:
    provider = rfc2136(environ(server))
    await provider.put_txt(NAME, "first")
    await provider.put_txt(NAME, "second")
    await provider.put_txt(NAME, "second")
    assert await server.txt(NAME) == {"first", "second"}
    await provider.remove_txt(NAME, "first")
    assert await server.txt(NAME) == {"second"}


async def test_removing_what_is_not_there_is_no_error(server: DnsServer) -> None:
    await rfc2136(environ(server)).remove_txt(NAME, "never written")
    assert await server.txt(NAME) == set()


async def test_a_record_goes_into_the_nearest_of_the_servers_zones(server: DnsServer) -> None:
    name = "_acme-challenge.host.child.example.test"
    await rfc2136(environ(server)).put_txt(name, "value")
    assert await server.txt(name) == {"value"}


@pytest.mark.parametrize("form", ["variables", "files", "key file", "dnsupdate"])
async def test_every_way_to_give_the_key_works(server: DnsServer, tmp_path: Path, form: str) -> None:
    variables = environ(server)
    name = "rfc2136"
    if form == "files":
        for variable, value in environ(server).items():
            (tmp_path / variable).write_text(value + "\n")
        variables = {f"{variable}_FILE": str(tmp_path / variable) for variable in environ(server)}
    elif form == "key file":
        text = f'key "acme" {{\n\talgorithm hmac-sha256;\n\tsecret "{server.key.secret}";\n}};\n'
        (tmp_path / "key").write_text(text)
        variables = {"RFC2136_NAMESERVER": variables["RFC2136_NAMESERVER"], "RFC2136_TSIG_FILE": str(tmp_path / "key")}
    elif form == "dnsupdate":
        name = "dnsupdate"
        variables = {variable.replace("RFC2136", "DNSUPDATE"): value for variable, value in variables.items()}
    await Rfc2136(read_settings(variables, name)).put_txt(NAME, "value")
    assert await server.txt(NAME) == {"value"}


async def test_a_wrong_secret_is_told_apart(server: DnsServer) -> None:
    wrong = TsigKey().secret
    with pytest.raises(DnsFailed, match="another secret or algorithm") as caught:
        await rfc2136({**environ(server), "RFC2136_TSIG_SECRET": wrong}).put_txt(NAME, "value")
    assert wrong not in str(caught.value)
    assert caught.value.server == f"127.0.0.1:{server.port}"
    assert await server.txt(NAME) == set()


async def test_an_unknown_key_is_told_apart(server: DnsServer) -> None:
    with pytest.raises(DnsFailed, match="does not know the TSIG key 'other'"):
        await rfc2136({**environ(server), "RFC2136_TSIG_KEY": "other"}).put_txt(NAME, "value")


async def test_an_update_without_a_key_is_refused_with_the_variables_to_set(server: DnsServer) -> None:
    variables = {"RFC2136_NAMESERVER": environ(server)["RFC2136_NAMESERVER"]}
    with pytest.raises(DnsFailed, match="was not signed, since RFC2136_TSIG_KEY"):
        await rfc2136(variables).put_txt(NAME, "value")


async def test_a_zone_that_the_key_may_not_change_says_so(bind_server: DnsServer) -> None:
    with pytest.raises(
        DnsFailed, match=r"in zone locked\.test \(REFUSED\): its policy does not let the TSIG key 'acme'"
    ):
        await rfc2136(environ(bind_server)).put_txt("_acme-challenge.locked.test", "value")


async def test_a_name_in_nobodys_zone_says_so(knot_server: DnsServer) -> None:
    with pytest.raises(DnsFailed, match=r"has no zone that _acme-challenge\.elsewhere\.invalid is in"):
        await rfc2136(environ(knot_server)).put_txt("_acme-challenge.elsewhere.invalid", "value")


async def test_a_closed_port_says_so() -> None:
    with pytest.raises(DnsFailed, match="can't be reached: Connection refused"):
        await rfc2136({"RFC2136_NAMESERVER": f"127.0.0.1:{free_port()}"}).put_txt(NAME, "value")


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    variables = {"RFC2136_NAMESERVER": f"127.0.0.1:{port}", "RFC2136_DNS_TIMEOUT": "0.2"}
    async with listeners[0]:
        with pytest.raises(DnsFailed, match=r"did not answer within 0\.2 s"), trio.fail_after(5):
            await rfc2136(variables).put_txt(NAME, "value")


async def test_fifty_changes_at_once_all_arrive(server: DnsServer) -> None:
    provider = rfc2136(environ(server))
    names = [f"_acme-challenge.h{number}.example.test" for number in range(50)]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(provider.put_txt, name, f"value of {name}")
    assert [await server.txt(name) for name in names] == [{f"value of {name}"} for name in names]
