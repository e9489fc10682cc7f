"""Registered domains: what CAs count certificates by, found with the public suffix list (https://publicsuffix.org)."""

from __future__ import annotations

import functools
import ipaddress

from publicsuffixlist import PublicSuffixList

from acme_manager.domain.names import Identifier, IdentifierType


def registered_domain(identifier: Identifier) -> str:
    """The domain that somebody has registered: `example.co.uk` for `*.www.example.co.uk`.

    A name that is a public suffix itself stands for itself. Let's Encrypt counts an IPv4 address for itself, and all of
    an IPv6 /64 together (https://letsencrypt.org/docs/rate-limits/).
    """
    if identifier.type is IdentifierType.IP:
        address = ipaddress.ip_address(identifier.value)
        return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
    return _list().privatesuffix(identifier.base) or identifier.base


@functools.cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()
