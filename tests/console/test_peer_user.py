"""Who is at the other end of a loopback connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from clickreel.console.peer_user import find_peer_user
from clickreel.console.request_guard import RequestGuard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not list the users of connections")
_NOBODY = 65_534
# The interpreter may lie where another user cannot start it.
_ASK = "import encodings.idna, os, sys, urllib.request as r; os.setuid(int(sys.argv[2])); print(r.urlopen(sys.argv[1], timeout=20).read().decode())"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_connection_is_ours(family: socket.AddressFamily) -> None:
    """Also where a program opens IPv6 sockets for IPv4 addresses."""
    host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(family) as client:
        client.connect((host, server.getsockname()[1]))
        accepted, peer = server.accept()
        with accepted:
            assert find_peer_user(peer, server.getsockname()) == os.getuid()


def test_what_is_not_on_this_machine_is_not_known() -> None:
    """No connection between these, and an address elsewhere."""
    assert find_peer_user(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
    assert find_peer_user(("192.0.2.1", 50_000), ("127.0.0.1", 80)) is None


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse("inside")(scope, receive, send)


@pytest.fixture
def address() -> Iterator[str]:
    """Address of a guarded application."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(RequestGuard(_app, port=port), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()
    listener.close()


def _ask_as(address: str, user: int) -> str:
    command = [sys.executable, "-I", "-S", "-c", _ASK, address, str(user)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_the_same_user_is_let_in(address: str) -> None:
    """As ever, without a token."""
    assert _ask_as(address, os.getuid()) == "inside"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_of_the_machine_is_refused(address: str) -> None:
    """By what Linux says of the connection; no header can change that."""
    assert _ask_as(address, _NOBODY).endswith("403: Forbidden")
