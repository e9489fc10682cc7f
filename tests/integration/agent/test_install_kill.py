"""kill -9 at every system call of an installation: what the names lead to is one version, and can be served."""

from __future__ import annotations

import multiprocessing
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from acme_manager.client.install import NewFile, Ownership, install, roll_back
from acme_manager.client.layout import VERSIONS, Paths, paths_of
from acme_manager.client.model import Common, Format
from acme_manager.domain.keys import KeyType, PrivateKey, key_to_pem, make_key
from tests.parts.tracee import tracee

NAME = "www.example.test"
NGINX = """
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen unix:{folder}/nginx.sock ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; }}
}}
"""
INSTALLATIONS = 100  # while a server reloads
NGINX_EVERY = 8  # of so many kills one is looked at with nginx, too

Files = Mapping[str, bytes]
"""The content of a version by the end of the names."""


def made(number: int, key: PrivateKey, *, chain: bool = True, combined: bool = False) -> Files:
    """A version; its number is in all that it has."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime(2026, 11, 24, tzinfo=UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), number, now, now + timedelta(days=90))
    pem = certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    files = {"crt": pem, "key": key_to_pem(key).encode() + b"# %d\n" % number}
    if chain:
        files["ca.crt"] = b"# %d\n" % number + pem
    if combined:
        files["combined.pem"] = files["key"] + pem
    return files


@cache
def version(number: int, *, chain: bool = True, combined: bool = False) -> Files:
    """A version with a key of its own."""
    return made(number, make_key(KeyType.EC256), chain=chain, combined=combined)


@attrs.frozen
class Place:
    """A folder of certificates."""

    folder: Path

    @property
    def paths(self) -> Paths:
        return paths_of(Common(certificate_dir=self.folder), f"ca/{NAME}")

    @property
    def combined(self) -> Path:
        return self.paths.formats[Format.COMBINED]

    def public(self, end: str) -> Path:
        return self.paths.key.with_name(f"{NAME}.{end}")

    def install(self, files: Files) -> None:
        new = [NewFile(public=self.public(end), content=content, mode=0o600) for end, content in files.items()]
        install(self.paths, new, Ownership(), folder_mode=0o700)

    def write_plain(self, files: Files) -> None:
        """As the Go original does."""
        for end, content in files.items():
            self.public(end).parent.mkdir(parents=True, exist_ok=True)
            self.public(end).write_bytes(content)

    def shown(self) -> Files:
        """What there is to see by the public names."""
        return {
            public.name.removeprefix(f"{NAME}."): public.read_bytes()
            for public in self.paths.every()
            if public.exists()
        }

    def everything(self) -> Mapping[str, object]:
        """Whatever an installation may change."""
        found = {}
        for one in self.folder.rglob("*"):
            stat = one.lstat()
            target = str(one.readlink()) if one.is_symlink() else ""
            found[str(one.relative_to(self.folder))] = (stat.st_mode, stat.st_size, target)
        return found

    def check_load(self) -> None:
        """Load the pair as a TLS server in Python does at its start, and the combined file where there is one."""
        load(self.paths.certificate, self.paths.key)
        if self.combined.exists():
            load(self.combined)

    def check_nginx(self, folder: Path) -> None:
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, certificate=self.paths.certificate, key=self.paths.key))
        argv = ["nginx", "-t", "-p", str(folder), "-c", str(config), "-e", "stderr"]
        tried = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
        assert tried.returncode == 0, tried.stderr

    def check_tidy(self) -> None:
        """No more is left than links, a version and the one before."""
        names = {public.name for public in self.paths.every()}
        assert {one.name for one in self.paths.key.parent.iterdir()} <= names
        left = {one.name for one in self.paths.versions.iterdir()} - {"current"}
        assert len(left) <= 2
        assert all(one.isdecimal() for one in left)
        assert {one.name for one in self.folder.iterdir()} == {"ca", VERSIONS}


def load(certificate: Path, key: Path | None = None) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def nothing(_place: Place) -> None:
    pass


def plain_files(place: Place) -> None:
    place.write_plain(version(1))


def links(place: Place) -> None:
    place.install(version(1))


def links_and_a_plain_file(place: Place) -> None:
    links(place)
    place.paths.key.unlink()
    place.write_plain({"key": version(1)["key"]})


def given_up(place: Place) -> None:
    links(place)
    place.install(version(3, combined=True))
    assert roll_back(place.paths)


def two_versions(place: Place) -> None:
    place.install(version(2))
    place.install(version(3, chain=False, combined=True))


@attrs.frozen
class Case:
    """What was there, and what is installed over it; None: it is rolled back to version 2."""

    before: Callable[[Place], None]
    new: Files | None

    @property
    def result(self) -> Files:
        return version(2) if self.new is None else self.new

    def begin(self, folder: Path) -> Place:
        folder.mkdir()
        place = Place(folder)
        self.before(place)
        return place

    def work(self, place: Place) -> None:
        if self.new is None:
            assert roll_back(place.paths)
        else:
            place.install(self.new)

    def check(self, place: Place, old: Files) -> None:
        """One version as a whole, the old or the new one, and it can be served."""
        shown = place.shown()
        assert shown in (old, self.result)
        if shown:
            place.check_load()


@pytest.mark.parametrize(
    "case",
    [
        Case(nothing, version(2)),
        Case(plain_files, version(2)),
        Case(links, version(2)),
        Case(links_and_a_plain_file, version(2)),
        Case(links, version(2, combined=True)),
        Case(links, version(2, chain=False)),
        Case(given_up, version(2)),
        Case(two_versions, None),
    ],
)
def test_every_name_shows_one_version_wherever_an_installation_is_killed(tmp_path: Path, case: Case) -> None:
    for at, stop in enumerate(stops_worth_a_kill(case, tmp_path)):
        place = case.begin(tmp_path / f"killed-{stop}")
        old = place.shown()
        with tracee(partial(case.work, place)) as one:
            for _ in range(stop):
                one.step()
            one.kill()
        assert one.status == -signal.SIGKILL
        case.check(place, old)
        if at % NGINX_EVERY == 0 and place.shown():
            place.check_nginx(tmp_path)
        place.install(version(4))
        assert place.shown() == version(4)
        place.check_tidy()


def stops_worth_a_kill(case: Case, folder: Path) -> list[int]:
    """Look at what there is at every system call, and note those that have changed something.

    A kill leaves what there is at that instant, so between two changes one kill is as good as another.
    """
    place = case.begin(folder / "watched")
    old, stops, last, number = place.shown(), [0], place.everything(), 0
    with tracee(partial(case.work, place)) as one:
        while one.step():
            number += 1
            now = place.everything()
            if now != last:
                stops.append(number)
                case.check(place, old)
            last = now
    assert one.status == 0
    assert place.shown() == case.result
    assert len(stops) > 3
    return stops


def install_all(place: Place, versions: Sequence[Files]) -> None:
    for one in versions:
        place.install(one)


@contextmanager
def installing(place: Place, versions: Sequence[Files]) -> Iterator[Callable[[], bool]]:
    """Install one after another in a process of its own; in the block, whether it is still at it."""
    process = multiprocessing.get_context("fork").Process(target=install_all, args=(place, versions))
    process.start()
    try:
        yield process.is_alive
        process.join(30)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


def test_a_server_that_reloads_meanwhile_never_fails_while_the_key_is_kept(tmp_path: Path) -> None:
    key, place, loads = make_key(KeyType.EC256), Place(tmp_path), 0
    versions = [made(number, key, combined=True) for number in range(1, INSTALLATIONS + 1)]
    place.write_plain(versions[0])
    with installing(place, versions) as goes_on:
        while goes_on():
            load(place.paths.certificate, place.paths.key)
            loads += 1
    assert loads > len(versions)


def test_one_file_is_never_half_of_a_pair_when_each_version_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Two files can't be opened at one instant: now and then a load of both has a switch in between, and fails.

    One file that is read once has no such instant. (OpenSSL's own loading of a combined file opens it twice.)
    """
    place, loads, straddled = Place(tmp_path), 0, 0
    versions = [made(number, make_key(KeyType.EC256), combined=True) for number in range(1, INSTALLATIONS + 1)]
    whole = {one["combined.pem"] for one in versions}
    place.install(versions[0])
    with installing(place, versions) as goes_on:
        while goes_on():
            assert place.combined.read_bytes() in whole
            loads += 1
            try:
                load(place.paths.certificate, place.paths.key)
            except ssl.SSLError:
                straddled += 1
    place.check_load()
    assert loads > len(versions)
    print(f"{straddled} of {loads} loads of two files had a switch in between")  # noqa: T201 pytest -s shows it
