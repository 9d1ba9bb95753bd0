"""The answers over HTTP: JSON, read-only, with OpenAPI; an ASGI application that the console mounts below ``/api``."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, get_type_hints

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, create_model
from starlette.exceptions import HTTPException

from clickreel.api.answers import Answers
from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.foreign_text import printable
from clickreel.insight.charts import CHARTS, Chart
from clickreel.insight.recommenders.live_rules import LiveRecommender
from clickreel.profile import Profile
from clickreel.warehouse.client import Client, connect

# A page of thirteen charts that refreshes each second stays far below it; a loop without a pause does not.
REQUESTS_PER_S = 50.0
BURST = 200
CALLERS_MAX = 1000
# Lists for people are made of this much of the past. Up to so many openings are kept in memory, some 200 MB; above that ClickHouse is asked.
LIVE_SINCE = "28d"
LIVE_OPENINGS_MAX = 1_000_000

Since = Annotated[str, Query(description="Length of the window: 1h, 24h, 7d.", max_length=40)]
Until = Annotated[
    str | None, Query(description="Where the window ends (UTC); without it, with the newest event.", max_length=40)
]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many rows.")]


# ``from`` is no name that a class body can have.
WindowModel: Any = create_model("Window", **{"from": (str, ...), "until": (str, ...)})  # type: ignore[call-overload]


class ErrorModel(BaseModel):
    """What is wrong and what to do about it."""

    error: str
    hint: str


class RateLimit:
    """A token bucket for each caller; safe for use by several threads.

    Args:
        per_s: How many requests a second are let through for long.
        burst: How many at once.
        clock: Seconds that only rise.
    """

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """Take a token: 0 when there was one, else how long until there is."""
        now = self._clock()
        with self._lock:
            tokens, seen = self._buckets.pop(caller, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - seen) * self._per_s)
            has_token = tokens >= 1
            self._buckets[caller] = (tokens - has_token, now)
            while len(self._buckets) > CALLERS_MAX:
                self._buckets.popitem(last=False)
        return 0.0 if has_token else (1 - tokens) / self._per_s


class _Warehouse:
    """Connects at the first question, so that the server can start before ClickHouse does."""

    def __init__(self, profile: Profile) -> None:
        # The local ClickHouse has a user that can only read; elsewhere the profile says who may do what.
        is_embedded = profile.clickhouse_embedded
        self._profile = dataclasses.replace(profile, clickhouse_user="reader") if is_embedded else profile
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._live: LiveRecommender | None = None
        self._live_maker: threading.Thread | None = None

    def live(self) -> LiveRecommender | None:
        """Lists kept in memory; None until they are made, which begins with the first question, and while ClickHouse is away."""
        with self._lock:
            if self._live is None and self._live_maker is None:
                self._live_maker = threading.Thread(target=self._make_live, name="live-lists", daemon=True)
                self._live_maker.start()
            return None if self._live is None or self._live.error else self._live

    def _make_live(self) -> None:
        made = None
        try:
            answers = Answers(connect(self._profile))
            if answers.count_openings(LIVE_SINCE) > LIVE_OPENINGS_MAX:
                return  # the maker stays known, so that nobody tries again
            made = answers.live(LIVE_SINCE)
        except ClickreelError:
            pass  # the question itself says what is wrong
        with self._lock:
            self._live, self._live_maker = made, None

    def close(self) -> None:
        """Stop following what lands."""
        with self._lock:
            maker = self._live_maker
        if maker is not None:
            maker.join()
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.stop()

    @contextmanager
    def answers(self) -> Iterator[Answers]:
        with self._lock:
            if self._client is None:
                self._client = connect(self._profile)
        yield Answers(self._client)


def build_api(profile: Profile, *, per_s: float = REQUESTS_PER_S, burst: int = BURST) -> FastAPI:
    """The answers as an ASGI application; its OpenAPI description is at ``/openapi.json`` below where it is mounted.

    Args:
        profile: Where ClickHouse is.
        per_s: Requests a second that one caller may make for long.
        burst: Requests that one caller may make at once.
    """
    warehouse = _Warehouse(profile)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        warehouse.close()

    api = FastAPI(
        lifespan=lifespan,
        title="clickreel answers",
        description="Charts, trends, funnels and recommendations over the clicks that landed. Read-only.",
        version="1",
        docs_url=None,
        redoc_url=None,
        responses={status: {"model": ErrorModel} for status in (400, 404, 422, 429, 503)},
    )
    _refuse_floods(api, RateLimit(per_s, burst))
    api.add_exception_handler(ClickreelError, _report)
    api.add_exception_handler(HTTPException, _report_address)
    api.add_exception_handler(RequestValidationError, _report_parameter)
    _add_answers(api, warehouse)
    for chart in CHARTS:
        _add_chart(api, warehouse, chart)
    return api


def _refuse_floods(api: FastAPI, limit: RateLimit) -> None:
    @api.middleware("http")
    async def refuse(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        wait_s = limit.wait_s(request.client.host if request.client else "")
        if not wait_s:
            return await go_on(request)
        error = {"error": "too many requests", "hint": f"try again in {wait_s:.2f} s"}
        return JSONResponse(error, 429, {"Retry-After": str(max(1, round(wait_s)))})


async def _report(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, ClickreelError)
    status = 400 if isinstance(exc, UsageError) else 503 if isinstance(exc, UnreachableError) else 404
    return JSONResponse({"error": printable(exc.message), "hint": printable(exc.hint)}, status)


async def _report_address(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    error = f"there is no {request.method} {request.url.path}" if exc.status_code in (404, 405) else str(exc.detail)
    return JSONResponse({"error": printable(error), "hint": "openapi.json lists what there is"}, exc.status_code)


async def _report_parameter(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    first = exc.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse(
        {"error": printable(f"{name}: {first['msg']}"), "hint": "openapi.json describes each parameter"}, 422
    )


def _add_answers(api: FastAPI, warehouse: _Warehouse) -> None:
    @api.get("/charts", summary="The charts there are")
    def charts() -> list[dict[str, str]]:
        return [{"name": chart.name, "title": chart.title, "since": chart.since} for chart in CHARTS]

    @api.get("/trending", summary="Films that are watched more than is usual for them")
    def trending(since: Since = "3h", until: Until = None, limit: Limit = 20) -> dict[str, Any]:
        with warehouse.answers() as answers:
            return answers.trending(since, until=until, limit=limit).as_json()

    @api.get("/funnel", summary="From a view to the watchlist")
    def funnel(since: Since = "24h", until: Until = None, by: str | None = None) -> dict[str, Any]:
        with warehouse.answers() as answers:
            return answers.funnel(since, until=until, by=by).as_json()

    @api.get("/activity", summary="Who is active when")
    def activity(since: Since = "24h", until: Until = None) -> dict[str, Any]:
        with warehouse.answers() as answers:
            return answers.activity(since, until=until).as_json()

    @api.get("/recommend/users/{user}", summary="What a user may watch next")
    def recommend_user(user: str, since: Since = LIVE_SINCE, limit: Limit = 10) -> dict[str, Any]:
        live = warehouse.live() if since == LIVE_SINCE else None
        with warehouse.answers() as answers:
            if live is not None:
                return {**answers.recommend_live(live, user, limit=limit).as_json(), "live": True}
            return {**answers.recommend(user=user, since=since, limit=limit).as_json(), "live": False}

    @api.get("/recommend/films/{film}", summary="Films watched beside a film")
    def recommend_film(film: str, since: Since = "28d", limit: Limit = 10) -> dict[str, Any]:
        with warehouse.answers() as answers:
            return answers.recommend(film=film, since=since, limit=limit).as_json()


def _add_chart(api: FastAPI, warehouse: _Warehouse, chart: Chart[Any]) -> None:
    def answer(since: Since = chart.since, until: Until = None, limit: Limit = 20) -> dict[str, Any]:
        with warehouse.answers() as answers:
            return answers.chart(chart.name, since, until=until, limit=limit).as_json()

    api.get(
        f"/charts/{chart.name}",
        summary=chart.title,
        operation_id=chart.name,
        response_model=_model(chart),
    )(answer)


def _model(chart: Chart[Any]) -> type[BaseModel]:
    """What the chart's JSON looks like, from the class of its rows."""
    hints = get_type_hints(chart.row_type)
    fields: dict[str, Any] = {
        field.name.removesuffix("_ms"): (str if field.name.endswith("_ms") else hints[field.name], ...)
        for field in dataclasses.fields(chart.row_type)
    }
    row: Any = create_model(chart.row_type.__name__, __doc__=chart.row_type.__doc__, **fields)
    model: type[BaseModel] = create_model(
        f"{chart.row_type.__name__}Answer", chart=(str, ...), window=(WindowModel, ...), rows=(list[row], ...)
    )
    return model
