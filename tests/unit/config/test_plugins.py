from __future__ import annotations

import hashlib
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from acme_manager.config.load import load
from acme_manager.config.model import Plugin
from acme_manager.confined import strays
from acme_manager.errors import ConfigInvalid


class File:
    """A configuration with one plugin; `plugin` are the keys of it."""

    def __init__(self, folder: Path) -> None:
        self.program, self.config = folder / "program", folder / "config.yml"
        self.program.write_bytes(b"#!/bin/sh\n")
        self.program.chmod(0o755)
        checksum = hashlib.sha256(b"#!/bin/sh\n").hexdigest()
        self.plugin: dict[str, Any] = {"name": "p", "path": str(self.program), "checksum": checksum}

    def load(self) -> Plugin:
        vault = {"url": "https://v", "role_id": "r", "secret_id": "s", "secret_engine": "e", "certificate_prefix": "c"}
        content = {
            "common": {"plugins": [self.plugin]},
            "issuer": {"le": {"ca_dir_url": "https://ca.example"}},
            "storage": {"vault": vault},
        }
        self.config.write_text(yaml.safe_dump(content))
        (plugin,) = load(self.config, {}).common.plugins
        return plugin

    def complaint(self) -> tuple[str, str]:
        with pytest.raises(ConfigInvalid) as caught:
            self.load()
        (said,) = caught.value.complaints
        return said.where, said.message


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def test_a_plugin_is_a_dns_provider_with_half_a_minute_and_no_limits_unless_told_otherwise(file: File) -> None:
    read = file.load()
    assert (read.type, read.timeout, read.user, dict(read.limits)) == ("dns", 30.0, "", {})


def test_type_user_and_limits_are_read(file: File) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    file.plugin.update(type="hook", user=me, limits={"nofile": 64, "core": 0})
    read = file.load()
    assert (read.type, read.user, dict(read.limits)) == ("hook", me, {"nofile": 64, "core": 0})


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("type", "dsn", "must be dns (a provider for dns_challenge) or hook"),
        ("user", "no-such-user-here", "must be the name of a user of this host (useradd"),
        ("user", 1000, "must be text"),
        ("limits", ["nofile"], "must be a mapping like 'nofile: 64', not a list"),
        ("limits", {"nofiles": 1}, "has 'nofiles', which is no limit that can be set; did you mean 'nofile'?"),
        ("limits", {"msgqueue": 1}, "has 'msgqueue', which is no limit that can be set; there are: as, core"),
        ("limits", {"as": "1G"}, "has 'as', which must be a whole number without quotes, not text"),
        ("limits", {"as": -1}, "has 'as', which must be between 0 and"),
        ("timeout", 0.5, "between 1 and 3600 seconds"),
        ("executable", True, "is no key of ours"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(file: File, key: str, value: object, remedy: str) -> None:
    file.plugin[key] = value
    where, message = file.complaint()
    assert where == f"common.plugins[0].{key}"
    assert remedy in message


def test_a_limit_above_our_own_is_for_root_only(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    file.plugin["limits"] = {"nofile": 2**40}
    _, message = file.complaint()
    assert "has 'nofile' above " in message
    assert "only root may raise it" in message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "is no regular file"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to("nowhere"), "can't be read: No such file or directory"),
        (lambda path: path.write_bytes(b"#!/bin/sh\n"), "is not executable; chmod +x makes it so"),
    ],
)
def test_what_is_no_program_is_refused_at_once(file: File, make: Any, words: str) -> None:
    file.program.unlink()
    make(file.program)
    where, message = file.complaint()
    assert where == "common.plugins[0].path"
    assert words in message


def test_a_file_that_was_changed_is_refused_with_its_checksum(file: File) -> None:
    file.program.write_bytes(b"#!/bin/bash\n")
    where, message = file.complaint()
    assert where == "common.plugins[0].checksum"
    assert hashlib.sha256(b"#!/bin/bash\n").hexdigest() in message


def test_a_host_that_can_run_no_plugins_says_what_is_missing(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    where, message = file.complaint()
    assert where == "common.plugins"
    assert "prlimit is missing, which plugins are run with; it is in the package util-linux" in message
    monkeypatch.undo()
    monkeypatch.setattr(strays, "_marks", lambda: range(0))
    where, message = file.complaint()
    assert where == "common.plugins"
    assert "RLIMIT_MSGQUEUE" in message
