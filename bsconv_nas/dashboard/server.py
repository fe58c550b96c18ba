"""Serving the page until Ctrl-C."""

import secrets
import socket
from collections.abc import Callable

import uvicorn

from bsconv_nas.dashboard.app import make_app
from bsconv_nas.dashboard.hub import Hub
from bsconv_nas.dashboard.security import LOOPBACK
from bsconv_nas.errors import UsageError


def serve(hub: Hub, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready(link)` is called once requests are taken.

    Args:
        hub: the studies.
        host: address to bind; with any but the loopback addresses, the link carries a token.
        port: 0 for any free one.

    Raises:
        UsageError: the address cannot be bound.
    """
    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    bound = _bind(host, port)
    ready(_link(host, bound.getsockname()[1], token))
    make_server(hub, host, token).run(sockets=[bound])


def make_server(hub: Hub, host: str, token: str | None) -> uvicorn.Server:
    """A server that is yet to be run."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(hub, host, token),
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,  # pages keep their stream open
            lifespan="off",
            ws="none",
        )
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "choose another --port, 0 takes a free one"
        raise UsageError(f"cannot serve on {host} port {port}: {reason}; {hint}") from error
    return bound


def _link(host: str, port: int, token: str | None) -> str:
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
