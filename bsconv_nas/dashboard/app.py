"""The routes of the page. All of them only read."""

import json
import threading
from collections.abc import AsyncGenerator
from importlib import resources
from typing import Any

from anyio import sleep, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bsconv_nas.dashboard.details import front_choices, trial_details
from bsconv_nas.dashboard.hub import Hub
from bsconv_nas.dashboard.security import Guard
from bsconv_nas.dashboard.source import StudySource, importance_of, snapshot
from bsconv_nas.errors import BsconvNasError
from bsconv_nas.study.importance import LEAST_TRIALS

ASSETS = resources.files("bsconv_nas.dashboard") / "assets"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_LOOK_EVERY = 0.25  # seconds between looks at a study's files
_HEARTBEAT = 5.0  # seconds after which a page is told that nothing happened
_MOST_CHOICES = 200
_GROWTH = 1.25  # of the number of trained networks, from which on importances are worked out anew: seconds of CPU


def make_app(hub: Hub, host: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """The web application of some studies; `host` is the address it will be bound to."""
    api = Api(hub)
    routes = [
        Route("/", lambda request: asset("index.html")),
        Route("/assets/{name}", lambda request: asset(request.path_params["name"])),
        Route("/api/studies", api.studies),
        Route("/api/snapshot", api.snapshot),
        Route("/api/trial", api.trial),
        Route("/api/choices", api.choices),
        Route("/api/importance", api.importance),
        Route("/api/stream", api.stream),
    ]
    middleware = [Middleware(Guard, host, token), Middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)]
    handlers: Any = {BsconvNasError: _sentence, HTTPException: _sentence}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


class Api:
    """What the page asks for. Handlers are plain functions, which Starlette runs in threads: a read never blocks."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._importances: dict[str, tuple[str, int, dict[str, float]]] = {}
        self._counting = threading.Lock()

    def studies(self, request: Request) -> Response:
        return _json([{"key": key, "name": name, "arm": arm} for key, name, arm in self.hub.list_studies()])

    def snapshot(self, request: Request) -> Response:
        source = self._source(request)
        source.refresh()
        return _json(snapshot(source))

    def trial(self, request: Request) -> Response:
        return _json(trial_details(self._source(request), _integer(request, "number")))

    def choices(self, request: Request) -> Response:
        numbers = [int(n) for n in request.query_params.get("numbers", "").split(",") if n.isdigit()]
        return _json(front_choices(self._source(request), numbers[:_MOST_CHOICES]))

    def importance(self, request: Request) -> Response:
        source = self._source(request)
        complete = sum(row.top1 is not None for row in source.table.rows.values())
        with self._counting:  # one child at a time, however many pages ask
            epoch, count, importances = self._importances.get(source.name, ("", 0, {}))
            if epoch != source.epoch or count < LEAST_TRIALS or complete >= _GROWTH * count:
                importances = importance_of(source)
                self._importances[source.name] = source.epoch, complete, importances
        return _json(importances)

    async def stream(self, request: Request) -> Response:
        """Server-sent events: what changed in the studies that a page shows, as soon as it did."""
        held = dict(_held(text) for text in request.query_params.getlist("study"))
        return StreamingResponse(self._events(held), media_type="text/event-stream")

    async def _events(self, held: dict[str, tuple[str, int]]) -> AsyncGenerator[str]:
        told: dict[str, dict[str, Any]] = {}
        quiet = 0.0
        while True:
            for key, (epoch, revision) in list(held.items()):
                change, news = await to_thread.run_sync(self._change, key, epoch, revision)
                held[key] = change.get("epoch", epoch), change.get("revision", revision)
                # Facts that a page already has are not repeated.
                new = {name: value for name, value in news.items() if told.get(key, {}).get(name, "") != value}
                told[key] = news
                if change.get("rows") or change.get("fresh") or new:
                    quiet = 0.0
                    yield f"data: {_text({'study': key, **change, **new})}\n\n"
            if quiet >= _HEARTBEAT:
                quiet = 0.0
                yield "event: alive\ndata: {}\n\n"
            await sleep(_LOOK_EVERY)
            quiet += _LOOK_EVERY

    def _change(self, key: str, epoch: str, revision: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Rows that changed, and how the study stands."""
        try:
            source = self.hub.source(key)
            source.refresh()
        except BsconvNasError as error:
            return {}, {"error": str(error)}
        news = {"error": None, "standing": source.standing(), "final": source.final(), "metrics": source.metrics}
        return source.update(epoch, revision), news

    def _source(self, request: Request) -> StudySource:
        return self.hub.source(request.query_params.get("study", ""))


def asset(name: str) -> Response:
    """A file of the page."""
    if name not in {file.name for file in ASSETS.iterdir()}:
        raise HTTPException(404, "there is no such page")
    return Response((ASSETS / name).read_bytes(), media_type=_TYPES[name.rpartition(".")[2]])


def _sentence(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _json({"error": error.detail}, error.status_code)
    return _json({"error": str(error)}, 404)


def _json(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _integer(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not text.isdigit():
        raise HTTPException(400, f"{name} is {text!r}; allowed: a whole number")
    return int(text)


def _held(text: str) -> tuple[str, tuple[str, int]]:
    """What a page holds of a study: key, epoch and revision."""
    parts = text.rsplit(":", 2)
    if len(parts) != 3 or not parts[2].isdigit():
        raise HTTPException(400, f"study is {text!r}; allowed: KEY:EPOCH:REVISION")
    return parts[0], (parts[1], int(parts[2]))
