"""Prometheus's text for series that there are thousands of, and that carry labels which callers chose.

The client library renders each sample anew, several times slower; and it gives a counter no name but its own
(https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import attrs

from acme_manager.domain.certificate import split_labels

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = frozenset({"job", "instance", "le", "quantile"})  # Prometheus gives them a meaning of their own
_ESCAPES = str.maketrans(
    {"\\": r"\\", '"': r"\"", "\n": r"\n"} | {chr(n): "\ufffd" for n in (*range(10), *range(11, 32))}
)
_LONGEST = 256  # characters of a value
_MOST = 32  # labels that a caller has chosen for one certificate


@attrs.frozen
class Family:
    """All samples of one name. `unknown` is for counters whose name lacks `_total`: OpenMetrics knows none such."""

    name: str
    type: Literal["gauge", "counter", "unknown"]
    help: str

    def header(self, *, openmetrics: bool) -> str:
        """The two lines before the samples; OpenMetrics names a counter without `_total` there."""
        type = "untyped" if self.type == "unknown" and not openmetrics else self.type
        name = self.name.removesuffix("_total") if self.type == "counter" and openmetrics else self.name
        return f"# HELP {name} {self.help}\n# TYPE {name} {type}\n"


def label_text(labels: Mapping[str, str]) -> str:
    """What goes between the braces of a sample: names as they are, values escaped and cut to a sane length."""
    return ",".join(f'{name}="{value[:_LONGEST].translate(_ESCAPES)}"' for name, value in labels.items())


def with_user_labels(own: Mapping[str, str], text: str) -> dict[str, str]:
    """`own`, and the labels of a certificate's `labels` text.

    A name that is `own`'s or Prometheus's gets the prefix `label_`, so that it neither hides nor breaks anything; what
    is no label name at all, as records of other programs may have it, is left out.
    """
    usable = {name: value for name, value in split_labels(text).items() if _NAME.fullmatch(name)}
    free = {name: value for name, value in usable.items() if not _is_taken(name, own)}
    moved = {f"label_{name}": value for name, value in usable.items() if _is_taken(name, own)}
    return {**own, **dict(list((moved | free).items())[:_MOST])}


def _is_taken(name: str, own: Mapping[str, str]) -> bool:
    return name in own or name in _RESERVED or name.startswith("__")
