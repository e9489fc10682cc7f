"""What a look ahead has found: one line of a list of yes and no."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

_NAMES_SHOWN = 10


@attrs.frozen(kw_only=True)
class Finding:
    """`ok` is None where a check could not be made; `remedy` is what to do about a no, and `record` the DNS record to
    create where that is it, as a line of a zone file."""

    check: str
    ok: bool | None
    detail: str
    remedy: str = ""
    record: str = ""


def merged(findings: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """Findings about names, as one for all the names about which the same was found; the names go in front."""
    names: dict[Finding, list[str]] = {}
    for name, finding in findings:
        names.setdefault(finding, []).append(name)
    return [attrs.evolve(finding, detail=f"{listed(about)}: {finding.detail}") for finding, about in names.items()]


def listed(names: Iterable[object]) -> str:
    """Some names, and how many more."""
    texts = list(map(str, names))
    more = f" and {len(texts) - _NAMES_SHOWN} more" if len(texts) > _NAMES_SHOWN else ""
    return ", ".join(texts[:_NAMES_SHOWN]) + more
