"""Files for a web server: what may be read, and where nothing is ever written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from acme_manager.errors import ChallengeFailed
from acme_manager.http01.webroot import Webroot


@pytest.fixture
def private() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def file_of(root: Path, token: str = "token") -> Path:
    return root / ".well-known/acme-challenge" / token


async def test_everybody_may_read_an_answer_whatever_our_umask_is(tmp_path: Path, private: None) -> None:
    store = Webroot((tmp_path,))
    await store.put("token", "first")
    await store.put("token", "answer")
    assert file_of(tmp_path).read_text() == "answer"
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o644
    for folder in file_of(tmp_path).parents[:2]:
        assert folder.stat().st_mode & 0o777 == 0o755
    assert [one.name for one in file_of(tmp_path).parent.iterdir()] == ["token"]  # no temporary file stays
    await store.remove("token")
    await store.remove("token")
    assert list(file_of(tmp_path).parent.iterdir()) == []


async def test_folders_that_are_there_keep_their_mode(tmp_path: Path) -> None:
    (tmp_path / ".well-known").mkdir(mode=0o750)
    await Webroot((tmp_path,)).put("token", "answer")
    assert (tmp_path / ".well-known").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("link", [".well-known", ".well-known/acme-challenge"])
async def test_links_below_the_root_are_not_followed(tmp_path: Path, link: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root, elsewhere, (root / link).parent):
        folder.mkdir(exist_ok=True)
    (root / link).symlink_to(elsewhere)
    (elsewhere / "token").write_text("ours")
    store = Webroot((root,))
    with pytest.raises(ChallengeFailed, match="no symbolic links"):
        await store.put("token", "answer")
    with pytest.raises(ChallengeFailed, match="no symbolic links"):
        await store.remove("token")
    assert [(one.name, one.read_text()) for one in elsewhere.iterdir()] == [("token", "ours")]


async def test_a_link_in_the_place_of_an_answer_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("ours")
    file_of(tmp_path).parent.mkdir(parents=True)
    file_of(tmp_path).symlink_to(precious)
    await Webroot((tmp_path,)).put("token", "answer")
    assert (precious.read_text(), file_of(tmp_path).read_text()) == ("ours", "answer")
    assert not file_of(tmp_path).is_symlink()


async def test_a_root_that_is_not_there_is_named_and_the_others_are_cleaned_up(tmp_path: Path) -> None:
    store = Webroot((tmp_path / "gone", tmp_path))
    with pytest.raises(ChallengeFailed, match=r"webroot .*/gone: No such file or directory"):
        await store.put("token", "answer")
    await store.remove("token")  # there is no such folder, so there is no such file
    assert not file_of(tmp_path).exists()
