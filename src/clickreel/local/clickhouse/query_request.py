"""What a request asks for: its URL parameters and headers, sorted into the interface's own words, settings and query parameters."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.clickhouse.query_sessions import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S

# The interface's own parameters: everything else in the URL is a setting (or `param_x`, a query parameter).
_OWN = frozenset(
    {
        "query", "database", "default_format", "query_id", "user", "password", "quota_key", "session_id", "session_timeout",
        "session_check", "close_session", "compress", "decompress", "buffer_size", "wait_end_of_query", "stacktrace",
        "client_protocol_version", "role", "add_http_cors_header",
    }
)  # fmt: skip
_NAME = re.compile(r"\w+\Z", re.ASCII)
_QUERY_ID_MAX = 1000
_DIGITS_MAX = 9


@dataclass(frozen=True)
class QueryRequest:
    """One request, parsed.

    Attributes:
        query: The text in the URL; the body's text or data follows it.
        query_id: The client's id, or one made here.
        database: The database that unqualified names mean; ``None`` for the session's.
        format: The format of a result whose statement names none.
        header_format: The format that the header ``X-ClickHouse-Format`` asks for, whatever the statement says; ``None`` without it.
        protocol_version: The version of the Native format that the client speaks; 0 for the form without version.
        settings: Settings and query parameters (``param_x``) for this request alone.
        session: The session's id; ``None`` for none.
        session_timeout_s: How long the session lives without a request.
        session_check: Whether the session must exist already.
        close_session: Whether the session ends with this request.
        wait_end: Whether the answer is held back until the statement has ended, so that its status is always true.
        encodings: The compressions that the client takes (Accept-Encoding); empty when it wants none.
        compress: Whether the result is framed in ClickHouse's own compressed blocks (``compress=1``).
        decompress: Whether the body is (``decompress=1``).
        level: The level of compression.
        text_max_bytes: How long the client lets the statement be; 0 when it does not say.
    """

    query: str
    query_id: str
    database: str | None
    format: str
    header_format: str | None
    protocol_version: int
    settings: dict[str, str]
    session: str | None
    session_timeout_s: float
    session_check: bool
    close_session: bool
    wait_end: bool
    encodings: str
    compress: bool
    decompress: bool
    level: int
    text_max_bytes: int


def parse_request(params: Mapping[str, str], headers: Mapping[str, str]) -> QueryRequest:
    """Sort a request's parameters.

    Raises:
        DatabaseError: A name or a number among them is not one.
    """
    settings = {name: value for name, value in params.items() if name not in _OWN}
    for name in settings:
        if not _NAME.match(name):
            raise database_error(ErrorCode.BAD_ARGUMENTS, f"{name!r} is not the name of a setting")
    header_format = headers.get("x-clickhouse-format") or None
    output = params.get("default_format") or "TabSeparated"
    for name in (output, header_format or output):
        if not _NAME.match(name):
            raise database_error(ErrorCode.UNKNOWN_FORMAT, f"Unknown format {name}")
    return QueryRequest(
        query=params.get("query", ""),
        query_id=_query_id(params.get("query_id") or headers.get("x-clickhouse-query-id") or str(uuid.uuid4())),
        database=params.get("database") or headers.get("x-clickhouse-database") or None,
        format=output,
        header_format=header_format,
        protocol_version=_number(params, "client_protocol_version"),
        settings=settings,
        session=params.get("session_id") or None,
        session_timeout_s=_timeout(params.get("session_timeout", "")),
        session_check=_flag(params, "session_check"),
        close_session=_flag(params, "close_session"),
        wait_end=_flag(params, "wait_end_of_query"),
        encodings=headers.get("accept-encoding", "") if _flag(params, "enable_http_compression", default=True) else "",
        compress=_flag(params, "compress"),
        decompress=_flag(params, "decompress"),
        level=_level(params.get("http_zlib_compression_level", "")),
        text_max_bytes=_number(params, "max_query_size"),
    )


def _flag(params: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    value = params.get(name)
    return default if value is None else value.lower() in ("1", "true")


def _query_id(text: str) -> str:
    """The id stands in a header of the answer, where a line break would begin another header."""
    if len(text) > _QUERY_ID_MAX or not text.isprintable():
        raise database_error(
            ErrorCode.BAD_ARGUMENTS, f"query_id has letters that cannot be printed, or more than {_QUERY_ID_MAX}"
        )
    return text


def _number(params: Mapping[str, str], name: str) -> int:
    text = params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise database_error(ErrorCode.BAD_ARGUMENTS, f"{name} is {text!r} and not a number")
    return int(text)


def _timeout(text: str) -> float:
    if not text:
        return DEFAULT_TIMEOUT_S
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and int(text) <= MAX_TIMEOUT_S):
        raise database_error(
            ErrorCode.INVALID_SESSION_TIMEOUT, f"Session timeout '{text}' is not a number from 0 to {MAX_TIMEOUT_S}"
        )
    return float(text)


def _level(text: str) -> int:
    # Level 1: on loopback bytes are cheaper than the time to squeeze them. A server's default is 3.
    return int(text) if len(text) == 1 and text in "123456789" else 1
