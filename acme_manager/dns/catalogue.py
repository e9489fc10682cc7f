"""All DNS providers as a table: for `-dns.list`, and for docs/dns-providers.md, which is made from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from acme_manager.dns.providers import ProviderInfo, Tier

_TIERS = (Tier.OWN, Tier.VERIFIED, Tier.RECORDED, Tier.MAPPED)
_MEANINGS = {
    Tier.VERIFIED: "our tests write a record to a real server with it, and a CA looks at it",
    Tier.RECORDED: "our tests run it against a server of ours that answers as the real one is documented to",
    Tier.MAPPED: "the library has it, and gets its variables; we have never run it",
}


def totals(providers: Iterable[ProviderInfo]) -> str:
    """How many providers there are in each tier, second names not counted."""
    count = Counter(one.tier for one in providers if not one.same_as)
    return ", ".join(f"{count[tier]} {tier}" for tier in _TIERS if count[tier])


def lines(providers: Iterable[ProviderInfo]) -> Iterable[str]:
    """A line each, in columns, and the totals."""
    found = sorted(providers, key=lambda one: one.name)
    wide = max(len(one.name) for one in found)
    for one in found:
        notes = [f"the same as {one.same_as}"] if one.same_as else []
        notes += [f"needs pip install 'acme-manager[{one.extra}]'"] if one.extra else []
        yield f"{one.name:{wide}}  {one.tier:9} {one.source:9} {', '.join(notes)}".rstrip()
    yield f"{totals(found)}. verified: {_MEANINGS[Tier.VERIFIED]}. recorded: {_MEANINGS[Tier.RECORDED]}."
    yield f"mapped: {_MEANINGS[Tier.MAPPED]}. -dns.show NAME prints the variables of one."


def details(name: str, providers: Sequence[ProviderInfo]) -> Iterable[str]:
    """Everything about one, a line each: every source that has it, the first of which is asked."""
    for one in providers:
        also = f", the same as {one.same_as}" if one.same_as else ""
        extra = f", needs pip install 'acme-manager[{one.extra}]'" if one.extra else ""
        yield f"{name}: {one.source}, {one.tier}{also}{extra}"
        yield from (f"  {variable}" for variable in one.variables)
    yield "Each variable may also be the name of a file that holds the value, with _FILE behind its own name."


def markdown(providers: Iterable[ProviderInfo]) -> str:
    """docs/dns-providers.md."""
    found = sorted(providers, key=lambda one: one.name)
    rows = "\n".join(map(_row, found))
    meanings = "\n".join(f"- **{tier}**: {meaning}" for tier, meaning in _MEANINGS.items())
    return _PAGE.format(totals=totals(found), meanings=meanings, rows=rows)


def _row(one: ProviderInfo) -> str:
    variables = f"as `{one.same_as}`" if one.same_as else ", ".join(f"`{name}`" for name in one.variables)
    return f"| `{one.name}` | {one.tier} | {one.source} | {variables} |"


_PAGE = """# DNS providers

Made by `scripts/dns-providers` from what the program knows; a test compares. [dns.md](dns.md) says how a name is looked
up, and how to add a provider of your own.

**{totals}.** Second names of one provider are not counted.

{meanings}

`lego` and `lexicon` are extras: `pip install 'acme-manager[lego,lexicon]'`. Where both have a name, lego is asked. Each
variable may also be the name of a file that holds the value, with `_FILE` behind its own name; `X_*` is every variable
that begins so.

| `dns_challenge` | tier | source | variables |
|---|---|---|---|
{rows}
"""
