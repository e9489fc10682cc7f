"""What a run costs: CPU seconds of processes, and how busy the machine was with anything else meanwhile."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.define(kw_only=True)
class Cost:
    """Filled in when the measured block has ended. Everything is in seconds."""

    wall: float = 0.0
    own: float = 0.0  # CPU of this process
    children: float = 0.0  # CPU of its children that ended meanwhile
    parts: Mapping[str, float] = attrs.field(factory=dict)  # CPU of the processes named
    others: float = 0.0  # CPU that the machine spent on nothing of the above, what a hypervisor took included


@contextmanager
def measured(parts: Mapping[str, int]) -> Iterator[Cost]:
    """Measure a block; `parts` are the ids of processes that live throughout."""
    cost = Cost()
    before = {name: cpu_of(pid) for name, pid in parts.items()}
    own, children, busy, began = (
        _cpu(resource.RUSAGE_SELF),
        _cpu(resource.RUSAGE_CHILDREN),
        _busy(),
        time.perf_counter(),
    )
    yield cost
    cost.wall = time.perf_counter() - began
    cost.own, cost.children = _cpu(resource.RUSAGE_SELF) - own, _cpu(resource.RUSAGE_CHILDREN) - children
    cost.parts = {name: cpu_of(pid) - before[name] for name, pid in parts.items()}
    cost.others = max(0.0, _busy() - busy - cost.own - cost.children - sum(cost.parts.values()))


def cpu_of(pid: int) -> float:
    """User and system CPU seconds of a process and of the children that it has waited for (proc(5), `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def load() -> str:
    """The load average over 1, 5 and 15 minutes."""
    return " ".join(f"{one:.2f}" for one in os.getloadavg())


def description() -> Mapping[str, str]:
    """What the figures were measured on."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": unknown")
    memory = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "MemTotal: 0 kB")
    return {
        "CPU": f"{len(os.sched_getaffinity(0))} x {cpu.partition(':')[2].strip()}",
        "memory": f"{int(memory.split()[1]) / 2**20:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }


def _cpu(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _busy() -> float:
    """CPU seconds of the whole machine that were not idle, since it was started."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, _lines("/proc/stat")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
