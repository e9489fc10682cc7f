from __future__ import annotations

import gc
import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path
from time import perf_counter

import attrs
import pytest
import trio

from acme_manager.confined import run as running
from acme_manager.confined.program import Program, ProgramRefused
from acme_manager.confined.run import OutputTooLarge, run_confined
from tests.unit.confined.programs import PYTHON, nothing_left, runs, script


async def test_arguments_and_input_arrive_and_output_and_exit_code_come_back(tmp_path: Path) -> None:
    program = script(tmp_path / "plugin", 'echo "$@"; cat; echo oops >&2; exit 3')
    done = await run_confined(program, ["a b", "", "*"], env={}, stdin=b"input")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"a b  *\ninput", b"oops\n")


async def test_it_sees_path_lang_and_its_own_variables_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "planted")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    body = "import sys; sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read())"
    done = await run_confined(script(tmp_path / "p", body, PYTHON), [], env={"TOKEN": "geheim", "EMPTY": ""})
    assert sorted(done.stdout.split(b"\0")) == [
        b"", b"EMPTY=", b"LANG=de_DE.UTF-8", b"PATH=/usr/bin:/bin", b"TOKEN=geheim",
    ]  # fmt: skip


async def test_it_inherits_no_descriptor(tmp_path: Path) -> None:
    ours = [socket.socketpair() for _ in range(20)]
    for pair in ours:
        for end in pair:
            os.set_inheritable(end.fileno(), True)
    done = await run_confined(
        script(tmp_path / "p", "ls -l /proc/$$/fd | grep -c '[0-9] ->'; ls /proc/$$/fd"), [], env={}
    )
    for pair in ours:
        for end in pair:
            end.close()
    descriptors = done.stdout.split()[1:]
    assert set(descriptors) - {b"10"} == {b"0", b"1", b"2"}  # dash reads its script from 10


async def test_it_works_in_an_empty_folder_of_its_own_that_goes_with_it(tmp_path: Path) -> None:
    body = 'pwd; ls -A | wc -l; umask; mkdir -p deep/er; echo x > deep/er/file; chmod 0 deep; echo "$0"'
    with nothing_left():
        done = await run_confined(script(tmp_path / "work", body), [], env={})
    folder, files, mask, name = done.stdout.decode().split()
    assert (files, mask, Path(name).name) == ("0", "0077", "work")
    assert Path(folder).parent.parent == Path(tempfile.gettempdir())
    assert not await trio.Path(folder).exists()


async def test_nobody_else_can_read_the_copy_that_runs(tmp_path: Path) -> None:
    body = 'stat -c %a "$0" "$(dirname "$0")"'
    assert (await run_confined(script(tmp_path / "p", body), [], env={})).stdout.split() == [b"500", b"700"]


async def test_limits_count_and_no_core_is_written(tmp_path: Path) -> None:
    program = script(tmp_path / "p", "ulimit -n; ulimit -c; ulimit -H -f")
    done = await run_confined(attrs.evolve(program, limits={"nofile": 37, "fsize": 512}), [], env={})
    assert done.stdout.split() == [b"37", b"0", b"1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
async def test_it_runs_as_another_user_with_that_user_s_groups_and_none_of_ours(tmp_path: Path) -> None:
    program = attrs.evolve(
        script(tmp_path / "p", 'id -u; id -g; id -G; touch file && echo wrote; cat "$0" >/dev/null && stat -c %a "$0"'),
        user="nobody",
    )
    account = pwd.getpwnam("nobody")
    with nothing_left():
        done = await run_confined(program, [], env={})
    groups = " ".join(map(str, os.getgrouplist("nobody", account.pw_gid)))
    assert done.stdout.decode().splitlines() == [str(account.pw_uid), str(account.pw_gid), groups, "wrote", "550"]


async def test_becoming_another_user_without_the_right_to_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", denied)
    program = attrs.evolve(script(tmp_path / "p", "true"), user="nobody")
    with nothing_left(), pytest.raises(ProgramRefused, match="can't be run as user 'nobody': Operation not permitted"):
        await run_confined(program, [], env={})


async def test_ten_thousand_lines_are_no_trouble(tmp_path: Path) -> None:
    done = await run_confined(script(tmp_path / "p", "seq 10000; seq 10000 >&2"), [], env={})
    assert done.stdout.count(b"\n") == 10_000
    assert len(done.stderr) == 8192
    assert done.stderr.endswith(b"10000\n")


async def test_output_without_end_is_ended(tmp_path: Path) -> None:
    with nothing_left(), trio.fail_after(10), pytest.raises(OutputTooLarge, match="more than 4096 bytes"):
        await run_confined(script(tmp_path / "p", "exec yes"), [], env={}, output_limit=4096)


async def test_errors_without_end_are_kept_in_bounds_until_the_time_is_over(tmp_path: Path) -> None:
    with nothing_left(), trio.move_on_after(0.3) as scope:
        await run_confined(script(tmp_path / "p", "exec yes >&2"), [], env={})
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    "body",
    [
        "exec sleep 100",
        "trap '' TERM; sleep 100; sleep 100",  # ignores SIGTERM
        "exec <&-; sleep 100",  # closes its input
        "exec <&- >&- 2>&-; sleep 100",  # closes everything
        "kill -STOP $$",
        "sleep 100 & sleep 100 & wait",
    ],
)
async def test_one_that_hangs_is_ended_with_all_its_children(tmp_path: Path, body: str) -> None:
    program, mark = script(tmp_path / "p", body), f"MARK={tmp_path}"
    began = perf_counter()
    with nothing_left(), trio.move_on_after(0.2) as scope:
        await run_confined(program, [], env={"MARK": str(tmp_path)}, grace=0.2)
    assert scope.cancelled_caught
    assert perf_counter() - began < 3
    assert runs(mark) == []


