from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from acme_manager.config.model import DnsConfig
from acme_manager.dns.answers import Sight
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.propagation import Awaited, Propagation, Timing, explain
from acme_manager.dns.wire import Server

FIRST, SECOND = Server("192.0.2.1", 53, "ns1.test"), Server("192.0.2.2", 53, "ns2.test")
NO = Sight(complete=False, words="says no")
YES = Sight(complete=True, words="shows the record")


def test_the_error_names_only_servers_that_did_not_show_the_record() -> None:
    error = explain({("a.test", FIRST): YES, ("a.test", SECOND): NO}, 60)
    expected = "ns2.test (192.0.2.2:53) does not show the TXT record of a.test: it says no"
    assert str(error) == f"not visible after 60 s: {expected}"
    assert error.server == str(SECOND)


def test_a_long_list_of_complaints_is_cut() -> None:
    error = explain({(f"{number}.test", FIRST): NO for number in range(20)}, 60)
    assert str(error).count("does not show") == 5
    assert str(error).endswith("and 15 more like these")


def test_an_address_of_version_6_is_written_with_brackets() -> None:
    assert str(Server("2001:db8::1", 5353)) == "[2001:db8::1]:5353"


async def test_lost_time_before_any_server_is_known_says_so(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_self: Lookup, _name: str) -> tuple[Server, ...]:
        await trio.sleep_forever()
        raise AssertionError("not reached")

    monkeypatch.setattr(Lookup, "authoritative", never)
    with pytest.raises(Exception, match="could not be found within 7 s"):
        await Propagation(Lookup(DnsConfig())).wait({"a.test": Awaited({"v"}, Timing(timeout=7))})
