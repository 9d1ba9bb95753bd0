"""Which gateway runs a statement: the profile's or the settings' own, else the local one, started when it does not run."""

from __future__ import annotations

import contextlib

from clickreel.errors import UnreachableError
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.settings import FlinkSettings
from clickreel.local.home import Home
from clickreel.local.stack import Stack
from clickreel.local.task_graph import Report, silent
from clickreel.profile import Profile


def connect_gateway(profile: Profile, settings: FlinkSettings, home: Home, report: Report = silent) -> RestGateway:
    """A gateway that answers.

    Args:
        profile: May name a gateway (``flink.gateway.url``).
        settings: May name one too, and win.
        home: Whose local gateway is used otherwise.
        report: Told of the steps of a first start: jars fetched, gateway started.

    Raises:
        UnreachableError: The named gateway does not answer, or the local one does not come up.
        MissingError: The local one cannot be started on this machine.
    """
    stack = Stack(home)
    named = settings.gateway_url or profile.flink_gateway_url
    local = stack.addresses().get("flink", "")
    if named and named != local:
        found = RestGateway(named, auth=profile.flink_gateway_auth)
        found.version()
        return found
    if local:
        warm = RestGateway(local)
        with contextlib.suppress(UnreachableError):
            warm.version()
            return warm
        warm.disconnect()
    stack.ensure(["flink"], report=report)
    return RestGateway(stack.address("flink"))