DOUBLE_FORK = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        time.sleep(100)
    os._exit(0)
os.wait()
print("done")
"""
FORK_CHAIN = """
import os, signal, time
if os.fork():
    print("done", flush=True)
    os._exit(0)
if LEAVE:
    os.setsid()
while True:
    if os.fork():
        os._exit(0)
"""


@pytest.mark.parametrize(
    ("body", "first"),
    [
        ("sleep 100 & sleep 100 & echo done", "#!/bin/sh"),  # they hold the pipes
        ("setsid sleep 100 & echo done; wait $(jobs -p) & exit", "#!/bin/sh"),
        ("(setsid sh -c 'setsid sleep 100 & setsid sleep 100' &); sleep 0.05; echo done", "#!/bin/sh"),
        (DOUBLE_FORK, PYTHON),
        (FORK_CHAIN.replace("LEAVE", "False"), PYTHON),
        (FORK_CHAIN.replace("LEAVE", "True"), PYTHON),
    ],
)
async def test_what_it_leaves_behind_is_killed_and_delays_nothing(tmp_path: Path, body: str, first: str) -> None:
    program = script(tmp_path / "p", body, first)
    began = perf_counter()
    with nothing_left():
        done = await run_confined(program, [], env={"MARK": str(tmp_path)})
    assert done.stdout == b"done\n"
    assert perf_counter() - began < 3
    assert runs(f"MARK={tmp_path}") == []


async def test_input_that_nobody_reads_is_no_trouble(tmp_path: Path) -> None:
    with nothing_left():
        done = await run_confined(script(tmp_path / "p", "exit 0"), [], env={}, stdin=b"x" * 1_000_000)
    assert done.returncode == 0


async def test_a_run_that_is_cancelled_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    program = script(tmp_path / "p", "(setsid sleep 100 &) ; sleep 0.01; echo done")
    took = 0.0
    for step in range(25):
        with nothing_left():
            began = perf_counter()
            with trio.move_on_after(step * 0.001):
                await run_confined(program, [], env={"MARK": str(tmp_path)}, grace=0.1)
            took = max(took, perf_counter() - began)
        assert runs(f"MARK={tmp_path}") == []
    assert took < 3


async def test_a_thousand_runs_leave_no_descriptor_no_process_and_no_folder() -> None:
    program = Program(path=Path("/bin/true"))
    await run_confined(program, [], env={})
    gc.disable()  # what only the collector would close counts as left
    try:
        with nothing_left():
            for _ in range(50):
                async with trio.open_nursery() as nursery:
                    for _ in range(20):
                        nursery.start_soon(lambda: run_confined(program, [], env={}))
    finally:
        gc.enable()


async def test_programs_are_run_side_by_side(tmp_path: Path) -> None:
    program, began = script(tmp_path / "p", "sleep 0.5"), perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(lambda: run_confined(program, [], env={}))
    assert perf_counter() - began < 5


async def test_an_interpreter_can_be_given_to_what_has_none(tmp_path: Path) -> None:
    path = tmp_path / "plugin"
    path.write_text('echo "$1"')
    path.chmod(0o755)
    program = attrs.evolve(script(tmp_path / "p", ""), path=path, checksum=None, interpreter=("/bin/sh",))
    assert (await run_confined(program, ["hello"], env={})).stdout == b"hello\n"


async def test_a_host_without_prlimit_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = script(tmp_path / "p", "true")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "util-linux" in running.trouble()
    with nothing_left(), pytest.raises(ProgramRefused, match="prlimit is missing"):
        await run_confined(program, [], env={})
