"""Nonsense on every route, over real HTTP: never a 5xx, never silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import attrs
import httpx
import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from acme_manager.api.server import serve
from acme_manager.config.model import Flags
from tests.unit.api.served import no_names
from tests.unit.api.world import ADMIN, open_api

_WITHIN = 10.0  # seconds for any answer
_FUZZ = settings(
    deadline=None,
    max_examples=15,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

# Not those that expect a refusal of every body outside of the schema: unknown and null members are fine, as in Go.
_CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


@attrs.frozen
class Served:
    url: str
    bearer: dict[str, str]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A node in memory behind a real port, in a thread of its own since the fuzzers block."""
    found: list[Served] = []
    ready = threading.Event()
    stop: list[Any] = []

    async def run() -> None:
        stopping = trio.Event()
        stop.append(partial(trio.lowlevel.current_trio_token().run_sync_soon, stopping.set))
        async with open_api() as api, trio.open_nursery() as nursery:
            flags = Flags(listen_address="127.0.0.1:0")
            (url,) = await nursery.start(partial(serve, api.app, flags, stopping, validation=no_names))
            found.append(Served(url, api.token()))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        assert ready.wait(20)
        yield found[0]
    finally:
        stop[0]()
        thread.join(40)
        assert not thread.is_alive()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_route_fails_on_what_its_description_allows_or_forbids(served: Served, mode: GenerationMode) -> None:
    """Each answer's status, type, headers and body are checked against the OpenAPI document too."""
    description = schemathesis.openapi.from_url(f"{served.url}/swagger/doc.json")
    operations = [found.ok() for found in description.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 15
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.body and not operation.query:
            continue  # there is nothing to get wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @_FUZZ
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers={**served.bearer, **ADMIN}, timeout=_WITHIN, checks=_CHECKS)

        check()


_PATHS = st.lists(
    st.sampled_from(["api", "v1", "certificate", "token", "metadata", "self", "..", "", "%00", "%2e", "%ff", "%F0%9F"])
    | st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#%"), max_size=20),
    max_size=7,
).map("/".join)
_BODIES = st.binary(max_size=200) | st.sampled_from(
    [b"{}", b"null", b"[]", b'{"domain": "a", "issuer": "test"}', b'{"csr": "\\ud800"}', b"[" * 5000]
)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]),
    path=_PATHS,
    query=st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=30),
    body=_BODIES,
    authorization=st.none() | st.binary(max_size=30).map(lambda raw: raw.decode("latin1")),
)
@settings(_FUZZ, max_examples=300)
def test_no_request_fails_whatever_it_asks(
    served: Served, method: str, path: str, query: str, body: bytes, authorization: str | None
) -> None:
    answer = _send_raw(served, method, f"/{path}?{query}", body, authorization)
    status = int(answer.split(b" ", 2)[1])
    assert 200 <= status < 500, answer


@given(
    sent=st.lists(
        st.binary(max_size=300) | st.sampled_from([b"GET / HTTP/1.1\r\n", b"\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    )
)
@settings(_FUZZ, max_examples=100)
def test_no_bytes_at_all_take_the_server_down(served: Served, sent: list[bytes]) -> None:
    trio.run(_send_and_hang_up, served.url, b"".join(sent))
    assert httpx.get(f"{served.url}/health", trust_env=False, timeout=_WITHIN).status_code == 200


def _send_raw(served: Served, method: str, target: str, body: bytes, authorization: str | None) -> bytes:
    """By hand, since clients clean up what they are given."""
    value = served.bearer["Authorization"] if authorization is None else "".join(c for c in authorization if c >= " ")
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {value}\r\n"
        f"X-API-Key: admin\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return trio.run(_exchange, served.url, head.encode("latin1") + body)


async def _exchange(url: str, request: bytes) -> bytes:
    host, _, port = url.partition("//")[2].rpartition(":")
    received = b""
    with trio.fail_after(_WITHIN):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(request)
            while data := await stream.receive_some(65536):
                received += data
    return received


async def _send_and_hang_up(url: str, data: bytes) -> None:
    host, _, port = url.partition("//")[2].rpartition(":")
    with trio.fail_after(_WITHIN):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            try:
                await stream.send_all(data)
                await stream.send_eof()
                while await stream.receive_some(65536):
                    pass
            except trio.BrokenResourceError:
                pass
