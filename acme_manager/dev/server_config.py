"""The configuration that development mode writes for the server: a plain `config.yml` and its environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acme_manager.dev.folder import Folder, State
from acme_manager.dev.openbao import OpenBao
from acme_manager.dev.openbao_config import APPROLE, CERTIFICATE_PREFIX, SECRET_ENGINE, TOKEN_PREFIX
from acme_manager.domain.token import hash_secret

ISSUER = "dev"
TSIG_KEY = "acme-manager-dev"
TSIG_ALGORITHM = "hmac-sha256"
# What the person has set for another server is not meant for this one.
_FOREIGN = ("RFC2136_", "DNSUPDATE_", "ACME_MANAGER_", "VAULT_", "BAO_", "LEGO_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


def config_of(folder: Folder, state: State, openbao: OpenBao) -> dict[str, Any]:
    """`config.yml` as a value."""
    return {
        "common": {
            "api_key_hash": hash_secret(state.api_key),
            "rootpath_account": str(folder.accounts),
            "rootpath_certificate": str(folder.certificates),
        },
        "issuer": {ISSUER: {"ca_dir_url": openbao.ca_directory, "dns_challenge": "rfc2136"}},
        "storage": {
            "vault": {
                "url": openbao.url,
                "role_id": state.role_id,
                "secret_id": state.secret_id,
                "mount_path": APPROLE,
                "secret_engine": SECRET_ENGINE,
                "certificate_prefix": CERTIFICATE_PREFIX,
                "token_prefix": TOKEN_PREFIX,
            }
        },
    }


def environ_of(process: Mapping[str, str], state: State, nameserver: tuple[str, int]) -> dict[str, str]:
    """The environment to read it with: the process's own, with our name server as the only one there is."""
    address = f"{nameserver[0]}:{nameserver[1]}"
    ours = {
        "RFC2136_NAMESERVER": address,
        "RFC2136_TSIG_KEY": TSIG_KEY,
        "RFC2136_TSIG_SECRET": state.tsig_secret,
        "RFC2136_TSIG_ALGORITHM": TSIG_ALGORITHM,
        "ACME_MANAGER_DNS_RESOLVERS": address,
        "ACME_MANAGER_DNS_AUTHORITATIVE_PORT": str(nameserver[1]),
    }
    kept = {
        name: value for name, value in process.items() if not name.startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    return kept | ours
