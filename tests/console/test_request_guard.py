"""Who may ask the console."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from clickreel.console.request_guard import COOKIE, RequestGuard


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("inside")(scope, receive, send)


def ask(guard: RequestGuard, headers: dict[str, str], path: str = "/") -> tuple[int, str]:
    """Status and text of a request to 127.0.0.1:8000."""
    client = TestClient(guard, base_url="http://127.0.0.1:8000")
    answer = client.get(path, headers=headers)
    return answer.status_code, answer.text.strip()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),  # a link elsewhere may open the page
        ({"Host": "attacker.example:8000"}, 403),  # DNS rebinding
        ({"Host": "127.0.0.1:9999"}, 403),
        ({"Origin": "http://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),  # another port is another origin
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
    ],
)
def test_a_page_of_another_origin_gets_nothing(headers: dict[str, str], status: int) -> None:
    """By Host, Origin and what the browser says of the request."""
    assert ask(RequestGuard(_app, port=8000), headers)[0] == status


def test_every_answer_forbids_foreign_content() -> None:
    """Scripts, frames and forms of other origins, also in a refusal."""
    client = TestClient(RequestGuard(_app, port=8000), base_url="http://127.0.0.1:8000")
    for headers in ({}, {"Origin": "http://attacker.example"}):
        policy = client.get("/", headers=headers).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http:" not in policy


def test_a_token_is_asked_for_and_then_kept_in_a_cookie() -> None:
    """By the address once, by a cookie that scripts cannot read afterwards."""
    guard = RequestGuard(_app, port=8000, hosts=frozenset(), token="right")  # noqa: S106 - a test
    client = TestClient(guard, base_url="http://box.example:8000")
    assert client.get("/").status_code == 401
    assert client.get("/?token=wrong").status_code == 401
    first = client.get("/?token=right")
    assert first.status_code == 200
    assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
    assert COOKIE in client.cookies
    assert client.get("/").status_code == 200


def test_websockets_are_guarded_alike() -> None:
    """A page of another origin cannot listen in."""
    from starlette.websockets import WebSocketDisconnect

    client = TestClient(RequestGuard(_app, port=8000), base_url="http://127.0.0.1:8000")
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/ws", headers={"Origin": "http://attacker.example", "Host": "127.0.0.1:8000"}),
    ):
        pass
    assert refused.value.code == 1008
