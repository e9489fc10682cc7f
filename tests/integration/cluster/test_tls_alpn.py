"""tls-alpn-01 in a cluster: the leader orders, and the CA asks whichever node the name leads to."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cluster.asking import wish
from tests.integration.site import csr_for, names
from tests.parts.cluster import open_cluster
from tests.parts.program import lasting_ports


async def test_a_node_that_does_not_lead_proves_a_name_and_an_address(tmp_path: Path) -> None:
    (port,) = lasting_ports(1)
    async with open_cluster(tmp_path, tls_port=port, start=False) as cluster:
        for node in cluster.nodes:
            flag = f"-server.tls-alpn-address={node.program.place.address}:{port}"
            node.program.argv = (*node.program.argv, flag)
        await cluster.start()
        leader = await cluster.wait_until_formed()
        one, other = cluster.others(leader)
        name, address = f"{one.name}.example.test", other.program.place.address
        csr = csr_for(name, address)
        asked = wish(name, "web", san=address, http_challenge="tls-alpn-01") | {"csr": csr}
        async with leader.client(await leader.new_token()) as client:
            answer = await client.post("/api/v1/certificate", json=asked)
        assert answer.is_success, answer.text
        assert names(answer.json()) == {name, address}
        for node, shown in ((one, f"server_name={name}"), (other, "in-addr.arpa")):
            lines = [line for line in node.program.log().splitlines() if "tls-alpn-01 validation" in line]
            assert lines
            assert all(shown in line and "outcome=shown" in line for line in lines)
