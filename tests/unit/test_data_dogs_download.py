import errno
import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest

from bsconv_nas.data import dogs_files, fetch, load_search_data, load_test_data
from bsconv_nas.data.dogs import FOLDER_NAME, StanfordDogs
from bsconv_nas.data.unpack import unpack
from bsconv_nas.errors import DataError, StorageError
from tests.unit.dogs_helpers import Server, make_dogs, serve_dogs, serving, use_counts


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Server]:
    use_counts(monkeypatch)
    with serving() as state:
        serve_dogs(state, make_dogs(tmp_path / "source"), monkeypatch)
        yield state


@pytest.fixture
def options(tmp_path: Path) -> dict:
    return {"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache", "download": True, "image_size": 8}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / FOLDER_NAME


def _left(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


_LISTS = {"file_list.mat", "test_list.mat", "train_list.mat"}
_ALL = {".lock", "Images", "images.tar", "lists.tar", *_LISTS}


def test_a_download_makes_both_parts_and_is_not_repeated(server: Server, options: dict, root: Path):
    data = load_search_data("dogs", **options)
    assert load_test_data("dogs", **options).classes == data.classes
    assert load_search_data("dogs", **{**options, "download": False}).fingerprint == data.fingerprint
    assert sorted(server.requests) == [("images.tar", None), ("lists.tar", None)]
    assert _left(root) == _ALL


def test_the_torchvision_class_downloads_to_its_root(server: Server, tmp_path: Path):
    assert len(StanfordDogs(tmp_path / "dogs", download=True)) == 15
    assert len(StanfordDogs(tmp_path / "dogs", train=False)) == 9


def test_archives_that_are_there_need_no_network(server: Server, options: dict, root: Path):
    root.mkdir(parents=True)
    for name, content in server.files.items():
        (root / name).write_bytes(content)
    server.files.clear()
    load_search_data("dogs", **options)
    assert server.requests == []


def test_an_archive_that_is_another_is_replaced(server: Server, options: dict, root: Path):
    root.mkdir(parents=True)
    (root / "images.tar").write_bytes(b"half of it")
    load_search_data("dogs", **options)
    assert (root / "images.tar").read_bytes() == server.files["images.tar"]


def test_a_wrong_checksum(server: Server, options: dict, root: Path):
    content = server.files["images.tar"]
    server.files["images.tar"] = content[:-1] + b"x"
    with pytest.raises(DataError, match=r"images\.tar arrived with MD5 \w{32} instead of \w{32} and was removed; run"):
        load_search_data("dogs", **options)
    assert _left(root) == _ALL - {"Images", "images.tar"}
    server.files["images.tar"] = content
    load_search_data("dogs", **options)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on_or_starts_again(server: Server, options: dict, root: Path, ranges: bool):
    server.cut, server.ranges = 4000, ranges
    message = r"cannot download .*lists\.tar: .*(broke off after 4000|IncompleteRead\(4000).*; check the network; run"
    with pytest.raises(DataError, match=message):
        load_search_data("dogs", **options)
    assert _left(root) == {".lock", "lists.tar.part"}
    server.cut = None
    load_search_data("dogs", **options)
    assert server.requests[1] == ("lists.tar", "bytes=4000-")
    assert _left(root) == _ALL
    assert (root / "lists.tar").read_bytes() == server.files["lists.tar"]


def test_a_download_killed_at_its_end_needs_no_more_bytes(server: Server, options: dict, root: Path):
    root.mkdir(parents=True)
    (root / "lists.tar.part").write_bytes(server.files["lists.tar"])
    load_search_data("dogs", **options)
    assert _left(root) == _ALL


def test_a_partial_file_of_something_else_is_removed(server: Server, options: dict, root: Path):
    root.mkdir(parents=True)
    (root / "lists.tar.part").write_bytes(b"something else")
    with pytest.raises(DataError, match="and was removed; run the same command again"):
        load_search_data("dogs", **options)
    load_search_data("dogs", **options)


def test_a_file_that_the_server_does_not_have(server: Server, options: dict):
    del server.files["lists.tar"]
    with pytest.raises(DataError, match=r"cannot download http.*lists\.tar: HTTP Error 404: Not Found; check"):
        load_search_data("dogs", **options)


def test_no_network(options: dict, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(DataError, match=r"Name or service not known; check the network; run .* or copy lists\.tar to"):
        load_search_data("dogs", **options)


def test_a_full_disk_is_not_the_network(server: Server, options: dict, root: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=r"cannot write to .*No space left on device; make room or choose another"):
        load_search_data("dogs", **options)


def test_a_data_folder_that_cannot_be_made(server: Server, options: dict, tmp_path: Path):
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match=r"cannot write to .*: Not a directory"):
        load_search_data("dogs", **options)


def test_an_extraction_is_whole_or_absent(server: Server, options: dict, root: Path, monkeypatch: pytest.MonkeyPatch):
    original = tarfile.TarFile.makefile
    count = 0

    def interrupt(self, info, path) -> None:
        nonlocal count
        count += 1
        if count == 10:  # the lists are three files
            raise KeyboardInterrupt
        original(self, info, path)

    monkeypatch.setattr(tarfile.TarFile, "makefile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_search_data("dogs", **options)
    assert _left(root) == _ALL - {"Images"}
    load_search_data("dogs", **options)
    assert _left(root) == _ALL
    assert len(server.requests) == 2


def test_a_killed_extraction_is_done_again(server: Server, options: dict, root: Path):
    with fetch.sole_writer(root):
        path = fetch.fetch(dogs_files.ARCHIVES[1].remote, root)
    code = (
        "import os, signal, sys, tarfile; from pathlib import Path; from bsconv_nas.data.unpack import unpack\n"
        "tarfile.TarFile.utime = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
        "unpack(Path(sys.argv[1]), ['Images'])"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert _left(root) == {".lock", "images.tar", ".images.tar.unpacking"}
    with pytest.raises(DataError, match="has no Images"):
        load_search_data("dogs", **{**options, "download": False})
    load_search_data("dogs", **options)
    assert _left(root) == _ALL


def test_an_archive_that_ends_too_early(server: Server, options: dict, root: Path, monkeypatch: pytest.MonkeyPatch):
    lists, images = dogs_files.ARCHIVES
    content = server.files["images.tar"][:4000]
    server.files["images.tar"] = content
    remote = dogs_files.Remote(images.remote.url, hashlib.md5(content).hexdigest())
    monkeypatch.setattr(dogs_files, "ARCHIVES", (lists, images._replace(remote=remote)))
    with pytest.raises(DataError, match=r"images\.tar' is damaged \(.*\); remove it and add"):
        load_search_data("dogs", **options)
    assert _left(root) == _ALL - {"Images"}


def test_processes_take_turns(server: Server, root: Path):
    with fetch.sole_writer(root):
        code = (
            "import sys; from pathlib import Path; from bsconv_nas.data.fetch import sole_writer\n"
            "print('ready', flush=True)\n"
            "with sole_writer(Path(sys.argv[1])): print((Path(sys.argv[1]) / 'done').exists())"
        )
        other = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.3)
        (root / "done").touch()
    assert other.communicate(timeout=30)[0] == "True\n"


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, 4 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "member",
    [
        _member("../evil"),
        _member("Images/../../evil"),
        _member("/evil"),
        _member("Images/link", tarfile.SYMTYPE, "/etc/passwd"),
        _member("Images/link", tarfile.SYMTYPE, "a/x.jpg"),
        _member("Images/link", tarfile.LNKTYPE, "Images/a/x.jpg"),
        _member("Images/pipe", tarfile.FIFOTYPE),
        _member("Images/device", tarfile.CHRTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
def test_members_that_are_refused(tmp_path: Path, member: tarfile.TarInfo):
    archive = tmp_path / "deep" / "evil.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as tar:
        tar.addfile(_member("Images/a/x.jpg"), io.BytesIO(b"good"))
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match=r"evil\.tar' has the member .* so nothing was extracted"):
        unpack(archive, ["Images"])
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == [Path("deep"), Path("deep/evil.tar")]
    assert not Path("/evil").exists()


def test_an_archive_without_the_wanted_names(tmp_path: Path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(_member("Pictures/x.jpg"), io.BytesIO(b"good"))
    with pytest.raises(DataError, match="has no Images; remove it"):
        unpack(tmp_path / "x.tar", ["Images"])
    assert _left(tmp_path) == {"x.tar"}


def test_what_is_no_archive(tmp_path: Path):
    (tmp_path / "x.tar").write_bytes(b"no archive")
    with pytest.raises(DataError, match="is damaged"):
        unpack(tmp_path / "x.tar", ["Images"])
