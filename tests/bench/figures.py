"""Numbers for people."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence


def say(text: str) -> None:
    """Print at once: a run takes minutes and is watched."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def spread(values: Sequence[float], digits: int = 1) -> str:
    """`median (least - most)`."""
    middle, least, most = (f"{one:.{digits}f}" for one in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} - {most})"


def ratio(ours: Sequence[float], theirs: Sequence[float], digits: int = 1) -> str:
    """The spread of the ratios within each round, where the machine was in about the same mood for both."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)], digits)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
