"""Addresses of servers as settings spell them: `192.0.2.1`, `192.0.2.1:53`, `[2001:db8::1]:53`."""

from __future__ import annotations

import ipaddress


def read_server(text: str, default_port: int = 53) -> tuple[str, int]:
    """An IP address and a port. Raises ValueError with what would be right."""
    for address, port in ((text, str(default_port)), text.rpartition(":")[::2]):
        try:
            return str(ipaddress.ip_address(_without_brackets(address))), read_port(port)
        except ValueError:
            continue
    raise ValueError(f"'{text}' must be an IP address with an optional port, like 192.0.2.1:53 or [2001:db8::1]:53")


def read_port(text: str) -> int:
    """A port. Raises ValueError with what would be right."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
        raise ValueError("must be a port, between 1 and 65535")
    return int(text)


def _without_brackets(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address
