"""What people look at: a cluster of three nodes with everything around it, a provider to log in at, and a proxy that
puts all of it below a path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import yaml

from tests.parts.cluster import Cluster, open_cluster
from tests.parts.nginx import nginx
from tests.parts.node import Node
from tests.parts.oidc import Provider, oidc_provider
from tests.parts.program import LOOPBACK

PREFIX = "/acme"
EVERYTHING = ["create", "read", "update", "delete"]

# Each request goes to another node, as at a balancer that knows nothing of sessions.
_BELOW = """
location {prefix}/ {{
    set $node {first};
    {rules}
    rewrite ^{prefix}(/.*)$ $1 break;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto http;
    proxy_pass http://$node;
}}
"""


@attrs.frozen(kw_only=True, eq=False)
class Stage:
    """`url` is a node that does not lead, so that what people do there goes through the leader; `below` is the proxy.

    The issuers are `pebble` (dns-01) and `web` (http-01), both for names below `example.test`.
    """

    cluster: Cluster
    provider: Provider
    leader: Node
    below: str

    @property
    def node(self) -> Node:
        """The node at `url`."""
        return next(node for node in self.cluster.nodes if node is not self.leader)

    @property
    def url(self) -> str:
        return self.node.url


@asynccontextmanager
async def open_stage(folder: Path, prepare: Callable[[Cluster], Awaitable[None]] | None = None) -> AsyncIterator[Stage]:
    """Start everything; `prepare` is called before the nodes are."""
    async with (
        oidc_provider(folder) as provider,
        open_cluster(folder, start=False) as cluster,
        nginx(folder, {LOOPBACK: below_a_path(cluster.nodes)}) as port,
    ):
        below = f"http://{LOOPBACK}:{port}{PREFIX}"
        for node in cluster.nodes:
            _configure(node, provider, below)
        if prepare is not None:
            await prepare(cluster)
        await cluster.start()
        leader = await cluster.wait_until_formed()
        token = await leader.new_token()
        for node in cluster.nodes:
            node.token = token
        yield Stage(cluster=cluster, provider=provider, leader=leader, below=below)


def below_a_path(nodes: Sequence[Node]) -> str:
    """nginx's `server` block that has all nodes below one path, in turns that nobody can tell beforehand."""
    first, *others = [node.url.removeprefix("http://") for node in nodes]
    share = 16 // len(nodes)
    digits = "0123456789abcdef"
    rules = "\n".join(
        f"if ($request_id ~ '^[{digits[share * at : share * (at + 1)]}]') {{ set $node {node}; }}"
        for at, node in enumerate(others, 1)
    )
    return _BELOW.format(prefix=PREFIX, first=first, rules=rules)


def _configure(node: Node, provider: Provider, external_url: str) -> None:
    path = node.folder / "config.yml"
    config = yaml.safe_load(path.read_text())
    config["ui"] = {
        "external_url": external_url,
        "oidc": {
            "issuer_url": provider.issuer,
            "client_id": "acme-manager",
            "client_secret": "of-the-client",
            "admin_groups": ["admins"],
            "owners": [{"group": "web-team", "owner": "web", "scope": EVERYTHING}],
            "label": "the staff directory",
        },
    }
    path.write_text(yaml.safe_dump(config))
