"""A Kafka of its own that can be paused, and a TCP proxy before it that holds produce requests back."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.stream.secured import free_port, run_kafka

_PRODUCE = 0  # Kafka's number of the Produce request


class HoldingProxy:
    """Forwards a Kafka listener, and holds back what is produced to topics named ``late-<seconds>-...`` until it is told otherwise.

    A request is forwarded in the end even when its client has been killed meanwhile, as a network or a paused broker may do.

    Attributes:
        holding: The topics whose requests are held now.
        held: By topic: the requests that were held.
        forwarded: By topic: those of them that were forwarded.
    """

    def __init__(self, port: int, target: int) -> None:
        self.holding: set[str] = set()
        self.held: Counter[str] = Counter()
        self.forwarded: Counter[str] = Counter()
        self._target = target
        self._server = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, work: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=work, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += (client, broker)
                self._begin(self._requests, client, broker)
                self._begin(self._answers, broker, client)

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            while len(size := stream.read(4)) == 4:
                body = stream.read(struct.unpack(">i", size)[0])
                topic = re.search(rb"late-(\d+)-[0-9a-z-]*", body)
                name = topic[0].decode() if topic else ""
                if struct.unpack(">h", body[:2])[0] == _PRODUCE and topic and name in self.holding:
                    self.held[name] += 1
                    while name in self.holding:
                        time.sleep(0.01)
                    broker.sendall(size + body)
                    self.forwarded[name] += 1
                else:
                    broker.sendall(size + body)

    def _answers(self, broker: socket.socket, client: socket.socket) -> None:
        # What the client does not hear any more is read all the same: the broker's side of the connection stays as it is.
        alive = True
        with contextlib.suppress(OSError):
            while data := broker.recv(1 << 16):
                try:
                    if alive:
                        client.sendall(data)
                except OSError:
                    alive = False

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        for one in (self._server, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)


@dataclass
class Interrupted:
    """A broker that can be interrupted.

    Attributes:
        process: Its process.
        direct: Its address.
        proxied: The address that leads through the proxy.
        proxy: The proxy.
    """

    process: subprocess.Popen[bytes]
    direct: str
    proxied: str
    proxy: HoldingProxy

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the broker's process; it goes on afterwards."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def interrupted(folder: Path) -> Iterator[Interrupted]:
    """Run one."""
    direct, controller, inner, outer = (free_port() for _ in range(4))
    config = folder / "server.properties"
    lines = (
        "process.roles=broker,controller",
        "node.id=1",
        f"listeners=D://127.0.0.1:{direct},X://127.0.0.1:{inner},C://127.0.0.1:{controller}",
        f"advertised.listeners=D://127.0.0.1:{direct},X://127.0.0.1:{outer}",
        "listener.security.protocol.map=D:PLAINTEXT,X:PLAINTEXT,C:PLAINTEXT",
        "controller.listener.names=C",
        "inter.broker.listener.name=D",
        f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}",
        f"log.dirs={folder / 'data'}",
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "group.initial.rebalance.delay.ms=0",
        # A broker that is paused for longer than this fences itself from its own controller and has to register again.
        "broker.session.timeout.ms=120000",
    )
    config.write_text("\n".join(lines), encoding="utf-8")
    with run_kafka(folder, config, f"127.0.0.1:{direct}") as process:
        proxy = HoldingProxy(outer, inner)
        try:
            yield Interrupted(process, f"127.0.0.1:{direct}", f"127.0.0.1:{outer}", proxy)
        finally:
            proxy.close()
