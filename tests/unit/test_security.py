"""Who is let through to the dashboard, and with which headers: the guard alone, without a server."""

import asyncio
import socket
from typing import Any

import pytest

from bsconv_nas.dashboard.security import COOKIE, Guard, allowed_host

TOKEN = "secret-token"
Answer = tuple[int, dict[str, str], str]


class Page:
    """What is guarded: answers 200 with the headers that it is given, and remembers that it was asked."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.headers = headers or {}
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["type"])
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"the page"})


def ask(
    page: Page,
    token: str | None = None,
    *,
    bound: str = "127.0.0.1",
    host: str | None = "127.0.0.1:8765",
    method: str = "GET",
    path: str = "/",
    query: str = "",
    cookie: str | None = None,
    kind: str = "http",
) -> Answer:
    """Status, headers and body of a request to the page behind a guard."""
    headers = [(b"host", host.encode())] if host is not None else []
    headers += [(b"cookie", cookie.encode())] if cookie is not None else []
    scope = {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(Guard(page, bound, token)(scope, receive, send))
    answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]).decode()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_from_this_machine_needs_no_token(method: str) -> None:
    page = Page()
    assert ask(page, method=method)[0] == 200
    assert page.asked == ["http"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"])
def test_writing_is_refused_before_the_page_hears_of_it(method: str) -> None:
    page = Page()
    status, headers, body = ask(page, method=method)
    assert (status, headers["allow"], page.asked) == (405, "GET, HEAD", [])
    assert body == "Nothing can be written here."


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "192.168.0.7", "", None])
def test_another_host_is_refused_whatever_the_token(host: str | None) -> None:
    page = Page()
    status, _, body = ask(page, TOKEN, host=host, query=f"token={TOKEN}", cookie=f"{COOKIE}={TOKEN}")
    assert (status, page.asked) == (421, [])
    assert "use the link that was printed" in body


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", "token=secret-toke", "Token=secret-token"])
@pytest.mark.parametrize("cookie", [None, f"{COOKIE}=wrong", f"{COOKIE}=", f"other={TOKEN}"])
def test_without_the_token_nothing_is_shown(query: str, cookie: str | None) -> None:
    page = Page()
    status, headers, body = ask(page, TOKEN, bound="0.0.0.0", query=query, cookie=cookie)
    assert (status, page.asked) == (403, [])
    assert "set-cookie" not in headers
    assert "the link with the token" in body


def test_the_token_of_the_link_becomes_a_cookie_that_no_script_and_no_other_site_can_use() -> None:
    page = Page()
    status, headers, _ = ask(page, TOKEN, path="/trial", query=f"token={TOKEN}&study=first")
    assert (status, page.asked) == (303, [])
    assert headers["location"] == "/trial", "the token does not stay in the address"
    name, *flags = headers["set-cookie"].lower().split("; ")
    assert name == f"{COOKIE}={TOKEN}"
    assert {"httponly", "samesite=strict"} <= set(flags)
    assert ask(page, TOKEN, cookie=f"{COOKIE}={TOKEN}")[0] == 200


def test_a_token_may_have_any_letters() -> None:
    assert ask(Page(), "geheim-ü", query="token=geheim-%C3%BC")[0] == 303
    assert ask(Page(), "geheim-ü", query="token=geheim-u")[0] == 403


@pytest.mark.parametrize("query", ["", f"token={TOKEN}"])
def test_every_answer_tells_the_browser_what_it_may_do(query: str) -> None:
    """Refusals and redirections too: their pages are shown by the same browser."""
    for token in (None, TOKEN):
        _, headers, _ = ask(Page(), token, query=query)
        policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer", "the token is in the first address"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-cache"


def test_a_page_may_say_more_of_its_own_cache() -> None:
    _, headers, body = ask(Page({"cache-control": "max-age=60"}))
    assert headers["cache-control"] == "max-age=60"
    assert headers["x-content-type-options"] == "nosniff"
    assert body == "the page"


def test_what_is_no_request_goes_through() -> None:
    """Such as the server's start and end, which have no headers."""
    page = Page()
    status, headers, _ = ask(page, TOKEN, host=None, kind="lifespan")
    assert (status, headers, page.asked) == (200, {}, ["lifespan"])


@pytest.mark.parametrize(
    ("header", "bound", "allowed"),
    [
        (" LocalHost:80 ", "127.0.0.1", True),
        ("[::1]", "::1", True),
        ("[::1].evil.example", "::1", True),  # what follows the bracket is a port, if anything; the name is the address
        ("[evil.example]", "::1", False),
        ("10.0.0.5", "127.0.0.1", False),
        ("Lab.Example", "lab.example", True),
        ("lab.example", "Lab.Example", True),
        ("other.example", "lab.example", False),
        ("10.0.0.5", "lab.example", True),
        ("localhost", "lab.example", True),
        ("machine.example", "0.0.0.0", True),
        ("MACHINE:8765", "0.0.0.0", True),
        ("machine", "127.0.0.1", False),
        ("machine", "localhost", False),
        ("machine", "::1", False),
        ("300.0.0.1", "0.0.0.0", False),
    ],
)
def test_names_of_this_server(header: str, bound: str, allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Machine")
    monkeypatch.setattr(socket, "getfqdn", lambda: "Machine.Example")
    assert allowed_host(header, bound) is allowed
