"""What a stranger on this machine gets who reads the list of open ports and tries each of them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import psutil

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Answer:
    """What a port answered.

    Attributes:
        address: Scheme, host, port and path that were asked.
        status: HTTP status; 0 when the connection was ended instead.
    """

    address: str
    status: int


def listening(pid: int) -> set[tuple[str, int]]:
    """Hosts and ports on which a process or one of its descendants listens."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    found = {
        (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert found
    return found


def try_all(pid: int, paths: Sequence[str]) -> Iterator[Answer]:
    """Ask every port of a process for every path, in plain HTTP and in TLS without a certificate."""
    for host, port in sorted(listening(pid)):
        for scheme in ("http", "https"):
            for path in paths:
                address = f"{scheme}://{host}:{port}{path}"
                try:
                    # A stranger does not mind who answers.
                    answer = httpx.get(address, verify=False, timeout=_TIMEOUT_S, trust_env=False)  # noqa: S501
                    yield Answer(address, answer.status_code)
                except httpx.TransportError:
                    yield Answer(address, 0)


def takes_strangers_by_tls(host: str, port: int) -> bool:
    """Whether a server completes a handshake with a client that shows no certificate, and then answers it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 a refusal comes after the client's side is done
    try:
        with (
            socket.create_connection((host, port), timeout=_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except (OSError, ssl.SSLError):
        return False
