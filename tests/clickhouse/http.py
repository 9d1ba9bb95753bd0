"""Plain HTTP to the front: no client in between."""

from __future__ import annotations

import uuid

import httpx


class Http:
    """One client's requests, in a database of its own.

    Args:
        url: The server's address.
        params: Sent with each request.
    """

    def __init__(self, url: str, **params: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=30, headers={"Accept-Encoding": "identity"})
        self.params = params

    def post(
        self, query: str, data: bytes | str = b"", *, headers: dict[str, str] | None = None, **params: object
    ) -> httpx.Response:
        """A query in the URL and data in the body."""
        return self.client.post(
            "/", params={"query": query, **self.params, **_texts(params)}, content=data, headers=headers
        )

    def get(self, query: str, *, headers: dict[str, str] | None = None, **params: object) -> httpx.Response:
        """A query by GET."""
        return self.client.get("/", params={"query": query, **self.params, **_texts(params)}, headers=headers)

    def text(self, query: str, **params: object) -> str:
        """The answer of a query that must succeed, without its last line break."""
        answer = self.post(query, **params)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.text.rstrip("\n")


def _texts(params: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}


def fresh(url: str) -> Http:
    """A new database and a client in it."""
    name = f"t_{uuid.uuid4().hex}"
    assert httpx.post(url, content=f"CREATE DATABASE {name}").status_code == 200
    return Http(url, database=name)
