from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plugins.helpers import NAME, VALUE, run

MADE_FROM = {"domain": "www.example.test", "key_authorization": "the-token.the-thumbprint"}
SCRIPT = """#!/bin/sh
printf '%s|' "$@"
cat
printf '%s' "$EXTRA" >&2
exit $CODE
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


async def test_the_program_gets_legos_arguments_and_its_output_is_for_the_log(script: Path) -> None:
    env = {"EXEC_PATH": str(script), "EXTRA": "word", "PATH": "/usr/bin:/bin"}
    for action in ("present", "cleanup"):
        outcome = await run("exec", action, NAME, VALUE, "example.test.", env=env, stdin=MADE_FROM)
        assert (outcome.code, outcome.said) == (0, {})
        assert outcome.stderr == f"{action}|{NAME}|{VALUE}|word"


async def test_in_raw_mode_it_gets_what_the_record_is_made_from(script: Path) -> None:
    env = {"EXEC_PATH": str(script), "EXEC_MODE": "RAW", "PATH": "/usr/bin:/bin"}
    outcome = await run("exec", "present", NAME, VALUE, env=env, stdin=MADE_FROM)
    assert outcome.stderr == "present|--|www.example.test|the-token|the-token.the-thumbprint|"


async def test_its_exit_code_is_ours(script: Path) -> None:
    outcome = await run("exec", "present", NAME, VALUE, env={"EXEC_PATH": str(script), "CODE": "7"})
    assert (outcome.code, outcome.said) == (7, {})


async def test_a_name_without_a_folder_is_looked_for(script: Path) -> None:
    env = {"EXEC_PATH": script.name, "PATH": f"{script.parent}:/usr/bin:/bin"}
    assert (await run("exec", "present", NAME, VALUE, env=env)).code == 0


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "EXEC_PATH is not set"),
        ({"EXEC_PATH": "./script"}, "EXEC_PATH: './script' must be an absolute path"),
        ({"EXEC_PATH": "/nowhere/script"}, "EXEC_PATH: '/nowhere/script' can't be run: No such file or directory"),
        ({"EXEC_PATH": "/etc/passwd"}, "EXEC_PATH: '/etc/passwd' can't be run: Permission denied"),
        ({"EXEC_PATH": "/bin/true", "EXEC_MODE": "raw"}, "EXEC_MODE: 'raw' is no mode"),
        ({"EXEC_PATH": "/bin/true", "EXEC_MODE": "RAW"}, "EXEC_MODE=RAW needs domain and key_authorization"),
    ],
)
async def test_a_variable_that_is_wrong_is_named(env: dict[str, str], words: str) -> None:
    outcome = await run("exec", "present", NAME, VALUE, env=env)
    assert (outcome.code, outcome.cause) == (1, "input")
    assert words in outcome.error


async def test_a_misuse_is_answered_with_how_to_use_it() -> None:
    assert (await run("exec", "present", NAME, env={})).code == 2
