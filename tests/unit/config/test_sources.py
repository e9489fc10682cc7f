from __future__ import annotations

from pathlib import Path

import pytest

from acme_manager.config.flags import Flags
from acme_manager.config.sources import Sources
from acme_manager.errors import ConfigInvalid

CONFIG = """
common: {rootpath_account: /var/lib/acme-manager}
issuer: {le: {ca_dir_url: "https://ca.example/dir"}}
storage: {vault: {url: "https://vault", role_id: r, secret_id: s, secret_engine: e, certificate_prefix: c}}
"""


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "config.yml").write_text(CONFIG)
    flags = Flags(config_path=str(tmp_path / "config.yml"), env_config_path=str(tmp_path / ".env"))
    return Sources.of(flags, {"FROM_BOTH": "process"})


def test_they_are_read_anew_each_time_and_the_process_wins(sources: Sources, tmp_path: Path) -> None:
    first = sources.read()
    assert first.environ == {"FROM_BOTH": "process"}
    (tmp_path / ".env").write_text("FROM_FILE=1\nFROM_BOTH=file\n")
    second = sources.read()
    assert second.environ == {"FROM_FILE": "1", "FROM_BOTH": "process"}
    assert (second != first, second.digest) == (True, first.digest)
    (tmp_path / "config.yml").write_text(CONFIG + "# a comment\n")
    third = sources.read()
    assert (third, third.digest != first.digest) == (second, True)


def test_a_file_with_variables_that_can_not_be_read_is_a_complaint_without_values(
    sources: Sources, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GOOD=1\nSECRET='open\n")
    with pytest.raises(ConfigInvalid) as caught:
        sources.read()
    (complaint,) = caught.value.complaints
    assert complaint.where == str(tmp_path / ".env")
    assert complaint.message.startswith("line 2: the value of SECRET lacks its closing '")
    assert "open" not in str(caught.value)
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigInvalid, match="can't be read"):
        sources.read()
