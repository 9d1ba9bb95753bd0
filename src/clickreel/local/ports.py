"""Ports: free loopback ports, remembered by the home so that addresses survive down and up."""

from __future__ import annotations

import http.client
import random
import socket
import threading
from urllib.parse import urlsplit

from clickreel.errors import MissingError
from clickreel.local.home import Home

HOST = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections (Linux 32768, macOS 49152): a remembered port is then not
# taken by a passing connection while the stack is down.
LOWEST, HIGHEST = 20_000, 32_000

# Parts start in threads of one process (the home's lock keeps other processes out), and all remember their ports in one file.
_GUARD = threading.Lock()


def free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def listening(port: int, *, timeout_s: float = 0.5) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def answers(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether an HTTP server on this machine answers a GET with success.

    Polled many times while services start: unlike a full client it costs no certificates and no connection pool (30 ms of processor time a
    call, which the starting services need).
    """
    target = urlsplit(url)
    if target.port is None or not listening(target.port):
        return False
    connection = http.client.HTTPConnection(target.hostname or HOST, target.port, timeout=timeout_s)
    try:
        connection.request("GET", target.path or "/")
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def take(home: Home, name: str, fixed: int = 0) -> int:
    """The port of a service: the fixed one, else the remembered one if it is still free, else a new free one, remembered.

    Args:
        home: The home that remembers.
        name: What the port is for, such as ``kafka``.
        fixed: A port asked for by the settings, or 0.

    Raises:
        MissingError: The fixed port is taken.
    """
    with _GUARD:
        return _take(home, name, fixed)


def _take(home: Home, name: str, fixed: int) -> int:
    known = home.read("ports.json")
    if fixed:
        if not free(fixed):
            raise MissingError(
                f"port {fixed} for {name} is taken by another program",
                hint=f"end it, or set CLICKREEL_LOCAL_{name.upper()}_PORT to another port (0 takes a free one)",
            )
        chosen = fixed
    else:
        remembered = known.get(name)
        others = {port for other, port in known.items() if other != name}
        chosen = remembered if isinstance(remembered, int) and free(remembered) else _any(others)
    if known.get(name) != chosen:
        home.write("ports.json", {**known, name: chosen})
    return chosen


def _any(taken: set[int]) -> int:
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - spread, not secrecy
        if port not in taken and free(port):
            return port
    raise MissingError(
        f"no free port between {LOWEST} and {HIGHEST} on {HOST}", hint="end some of the programs that listen there"
    )
