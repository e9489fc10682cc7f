"""Programs are found, seen ready and ended, or say why not."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from tests.parts.program import PartFailed, PortTaken, Program, free_ports, on_free_ports, still_running


async def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    program = Program(argv=("no-such-server",), folder=tmp_path, package="some-package")
    with pytest.raises(PartFailed, match="no-such-server is not installed; the package some-package has it"):
        program.start()


async def test_a_program_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    program = Program(argv=("sh", "-c", "echo the reason; exit 3"), folder=tmp_path, package="dash")
    program.start()
    with pytest.raises(PartFailed, match=r"sh ended with status 3; its log ends with\nthe reason"):
        await program.ready(_never)


async def test_a_program_that_never_answers_is_killed_with_its_children(tmp_path: Path) -> None:
    program = Program(
        argv=("sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait; wait"), folder=tmp_path, package="dash"
    )
    program.start()
    with pytest.raises(PartFailed, match="did not answer"):
        await program.ready(_never, within=0.3)
    child = int(program.log())
    with trio.fail_after(5):
        while _runs(child):  # noqa: ASYNC110 nobody tells us
            await trio.sleep(0.01)
    assert not still_running([program.pid])


async def test_a_stop_that_is_ignored_becomes_a_kill(tmp_path: Path) -> None:
    program = Program(
        argv=("sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"), folder=tmp_path, package="dash"
    )
    program.start()

    async def up() -> None:
        if "up" not in program.log():
            raise ConnectionError

    await program.ready(up)
    await program.stop(within=0.1)
    assert not still_running([program.pid])


async def test_children_that_outlive_a_program_end_with_it(tmp_path: Path) -> None:
    program = Program(argv=("sh", "-c", "sleep 1000 & echo $!"), folder=tmp_path, package="dash")
    program.start()
    with pytest.raises(PartFailed, match="ended with status 0"):
        await program.ready(_never)
    with trio.fail_after(5):
        while _runs(int(program.log())):  # noqa: ASYNC110 nobody tells us
            await trio.sleep(0.01)


async def test_a_program_that_runs_is_not_started_twice_and_one_that_does_not_gets_no_signal(tmp_path: Path) -> None:
    program = Program(argv=("sleep", "1000"), folder=tmp_path, package="coreutils")
    program.start()
    with pytest.raises(PartFailed, match="sleep is running already"):
        program.start()
    program.kill()
    with pytest.raises(PartFailed, match="sleep is not running"):
        program.freeze()
    assert program.returncode == -signal.SIGKILL


async def test_a_program_dies_with_whoever_started_it(tmp_path: Path) -> None:
    body = """if True:
        import os, pathlib
        from tests.parts.program import Program
        program = Program(argv=("sh", "-c", "< fifo; exec sleep 1000"), folder=pathlib.Path.cwd(), package="dash")
        program.start()
        with open("fifo", "w"):  # returns once the shell has opened it to read
            print(program.pid, flush=True)
            os.kill(os.getpid(), 9)
    """
    os.mkfifo(tmp_path / "fifo")
    root = Path(__file__).parents[3]
    starter = await trio.run_process(
        [sys.executable, "-c", body],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert starter.returncode == -signal.SIGKILL, starter.stderr
    with trio.fail_after(5):
        while _runs(int(starter.stdout)):  # noqa: ASYNC110 nobody tells us
            await trio.sleep(0.01)


async def test_a_lost_port_is_tried_again_and_other_failures_are_not(tmp_path: Path) -> None:
    outcomes: list[Exception] = [PortTaken(), PortTaken(), PartFailed("broken")]

    async def attempt() -> None:
        raise outcomes.pop(0)

    with pytest.raises(PartFailed, match="broken"):
        await on_free_ports(attempt)
    assert not outcomes


def test_free_ports_differ_and_can_be_used_at_once() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20


async def _never() -> None:
    raise ConnectionError


def _runs(pid: int) -> bool:
    """Whether it executes anything; an orphan stays a zombie until the system's first process has time for it."""
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
