"""A small Stanford Dogs in the format of the real one, and a server for its archives."""

import hashlib
import tarfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bsconv_nas.data import dogs_files
from bsconv_nas.data.dogs_files import Counts
from tests.unit.data_helpers import save_image

BREEDS = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02085936-Maltese_dog")
TRAIN, TEST = 5, 3  # of each breed


def names_of(train: bool) -> list[str]:
    numbers = range(TRAIN) if train else range(TRAIN, TRAIN + TEST)
    # Neither sorted by breed nor by number, so that nothing may lean on the order.
    return [f"{breed}/{breed.split('-')[0]}_{number}.jpg" for number in reversed(numbers) for breed in BREEDS]


def save_list(path: Path, names: list[str]) -> None:
    """A list as MATLAB writes it: columns of cells with one text each, and labels from 1."""
    cells = np.empty((len(names), 1), dtype=object)
    for row, name in enumerate(names):
        cells[row, 0] = np.array([name])
    breeds = sorted({name.split("/")[0] for name in names})
    labels = np.array([[breeds.index(name.split("/")[0]) + 1.0] for name in names])
    savemat(path, {"file_list": cells, "annotation_list": cells, "labels": labels})


def make_dogs(root: Path) -> Path:
    """The files of both archives, extracted."""
    root.mkdir(parents=True)
    save_list(root / "train_list.mat", names_of(True))
    save_list(root / "test_list.mat", names_of(False))
    save_list(root / "file_list.mat", names_of(True) + names_of(False))
    for seed, name in enumerate(names_of(True) + names_of(False)):
        save_image(root / "Images" / name, seed, size=(20, 16))
    return root


def use_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(TRAIN * len(BREEDS), TEST * len(BREEDS), len(BREEDS))
    monkeypatch.setattr(dogs_files, "COUNTS", counts)


@dataclass
class Server:
    """Files by name; `cut` ends a transfer after so many bytes, `requests` are (name, Range header)."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: int | None = None
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving() -> Generator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.rpartition("/")[2], self.headers["Range"]
            state.requests.append((name, wanted))
            if name not in state.files:
                return self.send_error(404)
            body, status = state.files[name], 200
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    return self.send_error(416)
                body, status = body[start:], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut])
            return None

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}/ImageNetDogs"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def serve_dogs(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack the files of `make_dogs` into archives, and have them downloaded from the server."""
    archives = []
    for archive in dogs_files.ARCHIVES:
        name = archive.remote.name
        with tarfile.open(folder.with_name(name), "w") as tar:
            for member in archive.names:
                tar.add(folder / member, member)
        server.files[name] = folder.with_name(name).read_bytes()
        remote = dogs_files.Remote(f"{server.url}/{name}", hashlib.md5(server.files[name]).hexdigest())
        archives.append(archive._replace(remote=remote))
    monkeypatch.setattr(dogs_files, "ARCHIVES", tuple(archives))
