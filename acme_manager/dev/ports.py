"""Ports of the loopback address."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free_port(wished: int = 0) -> int:
    """The wished TCP port if it is free, else one that the kernel picks.

    Somebody may take it before we do, so whoever binds it must be ready to ask again.
    """
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as all who listen here do
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no port of {HOST} is free")
