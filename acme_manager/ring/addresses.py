"""Where this node listens for the others, and where it tells them to find it (guide, "Command-Line Flags")."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import cast

import attrs
import ifaddr

from acme_manager.config.flags import Flags
from acme_manager.config.memberlist import MEMBERLIST_FLAGS, PREFIX
from acme_manager.errors import Complaint, ConfigInvalid
from acme_manager.ring.types import Address

_DEFAULTS = {flag.name.removeprefix(PREFIX): flag.default for flag in MEMBERLIST_FLAGS}


@attrs.frozen(kw_only=True)
class Place:
    """`bind` is an address of this host, or all of them (`0.0.0.0`, `::`); `host` is what the others are told.

    A `port` of 0 means the one that has been bound.
    """

    bind: Address
    host: str
    port: int = 0

    @property
    def on_loopback(self) -> bool:
        """Whether nobody outside this host can be reached."""
        return ipaddress.ip_address(self.host).is_loopback

    def advertised(self, bound: Address) -> Address:
        """What the others are told, once it is known which port has been bound."""
        return self.host, self.port or bound[1]


def find_place(flags: Flags) -> Place:
    """What the flags ask for; what they leave open is looked up on this host's interfaces.

    A flag of `-ring.memberlist.*` that has another value than its default overrides `-ring.instance-addr` and
    `-ring.instance-port`. Raises ConfigInvalid, naming the flag.
    """
    given = flags.ring_memberlist
    bound = cast("Sequence[str]", given["bind-addr"])
    if len(bound) > 1:
        raise _wrong(PREFIX + "bind-addr", "give one address, or 0.0.0.0 to listen on all of them")
    told = str(given["advertise-addr"]) or flags.ring_instance_addr
    listen = bound[0] if bound else flags.ring_instance_addr
    for flag, text in ((PREFIX + "bind-addr", listen), (PREFIX + "advertise-addr", told)):
        _check_literal("ring.instance-addr" if text == flags.ring_instance_addr else flag, text)
    own = "" if listen and told else own_address(_names(flags.ring_instance_interface_names), listen)
    listen = listen or own
    everywhere = ipaddress.ip_address(listen).is_unspecified
    return Place(
        bind=(listen, _override(flags, "bind-port") or flags.ring_instance_port),
        host=told or (own if everywhere else listen),
        port=_override(flags, "advertise-port"),
    )


def own_address(names: Sequence[str] = (), like: str = "") -> str:
    """The address of this host that others are most likely to reach.

    IPv4 comes first, and link-local addresses (RFC 3927) and loopback last. With `names`, only those interfaces are
    looked at; with `like`, only addresses of the same family. Raises ConfigInvalid when there is none.
    """
    adapters = list(ifaddr.get_adapters())
    here = {adapter.name for adapter in adapters}
    missing = [name for name in names if name not in here]
    if missing:
        there_are = ", ".join(sorted(here))
        raise _wrong("ring.instance-interface-names", f"there is no interface '{missing[0]}' here, but {there_are}")
    found = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in adapters
        if not names or adapter.name in names
        for ip in adapter.ips
    ]
    version = ipaddress.ip_address(like).version if like else None
    usable = [ip for ip in found if version in {None, ip.version} and not (ip.version == 6 and ip.is_link_local)]
    if not usable:
        where = f"the interfaces {', '.join(names)} have" if names else "this host has"
        raise _wrong("ring.instance-addr", f"{where} no usable address; give one with this flag")
    return str(min(usable, key=lambda ip: (ip.is_loopback, ip.version, ip.is_link_local)))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _override(flags: Flags, name: str) -> int:
    """A memberlist port, 0 where it has its default: nobody could tell that from not given."""
    port = cast("int", flags.ring_memberlist[name])
    return 0 if port == _DEFAULTS[name] else port


def _check_literal(flag: str, text: str) -> None:
    try:
        if text:
            ipaddress.ip_address(text)
    except ValueError:
        raise _wrong(flag, f"'{text}' is no IP address; names are not looked up here") from None


def _wrong(flag: str, message: str) -> ConfigInvalid:
    return ConfigInvalid("command line", [Complaint(f"-{flag}", message)])
