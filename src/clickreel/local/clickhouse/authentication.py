"""Who may come in, and from where."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class DatabaseUser:
    """One who may come in.

    Attributes:
        name: The name.
        password: The password; empty when none is asked for.
        readonly: Whether it may neither write nor change settings.
    """

    name: str
    password: str
    readonly: bool = False


def authenticate(
    users: Mapping[str, DatabaseUser], headers: Mapping[str, str], params: Mapping[str, str]
) -> DatabaseUser:
    """Find out who asks: by header, by basic authentication, or by URL parameters, in a server's order.

    Raises:
        DatabaseError: Nobody of this name and password is known; or no password is asked for and a foreign web page asks.
    """
    name, password = _credentials(headers, params)
    user = users.get(name)
    given, wanted = password.encode(), (user.password if user else "").encode()
    if user is None or not hmac.compare_digest(given, wanted):
        raise database_error(
            ErrorCode.AUTHENTICATION_FAILED,
            f"{name}: Authentication failed: password is incorrect, or there is no user with such name",
        )
    if not user.password:
        _refuse_foreign_pages(headers)
    return user


def _refuse_foreign_pages(headers: Mapping[str, str]) -> None:
    """Without a password any web page that a person has open could use the port: by its own name, or by a name that leads here."""
    for header, address in (("Origin", headers.get("origin", "")), ("Host", f"//{headers.get('host', 'localhost')}")):
        if address and urlsplit(address).hostname not in _LOOPBACK:
            raise database_error(
                ErrorCode.ACCESS_DENIED,
                f"{header} is {address.removeprefix('//')}: without a password only this machine is let in",
            )


def _credentials(headers: Mapping[str, str], params: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(rest).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise database_error(ErrorCode.AUTHENTICATION_FAILED, "Invalid HTTP basic authentication") from None
        return name or "default", password
    if scheme:
        raise database_error(ErrorCode.AUTHENTICATION_FAILED, f"'{scheme}' HTTP authorization scheme is not supported")
    return params.get("user") or "default", params.get("password", "")
