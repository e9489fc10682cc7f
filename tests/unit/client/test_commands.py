"""Commands: no shell unless asked for, a limit of time for all that they start, and no token of ours."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import trio

from acme_manager.client.commands import CHANGED, Command, run_command

ENVIRON = {"PATH": "/usr/bin:/bin", "ACME_MANAGER_TOKEN": "secret"}


async def run(text: str, *, patience: float = 30.0, shell: bool = False) -> str:
    return await run_command(Command(text=text, timeout=patience, shell=shell), ["one", "two"], ENVIRON)


async def test_arguments_are_split_as_a_shell_does_but_no_shell_reads_them(tmp_path: Path) -> None:
    target = tmp_path / "a b; touch $HOME"
    assert await run(f"touch {shlex.quote(str(target))}") == ""
    assert target.exists()


async def test_a_shell_reads_them_when_asked_to(tmp_path: Path) -> None:
    assert await run(f"echo x | cat > {tmp_path}/x", shell=True) == ""
    assert (tmp_path / "x").read_text() == "x\n"


async def test_it_learns_what_has_changed_and_not_our_token(tmp_path: Path) -> None:
    assert await run(f"env > {tmp_path}/env", shell=True) == ""
    text = (tmp_path / "env").read_text()
    assert f"{CHANGED}=one\ntwo\n" in text
    assert "secret" not in text


async def test_what_it_said_is_part_of_the_trouble() -> None:
    assert await run("sh -c 'echo oh no >&2; exit 3'") == "'sh' ended with code 3: oh no"
    assert "can't be run" in await run("/nowhere/program")


async def test_all_that_it_has_started_ends_with_its_time(tmp_path: Path) -> None:
    said = await run(f"sleep 1000 & echo $! > {tmp_path}/pid; wait", patience=0.5, shell=True)
    assert said.startswith("'sleep' was ended after 0.5 s")
    pid = int((tmp_path / "pid").read_text())
    with trio.fail_after(10):
        while _runs(pid):  # noqa: ASYNC110 another process sets no event of ours
            await trio.sleep(0.01)


async def test_what_it_leaves_running_does_not_hold_us_up(tmp_path: Path) -> None:
    with trio.fail_after(20):
        assert await run(f"sleep 30 & echo $! > {tmp_path}/pid", shell=True) == ""
    os.kill(int((tmp_path / "pid").read_text()), 9)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
