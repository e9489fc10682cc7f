"""lego's DNS providers by name, with the variables that each of them reads: the data is in data/lego_providers.txt.

The table decides which variables of the environment a provider's process gets to see, and finds those that were meant
for it and mean nothing to it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import attrs

from acme_manager.dns.propagation import Timing
from acme_manager.dns.variables import Variables
from acme_manager.errors import Complaint, ConfigInvalid

COMMON = ("TTL", "POLLING_INTERVAL", "PROPAGATION_TIMEOUT", "HTTP_TIMEOUT", "SEQUENCE_INTERVAL")
"""What nearly every provider has, each with the provider's prefix. They say when, not who, and are no secrets."""

_NOT_OURS = ("DO_NOT_TRACK",)  # names of other programs that look like a provider's


@attrs.frozen(kw_only=True)
class LegoProvider:
    """One provider. `variables` are spelled with the first prefix, or are others entirely; `AWS_*` stands for many."""

    name: str
    also: tuple[str, ...]
    prefixes: tuple[str, ...]  # without the final `_`; a variable may be spelled with any of them
    variables: tuple[str, ...]
    timing: Timing  # lego's own defaults
    in_memory: bool  # it finds a record again only in the process that wrote it

    def spellings(self, variable: str) -> tuple[str, ...]:
        """A variable with each of the prefixes, the first first."""
        first = f"{self.prefixes[0]}_"
        if not variable.startswith(first):
            return (variable,)
        return tuple(f"{prefix}_{variable.removeprefix(first)}" for prefix in self.prefixes)

    @property
    def known(self) -> frozenset[str]:
        """Every spelling of every variable, the common ones included, without `_FILE` behind."""
        common = (f"{self.prefixes[0]}_{suffix}" for suffix in COMMON)
        return frozenset(name for variable in (*self.variables, *common) for name in self.spellings(variable))

    def owns(self, variable: str) -> bool:
        """Whether a variable is meant for it, by the longest prefix: `YANDEX_CLOUD_X` is not for `yandex`."""
        longest = max((prefix for prefix in _prefixes() if variable.startswith(f"{prefix}_")), key=len, default="")
        return longest in self.prefixes and variable not in _NOT_OURS

    def reads(self, variable: str) -> bool:
        """Whether it knows what to do with a variable, or with the file that one names."""
        known = self.known
        if variable in known or variable.removesuffix("_FILE") in known:
            return True
        return any(variable.startswith(name[:-1]) for name in known if name.endswith("*"))


def lego_providers() -> Mapping[str, LegoProvider]:
    """All of them, by each of their names."""
    return _table()


@cache
def _table() -> Mapping[str, LegoProvider]:
    text = (files("acme_manager.dns") / "data" / "lego_providers.txt").read_text(encoding="ascii")
    return {name: one for one in _parsed(text.splitlines()) for name in (one.name, *one.also)}


@cache
def _prefixes() -> frozenset[str]:
    return frozenset(prefix for one in _table().values() for prefix in one.prefixes)


def _parsed(lines: Iterable[str]) -> Iterable[LegoProvider]:
    entry: list[str] = []
    for line in (*lines, "end"):
        if not line or line.startswith("#"):
            continue
        if not line.startswith(" "):
            if entry:
                yield _provider(entry[0].split(), " ".join(entry[1:]).split())
            entry = []
        entry.append(line)


def _provider(head: list[str], variables: list[str]) -> LegoProvider:
    names, prefixes, timing, *marks = head
    timeout, interval = timing.split("/")
    name, *also = names.split(",")
    return LegoProvider(
        name=name,
        also=tuple(also),
        prefixes=tuple(prefixes.split(",")),
        variables=tuple(variables),
        timing=Timing(timeout=float(timeout), interval=float(interval)),
        in_memory="in-memory" in marks,
    )


def own_variables(provider: LegoProvider, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a provider's process gets to see. Files have absolute names: it runs in a folder of its own.

    Raises ConfigInvalid with each variable that was meant for it and that it does not read.
    """
    strangers = [
        Complaint(name, f"means nothing to DNS provider '{provider.name}'{_nearest(name, provider)}")
        for name in sorted(environ)
        if environ[name] and provider.owns(name) and not provider.reads(name)
    ]
    if strangers:
        raise ConfigInvalid(f"DNS provider {provider.name}", strangers)
    return {name: _absolute(name, value) for name, value in environ.items() if value and provider.reads(name)}


def own_timing(provider: LegoProvider, environ: Mapping[str, str]) -> Timing:
    """How long to wait for its servers. Raises ConfigInvalid for what is no number of seconds."""
    settings = Variables(environ, *(f"{prefix}_" for prefix in provider.prefixes))
    timing = Timing(
        timeout=settings.seconds("PROPAGATION_TIMEOUT", provider.timing.timeout),
        interval=settings.seconds("POLLING_INTERVAL", provider.timing.interval),
    )
    settings.check(f"DNS provider {provider.name}")
    return timing


def _nearest(name: str, provider: LegoProvider) -> str:
    near = difflib.get_close_matches(name, provider.known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; -dns.show {provider.name} prints what does"


def _absolute(name: str, value: str) -> str:
    return str(Path(value).absolute()) if name.endswith(("_FILE", "_PATH")) and not value.startswith("~") else value
