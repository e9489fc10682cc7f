"""Durations as people type them: Go's (`1h30m`) in flags and settings, Prometheus's (`30d`) in tokens and clients.

Both are read into seconds. Sources: Go's `time.ParseDuration` and `model.ParseDuration` of prometheus/common.
"""

from __future__ import annotations

import re
from fractions import Fraction

_MAX_NANOSECONDS = 2**63 - 1  # both programs count in 64-bit nanoseconds: about 292 years

_GO_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # U+00B5, the micro sign
    "μs": 10**3,  # U+03BC, the Greek letter
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_GO_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.+-]*)")

_PROMETHEUS_UNITS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_PROMETHEUS_SHAPE = re.compile(
    "".join(rf"(?:([0-9]+){unit}(?!s))?" for unit in "ywdhm") + r"(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)


def parse_go_duration(text: str) -> float:
    """Read a Go duration such as `1h30m`, `-1.5s` or `0` into seconds. Raises ValueError saying what to write."""
    if text in {"0", "+0", "-0"}:
        return 0.0
    unsigned = text[1:] if text[:1] in {"-", "+"} else text
    if not unsigned:
        raise ValueError(f"'{text}' is no duration: write numbers with units, like 30s, 5m or 1h30m")
    total, at = Fraction(0), 0
    while at < len(unsigned):
        found = _GO_PART.match(unsigned, at)
        whole, fraction, unit = found.groups() if found else ("", None, "")
        if found is None or not (whole or fraction) or (not unit and found.end() < len(unsigned)):
            raise ValueError(f"'{text}' is no duration: write numbers with units, like 30s, 5m or 1h30m")
        if not unit and found.end() == len(unsigned):
            raise ValueError(f"'{text}' lacks a unit: write {text}s for seconds or {text}m for minutes")
        if unit not in _GO_UNITS:
            raise ValueError(f"'{text}' has an unknown unit '{unit}': use ns, us, ms, s, m or h{_in_hours(unit)}")
        total += Fraction(f"{whole or 0}.{fraction or 0}") * _GO_UNITS[unit]
        at = found.end()
    if total > _MAX_NANOSECONDS:
        raise ValueError(f"'{text}' is too long: the limit is 292 years")
    return float(total / 10**9) * (-1 if text[0] == "-" else 1)


def _in_hours(unit: str) -> str:
    hours = {"d": 24, "w": 168}.get(unit)
    return f"; 1{unit} is {hours}h" if hours else ""


def format_go_duration(seconds: float) -> str:
    """Write seconds the way Go reads them, without parts that are zero: `30m`, `1h30m`, `1.5s`, `200ms`, `0s`."""
    nanoseconds = round(Fraction(seconds) * 10**9)
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if rest == 0:
        return "0s"
    if rest < _GO_UNITS["s"]:
        unit = next(unit for unit in ("ms", "us", "ns") if rest >= _GO_UNITS[unit])
        return f"{sign}{_decimal(rest, _GO_UNITS[unit])}{unit}"
    hours, rest = divmod(rest, _GO_UNITS["h"])
    minutes, rest = divmod(rest, _GO_UNITS["m"])
    parts = [(str(hours), "h"), (str(minutes), "m"), (_decimal(rest, _GO_UNITS["s"]), "s")]
    return sign + "".join(number + unit for number, unit in parts if number != "0")


def _decimal(amount: int, unit: int) -> str:
    """`amount / unit` in decimal digits, exactly; `unit` is a power of ten."""
    whole, fraction = divmod(amount, unit)
    digits = str(fraction).zfill(len(str(unit)) - 1).rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)


def parse_prometheus_duration(text: str) -> float:
    """Read a Prometheus duration such as `1y2w3d4h5m6s7ms` or `0` into seconds; a year has 365 days, a day 24 hours.

    Units come in that order, each at most once, with whole numbers. Raises ValueError saying what to write.
    """
    if text == "0":
        return 0.0
    found = _PROMETHEUS_SHAPE.fullmatch(text)
    if found is None or not text:
        raise ValueError(
            f"'{text}' is no duration: write whole numbers with units from long to short, like 30d or 1d12h"
        )
    *numbers, milliseconds = (int(number or 0) for number in found.groups())
    total = sum(number * unit for number, unit in zip(numbers, _PROMETHEUS_UNITS.values(), strict=True))
    if total * 10**9 + milliseconds * 10**6 > _MAX_NANOSECONDS:
        raise ValueError(f"'{text}' is too long: the limit is 292 years")
    return total + milliseconds / 1000
