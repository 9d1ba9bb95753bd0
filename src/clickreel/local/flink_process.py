"""``python -m clickreel.local.flink_process PORT``: the process of the service ``flink``, the parent of Flink's Java.

It runs a :class:`clickreel.flink.gateway_supervisor.GatewaySupervisor`, and at PORT the guard through which everybody reaches the gateway.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial

from clickreel import settings as stage_settings
from clickreel.flink.flink_cluster import FlinkCluster
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.gateway_supervisor import GatewaySupervisor
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_store import StatementStore
from clickreel.heartbeat import Heartbeat
from clickreel.local import ports
from clickreel.local.flink_guard import find_forbidden_option
from clickreel.local.flink_service import command, configuration
from clickreel.local.home import Home
from clickreel.local.service_guard import USER, GuardOptions, ServiceGuard, die_with_parent, free_port, hidden_host
from clickreel.local.settings import LocalSettings


def _start_java(home: Home, host: str, port: int, cluster_port: int, slots: int) -> subprocess.Popen[bytes]:
    work = home.work("flink")
    _remove_scratch(home)  # what a killed predecessor left: Java unpacks 60 MB of planner and RPC system at every start
    for name in ("tmp", "conf"):
        (work / name).mkdir(mode=0o700)
    options = configuration(host=host, gateway_port=port, cluster_port=cluster_port, scratch=work / "tmp", slots=slots)
    lines = "".join(f'{name}: "{value}"\n' for name, value in options.items())
    (work / "conf" / "config.yaml").write_text(lines, encoding="utf-8")
    return subprocess.Popen(
        command(home, stage_settings.load(LocalSettings, "local"), work / "tmp"),
        stdin=subprocess.DEVNULL,
        env={**os.environ, "FLINK_CONF_DIR": str(work / "conf")},
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call
    )


def _remove_scratch(home: Home) -> None:
    for name in ("tmp", "conf"):
        shutil.rmtree(home.work("flink") / name, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run the gateway of the home that the environment names."""
    home, port, host = Home.default(), int(arguments[0]), hidden_host()
    gateway_port, cluster_port = free_port(host), free_port(host)
    guard = ServiceGuard(port, GuardOptions((host, gateway_port), home.token(), "/v3/info", find_forbidden_option))
    guard.start()
    settings = stage_settings.load(FlinkSettings, "flink")
    beats = Heartbeat.from_environment()
    supervisor = GatewaySupervisor(
        RestGateway(f"http://{ports.HOST}:{port}", auth=f"{USER}:{home.token()}"),
        FlinkCluster(f"http://{host}:{cluster_port}"),
        StatementStore(home.data("flink")),
        settings,
        start_java=partial(_start_java, home, host, gateway_port, cluster_port, settings.slots + 1),
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
