from __future__ import annotations

import stat
from pathlib import Path

import attrs
import pytest
import trio

from acme_manager.dev import folder as folders
from acme_manager.dev.folder import DevFailed, State, open_folder


async def test_a_folder_without_a_name_goes_away_with_all_that_is_in_it() -> None:
    async with open_folder("") as folder:
        assert not folder.kept
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        folder.save(State())
        (folder.path / "sub").mkdir()
        (folder.path / "sub" / "file").write_text("x")
    assert not folder.path.exists()


async def test_a_named_folder_stays_and_remembers(tmp_path: Path) -> None:
    async with open_folder(str(tmp_path / "a" / "b")) as folder:
        saved = attrs.evolve(folder.load(), bearer="abc", api_port=1234)
        folder.openbao_data.mkdir()
        folder.save(saved)
    async with open_folder(str(tmp_path / "a" / "b")) as folder:
        assert folder.kept
        assert folder.load() == saved


async def test_what_is_written_is_for_the_owners_eyes_only(tmp_path: Path) -> None:
    async with open_folder(str(tmp_path / "data")) as folder:
        folder.save(State())
        folder.save(State())
        folder.write(folder.unseal_key, b"x" * 32)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
    assert modes == {"lock": 0o600, "state.json": 0o600, "unseal.key": 0o600}


async def test_every_new_state_has_secrets_of_its_own_and_shows_none() -> None:
    one, two = State(), State()
    secrets = [value for value in attrs.astuple(one) if isinstance(value, str) and value]
    assert len(secrets) == 6
    assert not set(secrets) & set(attrs.astuple(two))
    assert not any(secret in repr(one) for secret in secrets)


async def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(DevFailed, match="holds other files"):
        async with open_folder(str(tmp_path)):
            pass
    assert not await trio.Path(tmp_path / "lock").exists()


async def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DevFailed, match="can't be used as a folder"):
        async with open_folder(str(tmp_path / "file")):
            pass


async def test_only_one_server_at_a_time_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_LOCK_WAIT", 0.2)
    async with open_folder(str(tmp_path / "data")):
        with pytest.raises(DevFailed, match=r"another development server.*stop it first"):
            async with open_folder(str(tmp_path / "data")):
                pass
    async with open_folder(str(tmp_path / "data")):
        pass


@pytest.mark.parametrize("content", ["", "[1]", '{"colour": "red"}', "{"])
async def test_a_damaged_state_is_named(tmp_path: Path, content: str) -> None:
    async with open_folder(str(tmp_path / "data")) as folder:
        folder.openbao_data.mkdir()
        (folder.path / "state.json").write_text(content)
        with pytest.raises(DevFailed, match=r"state\.json can't be read"):
            folder.load()


async def test_a_lost_state_is_not_replaced_by_secrets_that_do_not_fit_the_data(tmp_path: Path) -> None:
    async with open_folder(str(tmp_path / "data")) as folder:
        folder.openbao_data.mkdir()
        with pytest.raises(DevFailed, match=r"state\.json can't be read"):
            folder.load()
