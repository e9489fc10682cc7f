from __future__ import annotations

import hashlib
import os
from pathlib import Path

import attrs
import pytest

from acme_manager.confined import program as programs
from acme_manager.confined.program import Program, ProgramRefused
from acme_manager.confined.run import run_confined
from tests.unit.confined.programs import nothing_left, script

ELF_OF_A_MAINFRAME = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(44)  # elf(5): S/390


async def refusal(program: Program) -> str:
    with nothing_left(), pytest.raises(ProgramRefused) as caught:
        await run_confined(program, [], env={})
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ELF_OF_A_MAINFRAME, "is built for another kind of machine"),
        (b"echo this would run in a shell\n", "is neither a program for Linux nor a script"),
        (b"#!/bin/sh\r\necho\r\n", "has lines that end as on Windows"),
        (b"#!/opt/none/bin/python3\n", "names the interpreter '/opt/none/bin/python3', which is not there"),
        (b"#!\n", "names the interpreter ''"),
        (b"", "is empty"),
    ],
)
async def test_what_the_kernel_would_not_start_is_told_apart(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "plugin"
    path.write_bytes(content)
    path.chmod(0o755)
    assert words in await refusal(Program(path=path))


async def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o777)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    assert "is no regular file" in await refusal(Program(path=tmp_path / "fifo"))
    assert "is no regular file" in await refusal(Program(path=tmp_path))
    assert "can't be run: No such file or directory" in await refusal(Program(path=tmp_path / "link"))
    assert "chmod +x makes it so" in await refusal(Program(path=tmp_path / "plain"))


async def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = script(tmp_path / "huge", "")
    with huge.path.open("r+b") as file:
        file.truncate(600 << 20)
    assert "is larger than 512 MiB" in await refusal(huge)
    monkeypatch.setattr(programs, "_LARGEST", 10)
    monkeypatch.setattr(programs, "open_program", lambda path: path.open("rb"))  # as if it had been small a moment ago
    assert "is larger than 0 MiB" in await refusal(script(tmp_path / "growing", "true"))


async def test_a_file_that_was_swapped_since_the_check_is_refused(tmp_path: Path) -> None:
    program = script(tmp_path / "plugin", "echo good")
    script(tmp_path / "plugin", "echo bad")
    said = await refusal(program)
    assert "is not the file that was checked" in said
    assert str(program.checksum) in said


async def test_what_runs_is_what_was_hashed_when_the_file_is_swapped_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = script(tmp_path / "plugin", "echo good")
    copy = programs._copy

    def copy_then_swap(program: Program, target: Path) -> str:
        checksum = copy(program, target)
        script(tmp_path / "other", "echo bad").path.replace(program.path)
        return checksum

    monkeypatch.setattr(programs, "_copy", copy_then_swap)
    assert (await run_confined(program, [], env={})).stdout == b"good\n"
    assert b"bad" in program.path.read_bytes()


async def test_a_file_swapped_while_it_is_hashed_has_neither_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = script(tmp_path / "plugin", "echo good\n" + "#" * 100_000)
    monkeypatch.setattr(programs, "_CHUNK", 16)
    see = programs._see_that_it_starts

    def see_then_write(path: Path, head: bytes) -> None:
        see(path, head)
        script(path, "echo evil\n" + "%" * 100_000)  # in place: the descriptor that is being read sees it

    monkeypatch.setattr(programs, "_see_that_it_starts", see_then_write)
    assert "is not the file that was checked" in await refusal(program)


async def test_a_checksum_may_be_written_in_capitals_or_left_out(tmp_path: Path) -> None:
    program = script(tmp_path / "plugin", "true")
    assert program.checksum == hashlib.sha256(program.path.read_bytes()).hexdigest()
    for checksum in (program.checksum.upper(), None):
        assert (await run_confined(attrs.evolve(program, checksum=checksum), [], env={})).returncode == 0


async def test_a_folder_for_programs_that_forbids_them_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @attrs.frozen
    class Mount:
        f_flag: int = os.ST_NOEXEC

    program = script(tmp_path / "plugin", "true")
    monkeypatch.setattr(os, "statvfs", lambda _path: Mount())
    said = await refusal(program)
    assert "mounted noexec; set TMPDIR to another folder" in said


async def test_an_unknown_user_is_told(tmp_path: Path) -> None:
    program = attrs.evolve(script(tmp_path / "plugin", "true"), user="no-such-user-here")
    assert "there is no user 'no-such-user-here'" in await refusal(program)
