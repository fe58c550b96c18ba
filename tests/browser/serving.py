"""A dashboard that is served from a thread, and requests to it."""

import http.client
import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bsconv_nas.dashboard.hub import Hub
from bsconv_nas.dashboard.server import make_server

DEADLINE = 90  # seconds; generous, because tests share two cores


class Served:
    """A running server on a port of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.link = f"http://127.0.0.1:{port}/"

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (in lower case) and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path)[2])

    @contextmanager
    def events(self, study: str, epoch: str, revision: int) -> Generator[Any]:
        """The stream of a study's changes, as an iterator of (bytes on the wire, message)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.request("GET", f"/api/stream?study={study}:{epoch}:{revision}")
        answer = connection.getresponse()
        try:
            lines = (line for line in iter(answer.readline, b"") if line.startswith(b'data: {"'))
            yield ((len(line), json.loads(line[6:])) for line in lines)
        finally:
            connection.close()


@contextmanager
def served(
    directory: Path, names: list[str] | None = None, host: str = "127.0.0.1", token: str | None = None
) -> Generator[Served]:
    """Serve the studies of a directory on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = make_server(Hub(names or [], directory), host, token)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield Served(bound.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(DEADLINE)
            assert not thread.is_alive()
