"""The console's server."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI, Request, Response
from nicegui import Client, ui
from nicegui import app as nicegui_app
from nicegui.staticfiles import CacheControlledStaticFiles

from clickreel.api.http_api import build_api
from clickreel.console import (
    dashboard_page,
    drive_page,
    lookup_page,
    messages_page,
    monitor_page,
    overview_page,
    quality_page,
    schema_page,
    sql_page,
)
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import ASSETS, page_frame
from clickreel.console.request_guard import LOOPBACK_HOSTS, RequestGuard
from clickreel.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_PAGES = (
    overview_page,
    messages_page,
    monitor_page,
    schema_page,
    sql_page,
    dashboard_page,
    quality_page,
    drive_page,
    lookup_page,
)
# What a browser that was away for some seconds is sent again; beyond it the page is loaded anew. A thousand, the framework's own number, are
# 200 MB of rows at 1,000 a second.
_HISTORY_MESSAGES = 60
_ASSETS_KEPT_S = 31_536_000
_FAVICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><circle cx='12' cy='12' r='11' fill='%23b3203a'/>"
    "<circle cx='12' cy='12' r='2' fill='white'/><circle cx='12' cy='6' r='2.4' fill='white'/><circle cx='17' cy='15' r='2.4' fill='white'/>"
    "<circle cx='7' cy='15' r='2.4' fill='white'/></svg>"
)


def build_app(context: ConsoleContext, *, port: int, host: str = "127.0.0.1", token: str = "") -> ASGIApp:
    """The console as an ASGI application.

    Args:
        context: What the pages read from.
        port: The port it will be asked on, for the check of the Host header.
        host: The address it listens on.
        token: What a stranger must know; needed beyond loopback.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        context.tail()  # the first viewer finds a history
        yield
        context.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/assets", CacheControlledStaticFiles(directory=ASSETS, max_cache_age=_ASSETS_KEPT_S), name="assets")
    app.mount("/api", build_api(context.profile), name="api")
    for screen in _PAGES:
        screen.register(context)

    @nicegui_app.exception_handler(404)
    async def show_missing(request: Request, _: Exception) -> Response:
        with (
            Client(ui.page(""), request=request) as client,
            page_frame(context, request.url.path, title="No such page"),
        ):
            ui.label("This address is none of the console's. The screens stand beside; / finds an id.")
        return client.build_response(request, 404)

    # A bar that has no name for those who hear the page; each panel says itself that it loads.
    nicegui_app.config.quasar_config["loadingBar"] = {"skipHijack": True}
    ui.run_with(
        app,
        title="clickreel",
        dark=None,
        tailwind=False,
        favicon=_FAVICON,
        binding_refresh_interval=None,
        reconnect_timeout=30,
        message_history_length=_HISTORY_MESSAGES,
        show_welcome_message=False,
    )
    hosts = LOOPBACK_HOSTS if host in LOOPBACK_HOSTS else frozenset()
    return RequestGuard(app, port=port, hosts=hosts, token=token)


def serve(
    context: ConsoleContext,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the console until the process is told to end.

    Args:
        context: What the pages read from.
        host: The address to listen on; beyond loopback a token is needed.
        port: The port; 0 for a free one.
        token: What a stranger must know; made up where one is needed and none is given.
        announce: Called with the address once it listens.

    Raises:
        UsageError: The port is taken, or the address is none of this machine's.
    """
    if host not in LOOPBACK_HOSTS and not token:
        token = secrets.token_urlsafe(24)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as exc:
        raise UsageError(f"cannot listen on {host}:{port}: {exc.strerror}", hint="clickreel console --port 0") from exc
    port = listener.getsockname()[1]
    app = build_app(context, port=port, host=host, token=token)
    announce(f"http://{host}:{port}/" + (f"?token={token}" if token else ""))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws_max_size=1 << 20,
        # On loopback there is no line to spare: a frame of 250 rows took 2.5 ms to pack, and 0.5 ms to write as JSON.
        ws_per_message_deflate=host not in LOOPBACK_HOSTS,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listener])
