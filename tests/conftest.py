"""What holds for every test: an environment that says nothing, and no process left at the end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

# What our program, its libraries or the programs beside it would read from whoever runs the tests.
_FOREIGN = (
    "ACME_MANAGER_",
    "VAULT_",
    "BAO_",
    "LEGO_",
    "RFC2136_",
    "DNSUPDATE_",
    "PEBBLE_",
    "SSL_CERT_",
    "REQUESTS_CA_",
)
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CURL_CA_BUNDLE"}

# A shared machine may be slow at any moment, which says nothing about an example.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Unless told otherwise, it draws each traceback with all variables, which takes seconds.
_plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])

# Either ends the run with a report, so that one that hangs says where. A shell's background job is told to ignore the
# first, and so would be all that the tests start; a handler is not passed on.
for _number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(_number, signal.default_int_handler)


@pytest.fixture(autouse=True)
def silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove variables that would change what is tested."""
    for name in os.environ:
        if name.startswith(_FOREIGN) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object]) -> None:
    """End the run where somebody has interrupted it: out of Trio that comes in a group, as the failure of one test."""
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
        node.session.shouldstop = "interrupted"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test has left a process behind."""
    # Orphans of programs that were killed come to us once a plugin has been run here (confined/); the ended ones among
    # them wait for nobody.
    left = {pid: command for pid in _children() if (command := _command(pid))}
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nERROR: processes were left behind: {left}")  # noqa: T201 pytest shows it


def _children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def _command(pid: int) -> str:
    """Empty for one that has ended."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
