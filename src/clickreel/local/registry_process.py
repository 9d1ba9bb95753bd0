"""``python -m clickreel.local.registry_process PORT``: the process of the service ``registry``, the parent of Apicurio's Java.

At PORT it runs the guard through which everybody reaches the registry; it ends with Java.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from types import FrameType

from clickreel import settings as stage_settings
from clickreel.local.home import Home
from clickreel.local.registry_service import API, ROLE_HEADER, USER_HEADER, access_environment, command
from clickreel.local.service_guard import (
    USER,
    GuardOptions,
    ServiceGuard,
    Upstream,
    die_with_parent,
    free_port,
    hidden_host,
)
from clickreel.local.settings import LocalSettings


def main(arguments: list[str]) -> int:
    """Run the registry of the home that the environment names; the exit code is Java's."""
    home, host, role = Home.default(), hidden_host(), secrets.token_hex(24)
    registry = Upstream(host, free_port(host), headers={USER_HEADER: USER, ROLE_HEADER: role})
    guard = ServiceGuard(int(arguments[0]), GuardOptions(registry, home.token(), f"{API}/subjects"))
    process = subprocess.Popen(
        command(home, stage_settings.load(LocalSettings, "local"), host, registry.port),
        stdin=subprocess.DEVNULL,
        env={**os.environ, **access_environment(role)},
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call
    )

    def end(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    guard.start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
