"""The plugins that come with us: programs like any other, run by our own interpreter, with the variables of lego.

A plugin gets its own variables of the environment and `.env`, each also as a file named by NAME_FILE, and no others.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from acme_manager.config.model import Plugin
from acme_manager.dns.lookup import Lookup
from acme_manager.dns.plugin import PluginProvider
from acme_manager.dns.propagation import Timing
from acme_manager.dns.providers import PatientProvider, ProviderInfo, Source, Tier
from acme_manager.dns.variables import Variables
from acme_manager.plugins import PluginRunner

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "_plugins", _PACKAGE.parent / "plugins")  # of an installed wheel, of a checkout
INTERPRETER = (sys.executable, "-I")  # isolated: nothing of the environment or of its folder is imported
_WITHOUT_EFFECT = ("_SEQUENCE_INTERVAL",)  # lego's way to pause between challenges; ours don't wait for one another
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
WEB = ("SSL_CERT_FILE", "SSL_CERT_DIR", *_PROXIES)  # what all share that call an HTTP API


@attrs.frozen(kw_only=True)
class Shipped:
    """One plugin, as its `describe` has it. Every variable with one of the prefixes is meant for it."""

    name: str
    also: tuple[str, ...] = ()  # lego's other names for it
    summary: str
    tier: Tier = Tier.VERIFIED
    prefixes: tuple[str, ...]  # the first is that of POLLING_INTERVAL and PROPAGATION_TIMEOUT
    required: Mapping[str, str] = attrs.field(factory=dict)  # variable to what it must be
    one_of: Mapping[str, str] = attrs.field(factory=dict)  # the same, but one is enough; optional as well
    optional: tuple[str, ...]
    patience: float = 120.0  # seconds, the default of PROPAGATION_TIMEOUT
    limit: float = 90.0  # seconds that one run may take; the plugin bounds each of its requests

    @property
    def variables(self) -> tuple[str, ...]:
        """All that it may see, by their plain names."""
        timing = (f"{self.prefixes[0]}PROPAGATION_TIMEOUT", f"{self.prefixes[0]}POLLING_INTERVAL")
        return (*self.required, *self.optional, *timing)


SHIPPED = (
    Shipped(
        name="acmedns",
        also=("acme-dns",),
        summary="acme-dns, a name server for challenges that CNAME records point to",
        tier=Tier.RECORDED,
        prefixes=("ACME_DNS_",),
        required={
            "ACME_DNS_API_BASE": "the URL of acme-dns",
            "ACME_DNS_STORAGE_PATH": "the file that keeps the accounts",
        },
        optional=("ACME_DNS_ALLOWLIST", "LEGO_DISABLE_CNAME_SUPPORT", *WEB),
        patience=60.0,
    ),
    Shipped(
        name="cloudflare",
        summary="Cloudflare, by its API version 4",
        tier=Tier.RECORDED,
        prefixes=("CLOUDFLARE_", "CF_API_", "CF_DNS_", "CF_ZONE_"),
        one_of={
            "CLOUDFLARE_DNS_API_TOKEN": "an API token with the permissions Zone:Read and DNS:Edit",
            "CLOUDFLARE_API_KEY": "the key of the account in CLOUDFLARE_EMAIL",
            "CF_DNS_API_TOKEN": "another name of the token",
            "CF_API_KEY": "another name of the key",
        },
        optional=(
            *("CLOUDFLARE_DNS_API_TOKEN", "CF_DNS_API_TOKEN", "CLOUDFLARE_ZONE_API_TOKEN", "CF_ZONE_API_TOKEN"),
            *("CLOUDFLARE_EMAIL", "CF_API_EMAIL", "CLOUDFLARE_API_KEY", "CF_API_KEY", "CLOUDFLARE_BASE_URL"),
            *("CLOUDFLARE_TTL", "CLOUDFLARE_HTTP_TIMEOUT", *WEB),
        ),
    ),
    Shipped(
        name="exec",
        summary="a program of one's own, run as lego's provider of that name runs it",
        prefixes=("EXEC_",),
        required={"EXEC_PATH": "the program that writes the records"},
        optional=("EXEC_MODE",),
        patience=60.0,
        limit=240.0,
    ),
    Shipped(
        name="httpreq",
        summary="a server of one's own that takes POST /present and /cleanup",
        prefixes=("HTTPREQ_",),
        required={"HTTPREQ_ENDPOINT": "the URL of the server that writes the records"},
        optional=("HTTPREQ_MODE", "HTTPREQ_USERNAME", "HTTPREQ_PASSWORD", "HTTPREQ_HTTP_TIMEOUT", *WEB),
        patience=60.0,
    ),
    Shipped(
        name="pdns",
        summary="PowerDNS, by the HTTP API of its authoritative server",
        prefixes=("PDNS_",),
        required={"PDNS_API_URL": "the URL of the PowerDNS API", "PDNS_API_KEY": "the api-key of pdns.conf"},
        optional=("PDNS_SERVER_NAME", "PDNS_API_VERSION", "PDNS_TTL", "PDNS_HTTP_TIMEOUT", *WEB),
    ),
)


class ShippedSource(Source):
    """The plugins of SHIPPED. A file that changes after this was made is not run any more."""

    name = "shipped"

    def __init__(self, runner: PluginRunner, shipped: Sequence[Shipped] = SHIPPED) -> None:
        self._runner = runner
        self._shipped = {name: one for one in shipped for name in (one.name, *one.also)}
        self._files = {one.name: plugin_file(one.name) for one in shipped}
        self._checksums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self._files.items()}

    def provider(self, name: str, environ: Mapping[str, str], lookup: Lookup) -> PatientProvider | None:
        """See Source."""
        shipped = self._shipped.get(name)
        if shipped is None:
            return None
        env, timing = read_variables(shipped, environ)
        plugin = Plugin(
            name=shipped.name,
            path=self._files[shipped.name],
            checksum=self._checksums[shipped.name],
            timeout=shipped.limit,
            env=env,
        )
        return PluginProvider(
            plugin=plugin, runner=self._runner, zone_of=lookup.zone_of, timing=timing, interpreter=INTERPRETER
        )

    def providers(self) -> Iterable[ProviderInfo]:
        """See Source."""
        for name, one in sorted(self._shipped.items()):
            yield ProviderInfo(
                name=name,
                tier=one.tier,
                source=self.name,
                summary=one.summary,
                variables=one.variables,
                same_as=one.name if name != one.name else "",
            )


def plugin_file(name: str) -> Path:
    """Where a plugin that comes with us is. Raises FileNotFoundError for an installation that lacks it."""
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"this installation lacks the plugin {_FOLDERS[0] / name}; install it again")


def read_variables(shipped: Shipped, environ: Mapping[str, str]) -> tuple[Mapping[str, str], Timing]:
    """What a plugin gets to see, and how long to wait for DNS.

    Raises ConfigInvalid with what is missing, and what is set for it and means nothing to it.
    """
    known = [form for name in shipped.variables for form in (name, f"{name}_FILE")]
    env = {name: environ[name] for name in known if environ.get(name)}
    settings = Variables(environ, "")
    for name, what in shipped.required.items():
        settings.needed(name, what)
    if shipped.one_of and not any(map(settings.text, shipped.one_of)):
        name, what = next(iter(shipped.one_of.items()))
        settings.complain(name, f"is not set; it must be {what}. Others do as well: {', '.join(shipped.one_of)}")
    for name, value in sorted(environ.items()):
        if value and name.startswith(shipped.prefixes) and name not in known and not name.endswith(_WITHOUT_EFFECT):
            settings.complain(name, f"means nothing to provider {shipped.name}; docs/dns.md lists what does")
    timing = Timing(
        timeout=settings.seconds(f"{shipped.prefixes[0]}PROPAGATION_TIMEOUT", shipped.patience),
        interval=settings.seconds(f"{shipped.prefixes[0]}POLLING_INTERVAL", Timing().interval),
    )
    settings.check(f"DNS provider {shipped.name}")
    return env, timing
