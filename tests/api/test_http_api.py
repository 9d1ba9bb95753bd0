"""The answers over HTTP, asked as an ASGI application on a real ClickHouse engine."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from clickreel import Answers
from clickreel.api.http_api import RateLimit, build_api
from clickreel.insight.charts import CHARTS, Chart
from clickreel.timespec import format_instant
from clickreel.warehouse.client import Client
from tests.insight.conftest import END_MS, Landed, empty, landed
from tests.insight.landing import land, told

__all__ = ["empty", "landed"]
UNTIL = format_instant(END_MS)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.05)


@pytest.fixture
def api(landed: Landed) -> Iterator[TestClient]:
    """The landed world over HTTP."""
    with TestClient(build_api(landed.profile)) as api:
        yield api


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_chart_is_the_same_over_http_and_in_python(landed: Landed, api: TestClient, chart: Chart[Any]) -> None:
    """And its table has the columns of its JSON."""
    response = api.get(f"/charts/{chart.name}", params={"since": "2d", "until": UNTIL, "limit": 3})
    assert response.status_code == 200, response.text
    answer = Answers(landed.client).chart(chart.name, "2d", until=UNTIL, limit=3)
    assert response.json() == answer.as_json()
    table = answer.to_arrow()
    assert len(table) == len(response.json()["rows"])
    for row in response.json()["rows"]:
        assert table.column_names == list(row)


def test_the_answers_are_there(landed: Landed, api: TestClient) -> None:
    """With the names of the commands."""
    user, film = int(landed.events.user[-1]), int(landed.events.film[-1])
    for path in ("trending", "funnel", "activity"):
        response = api.get(f"/{path}", params={"until": UNTIL})
        assert response.status_code == 200, response.text
        assert response.json()["window"]["until"] == UNTIL
    assert api.get(f"/recommend/users/u_{user}").json()["user"] == f"u_{user}"
    assert len(api.get(f"/recommend/films/{film}?limit=4").json()["films"]) == 4


def test_a_click_counts_in_the_lists_as_soon_as_it_has_landed(empty: Client, landed: Landed) -> None:
    """Lists come from memory once that is made; a film that was just opened leaves the list, and speaks for others."""
    people = [(END_MS - 60_000 * n, 1 + n % 40, n // 3, 1 + n * n % 30, "detail_view") for n in range(600)]
    land(empty, told(*people))
    profile = dataclasses.replace(landed.profile, clickhouse_database=empty.database)
    others = set(threading.enumerate())
    with TestClient(build_api(profile)) as api:

        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = api.get("/recommend/users/u_7", params={"limit": 3}).json()
            return answer

        wait_for(lambda: ask()["live"])
        before = ask()["films"]
        plain = Answers(empty).recommend(user="u_7", limit=3).as_json()["films"]
        assert [film["film_id"] for film in before] == [film["film_id"] for film in plain]
        assert [film["because_id"] for film in before] == [film["because_id"] for film in plain]
        first = before[0]["film_id"]
        land(empty, told((END_MS + 1, 7, 9999, first, "detail_view")), first_offset=600)
        began = time.monotonic()
        wait_for(lambda: first not in [film["film_id"] for film in ask()["films"]])
        assert time.monotonic() - began < 10  # three looks a second; the rest is a busy machine
        assert ask()["live"]
    # A server that has ended looks at nothing any more.
    assert not [thread for thread in threading.enumerate() if thread.name == "live-rules" and thread not in others]


def test_the_description_names_every_chart_and_its_columns(api: TestClient) -> None:
    """OpenAPI 3, with a model for the rows of each."""
    description = api.get("/openapi.json").json()
    assert description["openapi"].startswith("3.")
    for chart in CHARTS:
        operation = description["paths"][f"/charts/{chart.name}"]
        assert list(operation) == ["get"]
        rows = description["components"]["schemas"][chart.row_type.__name__]
        names = [field.name.removesuffix("_ms") for field in dataclasses.fields(chart.row_type)]
        assert list(rows["properties"]) == names


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/charts/nothing", 404, "there is no GET /charts/nothing"),
        ("/charts/devices?since=soon", 400, "since"),
        ("/charts/devices?until=2999-01-01", 400, "future"),
        ("/charts/devices?until=1999-01-01", 404, "no good event"),
        ("/recommend/films/999999", 400, "neither in the catalogue"),
        ("/recommend/users/nobody", 400, "the user is"),
        ("/charts/popular_films?limit=0", 422, "greater than or equal"),
    ],
)
def test_bad_questions_are_answered_in_words(api: TestClient, path: str, status: int, says: str) -> None:
    """With a status that says whose mistake it is."""
    response = api.get(path)
    assert response.status_code == status, response.text
    assert says in response.json()["error"]
    assert response.json()["hint"]


def test_nothing_can_be_written(api: TestClient) -> None:
    """Whatever the path."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert api.request(method, "/charts/devices").status_code == 405


def test_a_flood_is_refused_until_it_ends(landed: Landed) -> None:
    """The caller is told when to ask again."""
    api = TestClient(build_api(landed.profile, per_s=0.5, burst=2))
    assert [api.get("/charts").status_code for _ in range(3)] == [200, 200, 429]
    refused = api.get("/charts")
    assert refused.headers["Retry-After"] == "2"
    assert "try again" in refused.json()["hint"]


def test_callers_have_tokens_of_their_own() -> None:
    """They come back at the rate."""
    now = [0.0]
    limit = RateLimit(2, 1, lambda: now[0])
    assert [limit.wait_s("a"), limit.wait_s("a"), limit.wait_s("b")] == [0.0, 0.5, 0.0]
    now[0] = 0.5
    assert limit.wait_s("a") == 0.0
