"""acme2certifier under a threading WSGI server: `python acme2certifier_server.py PORT DNS_PORT`.

Its configuration file is named by ACME_SRV_CONFIGFILE. It knows resolvers by address only, and port 53 is not for
everybody to listen on; so this process, which does nothing else, looks names up on DNS_PORT instead. Two requests at
once, such as nodes that register the same account, would leave its database locked for a minute.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import dns.resolver


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main(port: int, dns_port: int) -> None:
    """Serve until killed."""
    reset = dns.resolver.BaseResolver.reset

    def reset_to_our_port(resolver: dns.resolver.BaseResolver) -> None:
        reset(resolver)
        resolver.port = dns_port

    dns.resolver.BaseResolver.reset = reset_to_our_port  # type: ignore[method-assign, assignment]
    from acme2certifier.share.acme2certifier_wsgi import application  # noqa: PLC0415 reads its configuration at import

    turn = threading.Lock()

    def one_at_a_time(*request: Any) -> Iterable[bytes]:
        with turn:
            return list(application(*request))

    with make_server("127.0.0.1", port, one_at_a_time, server_class=_ThreadingServer) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
