"""``python -m clickreel.local.flink_process PORT CLUSTER_PORT``: the process of the service ``flink``, the parent of Flink's Java.

It runs a :class:`clickreel.flink.gateway_supervisor.GatewaySupervisor`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
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
from clickreel.local.flink_service import command, configuration
from clickreel.local.home import Home
from clickreel.local.settings import LocalSettings

_PR_SET_PDEATHSIG = 1


def _start_java(home: Home, port: int, cluster_port: int, slots: int) -> subprocess.Popen[bytes]:
    work = home.work("flink")
    _remove_scratch(home)  # what a killed predecessor left: Java unpacks 60 MB of planner and RPC system at every start
    for name in ("tmp", "conf"):
        (work / name).mkdir(mode=0o700)
    options = configuration(gateway_port=port, cluster_port=cluster_port, scratch=work / "tmp", slots=slots)
    lines = "".join(f'{name}: "{value}"\n' for name, value in options.items())
    (work / "conf" / "config.yaml").write_text(lines, encoding="utf-8")
    return subprocess.Popen(
        command(home, stage_settings.load(LocalSettings, "local"), work / "tmp"),
        stdin=subprocess.DEVNULL,
        env={**os.environ, "FLINK_CONF_DIR": str(work / "conf")},
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread, one system call
    )


def _remove_scratch(home: Home) -> None:
    for name in ("tmp", "conf"):
        shutil.rmtree(home.work("flink") / name, ignore_errors=True)


def _die_with_parent() -> None:
    # `kill -9` of this process must not leave Java behind, even when the process above it is gone too.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the gateway of the home that the environment names."""
    home, port, cluster_port = Home.default(), int(arguments[0]), int(arguments[1])
    settings = stage_settings.load(FlinkSettings, "flink")
    beats = Heartbeat.from_environment()
    supervisor = GatewaySupervisor(
        RestGateway(f"http://{ports.HOST}:{port}"),
        FlinkCluster(f"http://{ports.HOST}:{cluster_port}"),
        StatementStore(home.data("flink")),
        settings,
        start_java=partial(_start_java, home, port, cluster_port, settings.slots + 1),
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
