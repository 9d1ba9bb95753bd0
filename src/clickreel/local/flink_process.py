"""``python -m clickreel.local.flink_process PORT``: the process of the service ``flink``, the parent of Flink's Java.

It runs a :class:`clickreel.flink.gateway_supervisor.GatewaySupervisor`, and at PORT the guard through which everybody reaches the gateway.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from clickreel import settings as stage_settings
from clickreel.flink.flink_cluster import FlinkCluster
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.gateway_supervisor import GatewaySupervisor
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_store import StatementStore
from clickreel.heartbeat import Heartbeat
from clickreel.local import loopback_certificate, ports
from clickreel.local.flink_guard import find_forbidden_option
from clickreel.local.flink_service import CLUSTER_PATH, command, configuration
from clickreel.local.home import Home
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

_SCRATCH = ("tmp", "conf")


def _start_java(home: Home, options: Mapping[str, str]) -> subprocess.Popen[bytes]:
    work = home.work("flink")
    lines = "".join(f'{name}: "{value}"\n' for name, value in options.items())
    (work / "conf" / "config.yaml").write_text(lines, encoding="utf-8")
    return subprocess.Popen(
        command(home, stage_settings.load(LocalSettings, "local"), work / "tmp"),
        stdin=subprocess.DEVNULL,
        env={**os.environ, "FLINK_CONF_DIR": str(work / "conf")},
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call
    )


def _remove_scratch(home: Home) -> None:
    for name in _SCRATCH:
        shutil.rmtree(home.work("flink") / name, ignore_errors=True)


def _make_scratch(home: Home) -> None:
    _remove_scratch(home)  # what a killed predecessor left: Java unpacks 60 MB of planner and RPC system at every start
    for name in _SCRATCH:
        (home.work("flink") / name).mkdir(mode=0o700)


def main(arguments: list[str]) -> int:
    """Run the gateway of the home that the environment names."""
    home, port, host = Home.default(), int(arguments[0]), hidden_host()
    _make_scratch(home)
    work = home.work("flink")
    certificate = loopback_certificate.write(work / "conf", host)
    gateway, cluster = (Upstream(host, free_port(host), tls=certificate.context) for _ in range(2))
    guard = ServiceGuard(
        port, GuardOptions(gateway, home.token(), "/v3/info", find_forbidden_option, {CLUSTER_PATH: cluster})
    )
    guard.start()
    settings = stage_settings.load(FlinkSettings, "flink")
    beats = Heartbeat.from_environment()
    options = configuration(
        host=host,
        gateway_port=gateway.port,
        cluster_port=cluster.port,
        scratch=work / "tmp",
        slots=settings.slots + 1,
        certificate=certificate,
    )
    address, login = f"http://{ports.HOST}:{port}", f"{USER}:{home.token()}"
    supervisor = GatewaySupervisor(
        RestGateway(address, auth=login),
        FlinkCluster(f"{address}{CLUSTER_PATH}", auth=login),
        StatementStore(home.data("flink")),
        settings,
        start_java=partial(_start_java, home, options),
        on_ready=beats.ready,
        on_idle=lambda: None,
    )
    try:
        with beats:
            return supervisor.run()
    finally:
        _remove_scratch(home)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
