"""Who may come in, and from where."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.web_origin import find_foreign_origin


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
        DatabaseError: Nobody of this name and password is known.
    """
    name, password = _credentials(headers, params)
    user = users.get(name)
    expected = user.password if user else ""
    if user is None or not hmac.compare_digest(_as_bytes(password), _as_bytes(expected)):
        raise database_error(
            ErrorCode.AUTHENTICATION_FAILED,
            f"{name}: Authentication failed: password is incorrect, or there is no user with such name",
        )
    return user


def refuse_foreign_pages(headers: Mapping[str, str]) -> None:
    """Refuse a request of a web page from elsewhere, whatever password it brings.

    Raises:
        DatabaseError: It is one.
    """
    reason = find_foreign_origin(headers)
    if reason is not None:
        raise database_error(ErrorCode.ACCESS_DENIED, reason)


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


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
