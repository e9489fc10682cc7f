"""All tests, as several runs of pytest, two at a time: real parts make a test wait, and the others compute meanwhile.

One run of everything leaves half of a machine with two cores idle. pytest-xdist would split finer, but tests here end
processes by the group, its workers among them. The first run is shown as it goes, the others once all have ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import FrameType
from typing import IO, NoReturn

import attrs

AT_ONCE = 2
# The longest first. Clusters have a run of their own since they need more than a core while they start.
PARTS = (
    ("tests/integration", "tests/browser", "--ignore=tests/integration/cluster"),
    ("tests/integration/cluster",),
    ("tests", "--ignore=tests/integration", "--ignore=tests/browser"),
)
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 5.0  # seconds that a run may take to end by itself once we were interrupted


@attrs.frozen(eq=False)
class Run:
    """One pytest; `said` is its output, unless that is ours."""

    process: subprocess.Popen[bytes]
    said: IO[bytes] | None

    def show(self) -> None:
        """Print what it has kept to itself."""
        if self.said is not None:
            self.said.seek(0)
            shutil.copyfileobj(self.said, sys.stdout.buffer)
            sys.stdout.flush()


def main() -> int:
    """Run all parts; 0 if all have passed."""
    for number in SIGNALS:
        signal.signal(number, interrupt)
    runs: list[Run] = []
    try:
        for part in PARTS:
            wait_for_room(runs)
            runs.append(start(part, shown=not runs))
        statuses = [run.process.wait() for run in runs]
    except KeyboardInterrupt:
        end(runs)
        statuses = [signal.SIGINT]
    for run in runs:
        run.show()
    return int(any(statuses))


def start(part: tuple[str, ...], *, shown: bool) -> Run:
    """Start pytest on a part; unless it is `shown`, its output is kept."""
    said = None if shown else tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the run
    return Run(subprocess.Popen([sys.executable, "-m", "pytest", *part], stdout=said, stderr=said), said)


def wait_for_room(runs: list[Run]) -> None:
    """Wait until fewer of them run than may run at once."""
    while sum(run.process.poll() is None for run in runs) >= AT_ONCE:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # until any has ended; poll() asks how


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Stop what is being done, once: `timeout` sends its signal to us and then to all of us."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def end(runs: list[Run]) -> None:
    """See the runs to their end: a terminal has interrupted them with us, others may have not."""
    for number in (None, signal.SIGINT, signal.SIGKILL):
        for run in runs:
            if number is not None:
                run.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                run.process.wait(_GRACE)


if __name__ == "__main__":
    sys.exit(main())
