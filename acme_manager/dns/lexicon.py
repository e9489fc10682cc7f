"""From lego's names and variables to those of dns-lexicon: the data is in data/lexicon_providers.txt."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import attrs

from acme_manager.dns.table import COMMON, LegoProvider, lego_providers, own_variables
from acme_manager.dns.variables import Variables
from acme_manager.errors import Complaint, ConfigInvalid

_TIMES = tuple(f"_{suffix}" for suffix in COMMON)


@attrs.frozen
class Option:
    """One option of lexicon's and a variable that it comes from; with `more` a text is split at its comma."""

    variable: str
    name: str
    more: str = ""
    needed: bool = True
    transform: str = ""


@attrs.frozen(kw_only=True)
class LexiconProvider:
    """A provider of lexicon's by its name in `dns_challenge`. Without options it has lexicon's own variables."""

    name: str
    lexicon: str
    options: tuple[Option, ...] = ()
    fixed: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that it understands, of lego's or of lexicon's."""
        return tuple(option.variable for option in self.options) or (f"{self._own}*",)

    @property
    def _own(self) -> str:
        return f"LEXICON_{self.lexicon.upper()}_"

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What lexicon gets to see. Raises ConfigInvalid for what is missing, and what lexicon can't make use of."""
        env = {"LEXICON_PROVIDER": self.lexicon}
        if not self.options:
            return env | self._native(environ)
        settings = Variables(environ, "")
        lego = lego_providers().get(self.name)
        if lego:
            self._refuse_others(lego, environ)
            ttl = settings.text(f"{lego.prefixes[0]}_TTL")
            env |= {"LEXICON_TTL": ttl} if ttl else {}
        wanted: dict[str, str] = {}
        for option in self.options:
            value = next(filter(None, map(settings.text, _spellings(lego, option.variable))), "")
            if option.needed:
                wanted.setdefault(option.name, option.variable)
            for name, text in _read(option, value).items():
                env.setdefault(self._own + name.upper(), text)
        for name, variable in wanted.items():
            if self._own + name.upper() not in env:
                settings.complain(variable, "is not set")
        settings.check(f"DNS provider {self.name}")
        return env | {self._own + name.upper(): text for name, text in self.fixed.items()}

    def _native(self, environ: Mapping[str, str]) -> dict[str, str]:
        env = {name: value for name, value in environ.items() if value and name.startswith(self._own)}
        if not env:
            raise ConfigInvalid(
                f"DNS provider {self.name}", [Complaint(f"{self._own}...", "is not set; see lexicon's documentation")]
            )
        return env

    def _refuse_others(self, lego: LegoProvider, environ: Mapping[str, str]) -> None:
        """lego would make use of more than lexicon can: who sets that should hear of it."""
        mine = {name for option in self.options for name in _spellings(lego, option.variable)}
        others = [
            Complaint(name, "can't be used with lexicon; install lego: pip install 'acme-manager[lego]'")
            for name in sorted(own_variables(lego, environ))
            if name.removesuffix("_FILE") not in mine and name not in mine and not name.endswith(_TIMES)
        ]
        if others:
            raise ConfigInvalid(f"DNS provider {self.name}", others)


def _spellings(lego: LegoProvider | None, variable: str) -> tuple[str, ...]:
    return lego.spellings(variable) if lego else (variable,)


def _read(option: Option, value: str) -> dict[str, str]:
    if not value:
        return {}
    if option.more:
        first, _, second = value.partition(",")
        return {option.name: first.strip(), option.more: second.strip()}
    if option.transform == "base64":
        return {option.name: f"base64::{b64encode(value.encode()).decode('ascii')}"}
    return {option.name: value}


@cache
def lexicon_providers() -> Mapping[str, LexiconProvider]:
    """All of them, by the names that `dns_challenge` uses."""
    text = (files("acme_manager.dns") / "data" / "lexicon_providers.txt").read_text(encoding="ascii")
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    found = {words[0]: _provider(words) for words in lines}
    return found | {also: found[one.name] for also, one in lego_providers().items() if one.name in found}


def _provider(words: list[str]) -> LexiconProvider:
    name, lexicon = words[0], words[1] if len(words) > 1 else words[0]
    fixed = dict(word[1:].split("=") for word in words[2:] if word.startswith(":"))
    options = tuple(_option(word) for word in words[2:] if not word.startswith(":"))
    return LexiconProvider(name=name, lexicon=lexicon, options=options, fixed=fixed)


def _option(word: str) -> Option:
    variable, option = word.split("=")
    option, _, transform = option.partition(":")
    name, _, more = option.partition(",")
    return Option(variable, name.removesuffix("?"), more, needed=not name.endswith("?"), transform=transform)
