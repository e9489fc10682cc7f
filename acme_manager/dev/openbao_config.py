"""OpenBao's configuration: one declarative file that makes it our store and an ACME CA, without any script.

`initialize` requests run once, on an empty database, with root's rights and without a root token that anybody would
have to keep. What changes from run to run, the ports, is written over the API by an operator with that right only
(openbao.py). The file is JSON, which OpenBao reads like HCL, so that no value can break out of its quotes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from acme_manager.dev.folder import Folder, State

SECRET_ENGINE = "secret"  # noqa: S105 a path
CERTIFICATE_PREFIX = "certificates"
TOKEN_PREFIX = "tokens"  # noqa: S105 a path
APPROLE = "approle"
CA = "pki"
_MANAGER = "acme-manager"
_OPERATOR = "acme-manager-dev"

_OPERATOR_POLICY = f"""
path "{CA}/config/cluster" {{ capabilities = ["update"] }}
path "{CA}/config/acme" {{ capabilities = ["update"] }}
"""


def manager_policy() -> str:
    """The policy that we recommend for production, so that development mode notices when it does not suffice."""
    return resources.files("acme_manager.dev").joinpath("vault-policy.hcl").read_text()


def render(folder: Folder, state: State, port: int) -> bytes:
    """The whole configuration file, for OpenBao on that port of the loopback address."""
    address = f"127.0.0.1:{port}"
    config = {
        "storage": {"pebbledb": {"path": str(folder.openbao_data)}},
        "listener": [{"tcp": {"address": address, "tls_disable": True}}],
        "api_addr": f"http://{address}",
        "disable_clustering": True,  # or it would also take the port after ours
        "log_level": "warn",
        "seal": {"static": {"current_key_id": "dev", "current_key": f"file://{folder.unseal_key}"}},
        "initialize": [{"acme-manager": {"request": [*_store(state), *_ca()]}}],
    }
    return json.dumps(config, indent=2).encode()


def _store(state: State) -> list[dict[str, Any]]:
    return [
        _update(f"sys/mounts/{SECRET_ENGINE}", {"type": "kv", "options": {"version": "2"}}),
        _update(f"sys/auth/{APPROLE}", {"type": "approle"}),
        *_role(_MANAGER, manager_policy(), state.role_id, state.secret_id),
        *_role(_OPERATOR, _OPERATOR_POLICY, state.operator_role_id, state.operator_secret_id),
    ]


def _role(name: str, policy: str, role_id: str, secret_id: str) -> list[dict[str, Any]]:
    role = f"auth/{APPROLE}/role/{name}"
    return [
        _update(f"sys/policies/acl/{name}", {"policy": policy}),
        _update(role, {"token_policies": [name], "token_ttl": "1h", "token_max_ttl": "24h"}),
        _update(f"{role}/role-id", {"role_id": role_id}),
        _update(f"{role}/custom-secret-id", {"secret_id": secret_id}),
    ]


def _ca() -> list[dict[str, Any]]:
    mount = {
        "max_lease_ttl": "87600h",
        "passthrough_request_headers": ["If-Modified-Since"],
        "allowed_response_headers": ["Last-Modified", "Replay-Nonce", "Link", "Location"],
    }
    root = {"common_name": "ACME Manager development root", "key_type": "ec", "key_bits": 256, "ttl": "87600h"}
    role = {"allow_any_name": True, "key_type": "any", "max_ttl": "720h", "no_store": False}
    return [
        _update(f"sys/mounts/{CA}", {"type": "pki", "config": mount}),
        _update(f"{CA}/root/generate/internal", root),
        _update(f"{CA}/roles/acme", role),
    ]


def _update(path: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {path.replace("/", "-"): {"operation": "update", "path": path, "data": data}}


def ca_settings(port: int, resolver: tuple[str, int]) -> list[tuple[str, dict[str, Any]]]:
    """What tells the CA where it is in this run and whom to ask for TXT records: paths and values, in order."""
    here = f"http://127.0.0.1:{port}/v1/{CA}"
    host, dns_port = resolver
    acme = {
        "enabled": True,
        "dns_resolver": f"{host}:{dns_port}",
        "default_directory_policy": "role:acme",
        "allowed_roles": ["acme"],
    }
    return [(f"{CA}/config/cluster", {"path": here, "aia_path": here}), (f"{CA}/config/acme", acme)]
