"""Which user of this machine is at the other end of a loopback connection, as Linux lists it in ``/proc/net/tcp`` (see ``proc(5)``)."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# IPv4 connections of a program that opens IPv6 sockets, as Java does, stand in the second.
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

Address = tuple[str, int]


def find_peer_user(client: Address, server: Address) -> int | None:
    """The id of the user whose process opened a connection.

    Args:
        client: Address and port of the process that connected.
        server: Address and port to which it connected.

    Returns:
        Its user's id; None where that cannot be known: the other end is on another machine or in a container, or this is not Linux.
    """
    if sys.platform != "linux" or not ipaddress.ip_address(client[0]).is_loopback:
        return None
    wanted = (_normal(*client), _normal(*server))
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for ends, user in _rows(lines, (client[1], server[1])):
            if ends == wanted:
                return user
    return None


def _rows(lines: Iterable[str], ports: tuple[int, int]) -> Iterator[tuple[tuple[Address, Address], int]]:
    """Both ends and the user of each connection between these ports, from the lines of a table."""
    endings = tuple(f":{port:04X}" for port in ports)
    for line in lines:
        fields = line.split()
        if fields[1].endswith(endings[0]) and fields[2].endswith(endings[1]):
            yield (_address(fields[1]), _address(fields[2])), int(fields[7])


def _address(text: str) -> Address:
    """Words of 32 bits in the machine's byte order, in hexadecimal, and the port."""
    words, _, port = text.partition(":")
    packed = b"".join(int(words[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(words), 8))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return _normal(socket.inet_ntop(family, packed), int(port, 16))


def _normal(host: str, port: int) -> Address:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), port
