"""Who may read the page: the Host header, a token where others can reach it, and what a browser may do.

Without the check of the Host header, any web page could have its visitor's browser read from 127.0.0.1 under a name of
its own (DNS rebinding).
"""

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "bsconv_nas_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """Middleware that lets through GET requests to a known host, with the token if there is one.

    Args:
        app: what it guards.
        host: the address that was bound.
        token: None on the loopback addresses.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None) -> None:
        self.app = app
        self.host = host
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._refusal(HTTPConnection(scope))
        await (answer or self.app)(scope, receive, _with_headers(send))

    def _refusal(self, request: HTTPConnection) -> ASGIApp | None:
        """None to let the request through."""
        if not allowed_host(request.headers.get("host", ""), self.host):
            return PlainTextResponse("This address is not served here; use the link that was printed.", 421)
        if request.scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Nothing can be written here.", 405, {"Allow": "GET, HEAD"})
        if self.token is None:
            return None
        return self._token_refusal(request, self.token)

    def _token_refusal(self, request: HTTPConnection, token: str) -> ASGIApp | None:
        if _same(request.cookies.get(COOKIE, ""), token):
            return None
        if _same(request.query_params.get("token", ""), token):
            # A cookie instead of a token in every link: the address can be shared and shown without it.
            answer = RedirectResponse(request.url.path, 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return answer
        return PlainTextResponse("Open the link with the token that `bsconv-nas dashboard` printed.", 403)


def allowed_host(header: str, bound: str) -> bool:
    """Whether a Host header names this server.

    Bound to the loopback address, only that one. Bound to others also any IP address (a rebinding attack needs a
    name) and the names of this machine.
    """
    name = header.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in LOOPBACK or name == bound.lower():
        return True
    if bound in LOOPBACK:
        return False
    return _is_address(name) or name in (socket.gethostname().lower(), socket.getfqdn().lower())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(value: str, token: str) -> bool:
    return secrets.compare_digest(value.encode(), token.encode())


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped
