"""A repository of artifacts on this machine, real HTTP included, and a small lock that fits it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from clickreel.local.jars import Artifact

CONTENTS = {"org.one:alpha:1.0": b"alpha" * 1000, "org.one:beta:2.1": b"beta" * 50_000, "org.two:gamma:0.1": b"g"}


def artifact(coordinate: str, data: bytes) -> Artifact:
    """What the lock would say of these bytes."""
    return Artifact.parse(coordinate, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def lock() -> dict[str, tuple[Artifact, ...]]:
    """A lock of one group."""
    return {"group": tuple(artifact(coordinate, data) for coordinate, data in CONTENTS.items())}


def fill(folder: Path, *, flat: bool = False) -> None:
    """Lay the artifacts out as a repository does, or side by side."""
    for one, data in zip(lock()["group"], CONTENTS.values(), strict=True):
        path = folder / (one.filename if flat else one.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@dataclass
class Mirror:
    """A running repository: its address, and the paths that were asked of it."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve(folder: Path) -> Iterator[Mirror]:
    """Serve a folder over HTTP on loopback."""
    mirror = Mirror("")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            del arguments
            mirror.asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
