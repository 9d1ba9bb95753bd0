"""Behind their guards, the registry and Flink answer nobody but the guard, on none of the ports that they open."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
import psutil

from clickreel.flink.gateway_client import RestGateway
from clickreel.local.home import Home
from clickreel.local.registry_service import API, ROLE_HEADER, USER_HEADER
from clickreel.local.stack import Stack
from tests.conftest import Registry
from tests.local.open_ports import listening, takes_strangers_by_tls, try_all

_GATEWAY_PATHS = ("/v3/info", "/v1/info", "/overview", "/jobs/overview", "/config", "/jars", "/taskmanagers")
_REGISTRY_PATHS = (
    f"{API}/subjects",
    "/apis/registry/v3/system/info",
    "/apis/registry/v3/search/artifacts",
    "/ui/",
    "/health",
)


def _pid(stack: Stack, name: str) -> int:
    record = stack.record(name)
    assert record is not None
    return record.pid


def test_no_port_of_flink_answers_a_stranger(gateway: RestGateway, stack: Stack) -> None:
    """Neither the gateway, nor the cluster's REST interface, nor what its parts say to each other."""
    guard = httpx.URL(gateway.url)
    own = (guard.host, guard.port)
    ports = listening(_pid(stack, "flink")) - {own}
    rest = [(host, port) for host, port in ports if host != "127.0.0.1"]
    assert len(rest) >= 3  # the gateway, the cluster's REST interface, its parts
    assert [address for address in rest if takes_strangers_by_tls(*address)] == []
    answered = [answer for answer in try_all(_pid(stack, "flink"), _GATEWAY_PATHS) if 200 <= answer.status < 300]
    assert answered == []
    # And the same ports serve the guard: this session was opened through it.
    assert gateway.version()


def test_no_port_of_the_registry_answers_a_stranger(registry: Registry, stack: Stack) -> None:
    """Whatever the path; the headers by which the guard is known are of no use without its secret."""
    pid = _pid(stack, "registry")
    answered = [answer for answer in try_all(pid, _REGISTRY_PATHS) if 200 <= answer.status < 300]
    assert answered == []
    headers = {USER_HEADER: "clickreel", ROLE_HEADER: "admin"}
    for host, port in listening(pid):
        for path in _REGISTRY_PATHS:
            with contextlib.suppress(httpx.TransportError):
                assert httpx.get(f"http://{host}:{port}{path}", headers=headers, timeout=5).status_code >= 400
    assert httpx.get(f"{registry.url}/subjects", timeout=60).status_code == 200


def test_the_command_lines_hold_no_secret(gateway: RestGateway, registry: Registry, stack: Stack) -> None:
    """A process's arguments can be read by every user of the machine."""
    del gateway, registry
    for name in ("flink", "registry"):
        process = psutil.Process(_pid(stack, name))
        for one in (process, *process.children(recursive=True)):
            assert stack.home.token() not in " ".join(one.cmdline())
            assert "ROLES_ALLOWED" not in " ".join(one.cmdline())


def test_the_key_of_flink_is_this_users_alone(gateway: RestGateway, home: Home) -> None:
    """Whoever has it could stand in for the guard."""
    del gateway
    for name in ("loopback.p12", "loopback.pem"):
        path: Path = home.work("flink") / "conf" / name
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
