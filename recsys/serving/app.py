"""The service as a plain ASGI application: who may ask what, what is read of a request, how problems are answered."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as Path_
from starlette.staticfiles import StaticFiles

from recsys.errors import RecsysError
from recsys.serving.calls import Call, Reply, parameters
from recsys.serving.handlers import Handlers
from recsys.serving.hosts import is_loopback
from recsys.serving.ids import new_id
from recsys.serving.problems import TYPE, Problem
from recsys.serving.routes import ROUTES, Route
from recsys.serving.settings import Settings

__all__ = ["App"]

_LOG = logging.getLogger("recsys.serving")
Scope = MutableMapping[str, Any]
_PAGE = Path(__file__).parent / "page"
_POLICY = (b"content-security-policy", b"default-src 'self'; img-src 'self' data: https:; frame-ancestors 'none'")
_REQUEST_ID = re.compile(rb"[\w.-]{1,128}")
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_HOT = {(route.method, route.path): route for route in ROUTES if route.name in ("recommend", "add_events")}


class App:
    """The application; `recsys.serving.create_app` makes it.

    The routes that are asked most are answered here without a framework, all others through Starlette, by the same
    methods of `Handlers`.

    Parameters
    ----------
    settings : Settings
    folder : path
        Of the counters that workers share.
    slot : int
        Of this worker.
    verify : bool
        Compare the model files with their checksums at the start.
    """

    def __init__(self, settings: Settings, folder: str | os.PathLike[str], slot: int = 0, *,
                 verify: bool = True) -> None:
        self.settings = settings
        self.handlers = Handlers(settings, folder, slot, verify=verify)
        by_path: dict[str, dict[str, Route]] = {}
        for route in ROUTES:
            by_path.setdefault(route.path, {})[route.method] = route
        endpoints: list[BaseRoute] = [
            Path_(path.replace("{id}", "{id:anything}"), _Endpoint(self, routes), methods=[*routes])
            for path, routes in by_path.items()]
        if settings.page:
            endpoints += [Path_("/", _page("index.html")), Path_("/ops", _page("ops.html")),
                          Mount("/page", _Files(directory=_PAGE))]
        self._rest = Starlette(routes=endpoints, exception_handlers={HTTPException: _not_found})

    async def __call__(self, scope: Scope, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        await self.handlers.open()
        route = _HOT.get((scope["method"], scope["path"]))
        if route is None:
            await self._rest(scope, receive, send)
        else:
            await self.answer(route, scope, receive, send)

    async def _live(self, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """Open at the start, and close at the end."""
        await receive()
        try:
            await self.handlers.open()
        except (RecsysError, OSError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.handlers.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, route: Route, scope: Scope, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """Answer a request of a route."""
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else new_id()
        try:
            self._guard(route, scope, headers)
            path, query = parameters(route, scope)
            body = await self._body(route, headers, receive) if route.body is not None else b""
            call = Call(route, request_id, body, path, query)
            reply = await getattr(self.handlers, route.name)(call)
        except Problem as problem:
            reply = _of_problem(problem)
        except Exception:  # told to the operator; whoever asked learns no more than that
            _LOG.exception("%s %s failed", route.method, route.path)
            reply = _of_problem(Problem(500, "the service failed; its log says why."))
        sent = [(b"content-type", reply.media.encode()), (b"content-length", str(len(reply.body)).encode()),
                (b"x-request-id", request_id.encode()), (b"cache-control", b"no-store"),
                *((name.encode(), value.encode()) for name, value in reply.headers.items())]
        trace = headers.get(b"traceparent")
        if trace is not None and _TRACE.fullmatch(trace):
            sent.append((b"traceparent", trace))
        await send({"type": "http.response.start", "status": reply.status, "headers": sent})
        await send({"type": "http.response.body", "body": reply.body})
        self.handlers.metrics.count(route.path, reply.status, time.perf_counter() - began)

    def _guard(self, route: Route, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raise Problem for who may not ask this."""
        if not route.writes:
            return
        if self.settings.token is not None:
            given = headers.get(b"authorization", b"")
            if not secrets.compare_digest(given, b"Bearer " + self.settings.token.encode()):
                raise Problem(401, "Authorization: bring the service's token as `Bearer TOKEN`.",
                              headers={"www-authenticate": "Bearer"})
        elif not _from_here(scope, headers):
            raise Problem(403, "this service was started without a token, and so takes this from its own machine "
                               "alone; start it with a token.")

    async def _body(self, route: Route, headers: dict[bytes, bytes], receive: Callable[[], Any]) -> bytes:
        """The body of a request, which must be JSON and not too large."""
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
            raise Problem(415, "Content-Type: send the body as application/json.")
        most = self.settings.limits.body
        length = int(headers.get(b"content-length", b"0") or 0)
        if length > most:
            raise Problem(413, f"the body has {length:,} bytes, and at most {most:,} are taken.")
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(self.settings.limits.timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the client went away before the body had come.")
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    if size > most:
                        raise Problem(413, f"the body has more than {most:,} bytes.")
        except TimeoutError:
            raise Problem(408, f"the body had not come after {self.settings.limits.timeout:g} s.") from None
        return b"".join(parts)


class _Anything(StringConvertor):
    """A part of a path with slashes and line breaks in it, as ids may have."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class _Endpoint:
    """The routes of a path by method, as Starlette calls them; HEAD is answered as GET."""

    def __init__(self, app: App, routes: Mapping[str, Route]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._app.answer(self._routes[method], scope, receive, send)


class _Files(StaticFiles):
    """Files of the pages, which browsers ask for anew, so that none goes on with those of a version before."""

    def file_response(self, *args: Any, **given: Any) -> Response:
        found = super().file_response(*args, **given)
        found.headers.update({"cache-control": "no-cache", "x-content-type-options": "nosniff"})
        return found


def _page(name: str) -> Callable[[Any], Any]:
    async def page(request: Any) -> Response:
        return FileResponse(_PAGE / name, headers={_POLICY[0].decode(): _POLICY[1].decode(),
                                                   "cache-control": "no-cache",
                                                   "x-content-type-options": "nosniff"})

    return page


async def _not_found(request: Any, error: Exception) -> Response:
    """404 and 405 as problem documents."""
    status = getattr(error, "status_code", 404)
    allowed = getattr(error, "headers", None) or {}
    detail = (f"{request.url.path} takes {allowed.get('Allow') or allowed.get('allow')}, not {request.method}."
              if status == 405 else f"there is no {request.url.path}; /openapi.json lists what there is.")
    problem = Problem(status if status in (404, 405) else 404, detail)
    return Response(problem.body(), problem.status, dict(allowed), TYPE)


def _of_problem(problem: Problem) -> Reply:
    return Reply(problem.body(), problem.status, TYPE, problem.headers)


def _from_here(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a request comes from this machine itself: not through a proxy, nor from a page of another site.

    A name of a foreign host that was made to point here is told by the Host header.
    """
    client = scope.get("client")
    if client is not None and not is_loopback(client[0]):
        return False
    if b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    host = headers.get(b"host", b"localhost").decode("latin-1").rsplit("@")[-1]
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return is_loopback(name.strip("[]"))
