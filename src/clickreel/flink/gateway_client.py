"""The SQL gateway's REST interface behind one protocol: sessions, statements, pages of results.

A gateway holds sessions; a session runs statements, each an *operation*; an operation's result comes in pages, numbered from 0. A page
is asked for until it is there, and its answer names the next page until the end of the stream. Foreign exceptions are translated here
and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from clickreel.errors import UnreachableError
from clickreel.flink.sql_errors import FlinkError, explain_trace
from clickreel.profile import split_login

# Flink 2.x; version 3 of the interface has been there since Flink 1.19.
_API = "/v3"
# A statement is planned within the answer to its first page, not within the answer to its submission: no answer takes this long.
TIMEOUT_S = 30.0


class SessionLostError(UnreachableError):
    """The gateway no longer knows the session or the operation: it was restarted, or the session expired."""


@dataclass(frozen=True)
class Column:
    """A column of a result.

    Attributes:
        name: Its name.
        type: Root of its logical type, such as ``BIGINT`` or ``TIMESTAMP_WITH_LOCAL_TIME_ZONE``.
        precision: Digits after the seconds of a timestamp; 0 for other types.
    """

    name: str
    type: str
    precision: int = 0

    @property
    def is_instant(self) -> bool:
        """Whether it is a timestamp."""
        return self.type.startswith("TIMESTAMP")


@dataclass(frozen=True)
class Page:
    """A page of a result.

    Attributes:
        ready: Whether the statement has come so far; the other fields mean something only then.
        columns: The result's columns.
        rows: ``(kind, cells)``; kind is ``+I``, ``-U``, ``+U`` or ``-D``.
        next: Number of the next page, or None after the last.
        job: Id of the Flink job behind the statement, or empty.
        is_query: Whether the rows are a query's (not a word like ``OK``).
    """

    ready: bool
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, list[Any]], ...] = ()
    next: int | None = None
    job: str = ""
    is_query: bool = False


class Gateway(Protocol):
    """A Flink SQL gateway.

    Attributes:
        url: Its address, without a login.
        auth: ``user:password``, or empty.
    """

    url: str
    auth: str

    def version(self) -> str:
        """The version of Flink behind it; the proof that it answers."""

    def open_session(self, properties: Mapping[str, str]) -> str:
        """Open a session with these settings; returns its handle."""

    def close_session(self, session: str) -> None:
        """Close a session; one that is gone already is closed."""

    def heartbeat(self, session: str) -> None:
        """Keep a session from expiring."""

    def submit(self, session: str, sql: str) -> str:
        """Start a statement; returns its operation's handle."""

    def fetch(self, session: str, operation: str, page: int) -> Page:
        """Ask for a page; it may not be ready."""

    def cancel(self, session: str, operation: str) -> None:
        """Stop a statement; its slots are free when this returns or within a moment."""

    def close_operation(self, session: str, operation: str) -> None:
        """Forget a statement and its results, stopping it where it still runs."""


_KINDS = {"INSERT": "+I", "UPDATE_BEFORE": "-U", "UPDATE_AFTER": "+U", "DELETE": "-D"}


