"""Development mode from start to end: name server, OpenBao, then the server, each inside the one it needs."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import attrs
import dns.tsig
import trio
import yaml

from acme_manager import logs
from acme_manager.app import Running, serve
from acme_manager.config.load import load
from acme_manager.config.model import Config, Flags
from acme_manager.config.sources import Sources
from acme_manager.dev.client import ApiClient
from acme_manager.dev.folder import DevFailed, Folder, State, open_folder
from acme_manager.dev.nameserver import open_nameserver
from acme_manager.dev.openbao import OpenBao, open_openbao
from acme_manager.dev.ports import HOST, free_port
from acme_manager.dev.server_config import ISSUER, TSIG_ALGORITHM, TSIG_KEY, config_of, environ_of
from acme_manager.dev.welcome import Places, banner, chain_of, describe, say, trail
from acme_manager.structure import background, lone_error

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


async def serve_dev(flags: Flags) -> None:
    """Run a development server until a signal ends it.

    Raises DevFailed when a part does not start or ends by itself, and whatever `app.serve` raises.
    """
    if flags.log_level == Flags().log_level:  # a line for every request would bury what people are to see
        logs.configure("warn", flags.log_format)
    for name in _PROXIES:  # all our peers are on the loopback address, where no proxy finds them
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    async with _ended_by_signals(), open_folder(flags.dev_data) as folder:
        state = folder.load()
        folder.save(state)  # before anything is made with these secrets
        key = dns.tsig.Key(TSIG_KEY, state.tsig_secret, TSIG_ALGORITHM)
        async with (
            open_nameserver(key, state.dns_port) as nameserver,
            open_openbao(folder, state, nameserver) as openbao,
        ):
            if openbao.port != state.openbao_port:
                # The URL of the account has moved with the port; without this file it is looked up by its key.
                (folder.accounts / ISSUER / "account.json").unlink(missing_ok=True)
            state = attrs.evolve(state, openbao_port=openbao.port, dns_port=nameserver[1])
            folder.save(state)
            await _serve(_configure(folder, state, openbao, nameserver), flags, folder, state, openbao)


@asynccontextmanager
async def _ended_by_signals() -> AsyncIterator[None]:
    """Leave the block, cleaning up, on a signal that comes before the server listens for signals or after."""
    with lone_error(), trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                async for number in signals:
                    nursery.cancel_scope.cancel(reason=signal.Signals(number).name)

            nursery.start_soon(watch)
            yield
            nursery.cancel_scope.cancel(reason="the server has stopped")


def _configure(folder: Folder, state: State, openbao: OpenBao, nameserver: tuple[str, int]) -> Config:
    text = yaml.safe_dump(config_of(folder, state, openbao), sort_keys=False)
    folder.write(folder.server_config, text.encode())
    return load(folder.server_config, environ_of(os.environ, state, nameserver))


async def _serve(config: Config, flags: Flags, folder: Folder, state: State, openbao: OpenBao) -> None:
    if flags.listen_address == Flags().listen_address:
        flags = attrs.evolve(flags, listen_address=f"{HOST}:{free_port(state.api_port)}")
    # A ring of one, which nobody is to join: on loopback, at any port, and under a name that its data remembers.
    flags = attrs.evolve(flags, ring_instance_id="dev", ring_instance_addr=HOST, ring_instance_port=0)
    flags = attrs.evolve(flags, config_path=str(folder.server_config))
    send, receive = trio.open_memory_channel[Running](1)

    async def welcome() -> None:
        running = await receive.receive()
        await _welcome(running, flags, folder, state, openbao)
        await trio.sleep_forever()

    async with background(welcome):
        # What counts besides the file is made up, so no file with variables is looked for.
        sources = Sources(config_path=folder.server_config, env_path=None, process=config.environ)
        await serve(config, flags, sources=sources, started=send.send_nowait)


async def _welcome(running: Running, flags: Flags, folder: Folder, state: State, openbao: OpenBao) -> None:
    url = running.urls[0].rstrip("/")
    async with ApiClient(url) as api:
        await api.wait_until_ready()
        bearer = await api.token(state.api_key, state.bearer)
        folder.save(attrs.evolve(state, bearer=bearer, api_port=urlsplit(url).port or 0))
        say(
            banner(
                Places(url=url, bearer=bearer, api_key=state.api_key, ca_directory=openbao.ca_directory, folder=folder)
            )
        )
        domain = flags.dev_first_certificate
        if domain:
            say(f"A first certificate (-dev.first-certificate={domain}):")
            try:
                with trail(domain) as shown, running.services.progress.watched_by(shown.see):
                    answer = await api.certificate(domain, bearer)
            except DevFailed as error:
                say(f"No first certificate: {error}")
            else:
                say(describe(chain_of(answer)))
        say("Ctrl-C stops the server.")
