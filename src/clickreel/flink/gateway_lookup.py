"""Which gateway runs a statement: the one that the profile or the settings name, else the local one, started when it does not run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from clickreel.errors import UnreachableError
from clickreel.flink.gateway_client import RestGateway


def connect_gateway(
    named: str, local: str, start_local: Callable[[], str], *, auth: str = "", local_auth: str = ""
) -> RestGateway:
    """Return a gateway that answers.

    Args:
        named: Address of the gateway that the profile or the settings name; empty when they name none.
        local: Address of the local gateway when it was last started; empty when it never was.
        start_local: Starts the local gateway, or waits for it, and returns its address.
        auth: ``user:password`` of the named gateway, or empty.
        local_auth: ``user:password`` of the local one.

    Raises:
        UnreachableError: The named gateway does not answer, or the local one does not come up.
        MissingError: The local one cannot be started on this machine.
    """
    if named and RestGateway(named).url != (local and RestGateway(local).url):
        gateway = RestGateway(named, auth=auth)
        gateway.version()
        return gateway
    if local:
        gateway = RestGateway(local, auth=local_auth)
        with contextlib.suppress(UnreachableError):
            gateway.version()
            return gateway
        gateway.disconnect()
    return RestGateway(start_local(), auth=local_auth)