class RestGateway:
    """A gateway over HTTP.

    Args:
        url: Its address, such as ``http://127.0.0.1:8083``; a login in it is used and not kept in :attr:`url`.
        auth: ``user:password``, or empty.
        timeout_s: How long an answer may take.
    """

    def __init__(self, url: str, *, auth: str = "", timeout_s: float = TIMEOUT_S) -> None:
        address, login = split_login(url)
        self.url, self.auth = address.rstrip("/"), auth or login
        user, _, password = self.auth.partition(":")
        self._http = httpx.Client(
            base_url=self.url + _API, auth=(user, password) if user else None, timeout=timeout_s, trust_env=False
        )

    def version(self) -> str:
        """See :class:`Gateway`."""
        return str(self._call("GET", "/info")["version"])

    def open_session(self, properties: Mapping[str, str]) -> str:
        """See :class:`Gateway`."""
        return str(self._call("POST", "/sessions", {"properties": dict(properties)})["sessionHandle"])

    def close_session(self, session: str) -> None:
        """See :class:`Gateway`."""
        with contextlib.suppress(SessionLostError, FlinkError):
            self._call("DELETE", f"/sessions/{session}")

    def heartbeat(self, session: str) -> None:
        """See :class:`Gateway`."""
        self._call("POST", f"/sessions/{session}/heartbeat", {})

    def submit(self, session: str, sql: str) -> str:
        """See :class:`Gateway`."""
        return str(self._call("POST", f"/sessions/{session}/statements", {"statement": sql})["operationHandle"])

    def fetch(self, session: str, operation: str, page: int) -> Page:
        """See :class:`Gateway`."""
        answer = self._call("GET", f"/sessions/{session}/operations/{operation}/result/{page}?rowFormat=JSON")
        kind = answer["resultType"]
        if kind == "NOT_READY":
            return Page(ready=False)
        results = answer["results"]
        return Page(
            ready=True,
            columns=tuple(_column(c["name"], c["logicalType"]) for c in results["columns"]),
            rows=tuple((_KINDS[row["kind"]], row["fields"]) for row in results["data"]),
            # Only the number is taken from the address: it is the gateway's own, and may name a host that we cannot reach.
            next=None if kind == "EOS" else _number(answer.get("nextResultUri")),
            job=answer.get("jobID") or "",
            is_query=bool(answer.get("isQueryResult")),
        )

    def cancel(self, session: str, operation: str) -> None:
        """See :class:`Gateway`."""
        self._call("POST", f"/sessions/{session}/operations/{operation}/cancel", {})

    def close_operation(self, session: str, operation: str) -> None:
        """See :class:`Gateway`."""
        with contextlib.suppress(SessionLostError, FlinkError):
            self._call("DELETE", f"/sessions/{session}/operations/{operation}/close")

    def disconnect(self) -> None:
        """Close the connections; sessions stay."""
        self._http.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(
                method,
                path,
                content=None if body is None else orjson.dumps(body),
                headers=_JSON if body is not None else None,
            )
        except httpx.TimeoutException as exc:
            raise UnreachableError(
                f"Flink's SQL gateway at {self.url} does not answer in time", hint="clickreel logs flink"
            ) from exc
        except httpx.HTTPError as exc:
            raise UnreachableError(
                f"Flink's SQL gateway at {self.url} does not answer: {exc or type(exc).__name__}",
                hint="clickreel doctor; the local gateway is started again by the next statement",
            ) from exc
        try:
            content: dict[str, Any] = orjson.loads(answer.content) if answer.content else {}
        except orjson.JSONDecodeError as exc:
            raise UnreachableError(
                f"{self.url} answers {answer.status_code}, but not as a Flink SQL gateway does",
                hint="flink.gateway.url of the profile names a Flink 2.x SQL gateway, often on port 8083",
            ) from exc
        if answer.status_code >= 400:
            raise self._refused(answer.status_code, content)
        return content

    def _refused(self, code: int, content: Mapping[str, Any]) -> Exception:
        said = [str(text) for text in content.get("errors", [])]
        trace = said[-1] if said else ""
        # Sessions and operations live in the gateway's memory alone.
        if _GONE.search(trace):
            return SessionLostError(
                f"the SQL gateway at {self.url} no longer knows this statement: it was restarted, or its session expired",
                hint="run the statement again; `clickreel statement list` shows what still runs",
            )
        if code == 404:
            return UnreachableError(
                f"{self.url} is not a Flink SQL gateway of version 2 (404)",
                hint="check flink.gateway.url of the profile",
            )
        return explain_trace(trace or f"the gateway answers {code}")


_GONE = re.compile(r"Session '[0-9a-f-]+' does not exist|Can not find the submitted operation")
_JSON = {"Content-Type": "application/json"}


def _column(name: str, kind: Mapping[str, Any]) -> Column:
    root = str(kind["type"])
    return Column(name, root, int(kind.get("precision", 0)) if root.startswith("TIMESTAMP") else 0)


def format_timestamp(cell: str, precision: int) -> str:
    """A timestamp as the topic writes it: ``2025-12-27 12:18:51.700``, not ``2025-12-27T12:18:51.7Z``."""
    day, _, clock = cell.removesuffix("Z").partition("T")
    whole, _, fraction = clock.partition(".")
    if len(whole) == 5:  # ISO 8601 leaves out seconds that are zero
        whole += ":00"
    return f"{day} {whole}.{fraction[:precision].ljust(precision, '0')}" if precision else f"{day} {whole}"


def _number(uri: str | None) -> int | None:
    if not uri:
        return None
    return int(uri.partition("?")[0].rpartition("/")[2])
