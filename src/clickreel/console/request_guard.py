"""Who may ask the console: an ASGI middleware in front of everything, websockets included.

A page of another origin must be able neither to read nor to act (docs/adr/0070): the Host header must be ours (against DNS rebinding), an
Origin must be our own, and a browser that says that the request comes from elsewhere is believed. Beyond loopback a token is asked for;
on loopback the other end must be a process of the user who runs the console, or of root, as far as the machine tells.
"""

from __future__ import annotations

import hmac
import os
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from clickreel.console.peer_user import find_peer_user

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "clickreel_console"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
# The framework compiles its templates in the browser (unsafe-eval) and starts from inline scripts and styles; nothing else may come from
# anywhere but this server, no page may frame this one, and no form may post elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class RequestGuard:
    """See the module.

    Args:
        app: What is guarded.
        port: The port that the Host header must name.
        hosts: Host names under which the console may be asked; empty for any, with a token.
        token: What strangers must know; empty where this machine's own user alone may look.
    """

    def __init__(self, app: ASGIApp, *, port: int, hosts: frozenset[str] = LOOPBACK_HOSTS, token: str = "") -> None:
        assert hosts or token, "a console for any host needs a token"
        self._app, self._token = app, token
        self._allowed = frozenset(f"{host}:{port}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 403."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if (why := self._objection(headers)) is not None:
            await _refuse(scope, send, 403, why)
            return
        if self._is_another_users(scope):
            await _refuse(
                scope,
                send,
                403,
                "this console is another user's: `clickreel console --host ADDRESS` makes one that can be shared, with a token",
            )
            return
        if not self._knows_token(scope, headers):
            await _refuse(scope, send, 401, "open the address that `clickreel console` printed: it holds the token")
            return
        await self._app(scope, receive, self._with_headers(scope, send))

    def _objection(self, headers: dict[str, str]) -> str | None:
        host = headers.get("host", "")
        if self._allowed and host not in self._allowed:
            return "this console is not asked under that host name"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "a page of another origin may not ask this console"
        # none: typed, or a bookmark; same-origin: our own page. A link elsewhere may open a page, and nothing more.
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        if site not in {"none", "same-origin"} and mode != "navigate":
            return "a page of another origin may not ask this console"
        return None

    def _is_another_users(self, scope: Scope) -> bool:
        client, server = scope.get("client"), scope.get("server")
        if self._token or not client or not server or not server[1]:
            return False
        try:
            user = find_peer_user((client[0], client[1]), (server[0], server[1]))
        except ValueError:  # no address: a test's client
            return False
        return user not in {None, 0, os.getuid()}

    def _knows_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        if not self._token:
            return True
        return hmac.compare_digest(_cookie(headers), self._token) or hmac.compare_digest(
            _query_token(scope), self._token
        )

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        given = _query_token(scope) if self._token else ""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
                if given:
                    cookie = f"{COOKIE}={given}; Path=/; HttpOnly; SameSite=Strict"
                    message["headers"].append((b"set-cookie", cookie.encode("latin-1")))
            await send(message)

        return send_with_headers


def _cookie(headers: dict[str, str]) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def _query_token(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("token", [""])[0]


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode() + b"\n"})
