"""``python -m clickreel.local.clickhouse --data DIR --port P``: serve until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from clickreel.errors import ClickreelError
from clickreel.local.clickhouse.authentication import DatabaseUser
from clickreel.local.clickhouse.http_server import ClickHouseServer, ServerOptions
from clickreel.local.clickhouse.settings import ClickHouseSettings
from clickreel.settings import load

MEMORY_MAX_MB = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code of the process.

    Args:
        arguments: The command line; by default the process's own.
    """
    parser = argparse.ArgumentParser(
        prog="python -m clickreel.local.clickhouse",
        description="Serve ClickHouse's HTTP interface on 127.0.0.1 over one data folder. Users and memory: see the settings.",
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder; made if it is absent")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 for any free one")
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        server = ClickHouseServer(
            options(parsed.data.expanduser().absolute(), parsed.port, load(ClickHouseSettings, "local_clickhouse"))
        )
    except ClickreelError as exc:
        sys.stderr.write(f"error: {exc.message}\n" + (f"hint: {exc.hint}\n" if exc.hint else ""))
        return exc.exit_code
    sys.stdout.write(f"ClickHouse {server.engine.version} on {server.url}\n")
    sys.stdout.flush()
    server.run()
    return 0


def options(data: Path, port: int, settings: ClickHouseSettings) -> ServerOptions:
    """A server's options from its settings."""
    users = {settings.user: DatabaseUser(settings.user, settings.password)}
    if settings.reader:
        users[settings.reader] = DatabaseUser(settings.reader, settings.reader_password, readonly=True)
    memory_mb = settings.memory_mb or min(MEMORY_MAX_MB, psutil.virtual_memory().total // 2 // 2**20)
    return ServerOptions(data, port, memory_mb * 2**20, users)


if __name__ == "__main__":
    sys.exit(main())
