"""The answers as objects and tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from clickreel import timespec
from clickreel.api.streams import load_profile
from clickreel.insight import activity, film_trends, funnel, recommend
from clickreel.insight.charts import LIMIT, ChartAnswer, chart_named
from clickreel.insight.recommenders.live_rules import LiveRecommender
from clickreel.insight.window import Window, window
from clickreel.profile import Profile
from clickreel.warehouse.client import Client
from clickreel.warehouse.client import connect as connect_clickhouse


class Answers:
    """What the warehouse knows; use it as a context, or close it.

    Args:
        client: The database.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """Any statement, as an Arrow table.

        Args:
            sql: ClickHouse SQL; ``{name:Type}`` stands for a parameter.
            parameters: Their values.
        """
        table: pa.Table = self._client.columns(sql, parameters)
        return table

    def chart(
        self, name: str, since: str | None = None, *, until: str | None = None, limit: int = LIMIT
    ) -> ChartAnswer[Any]:
        """The rows of a chart, which are a table by ``to_arrow()``, ``to_pandas()`` or ``to_polars()``; see ``clickreel chart``.

        Args:
            name: Its name, such as ``clicks_per_minute``.
            since: Length of the window; None for the chart's own.
            until: Where the window ends; None for the newest event.
            limit: How many films or categories, where the chart has a limit.

        Raises:
            UsageError: There is no such chart.
        """
        asked = chart_named(name)
        return asked.answer(self._client, self._window(since or asked.since, until), limit=limit)

    def trending(self, since: str = "3h", *, until: str | None = None, limit: int = 20) -> film_trends.TrendingFilms:
        """The films that are watched more than is usual for them; see ``clickreel trending``."""
        return film_trends.trends(self._client, self._window(since, until), limit=limit)

    def funnel(self, since: str = "1d", *, until: str | None = None, by: str | None = None) -> funnel.Funnel:
        """From a view to the watchlist; see ``clickreel funnel``."""
        return funnel.funnel(self._client, self._window(since, until), by=by)

    def activity(self, since: str = "1d", *, until: str | None = None, step_s: int | None = None) -> activity.Activity:
        """Who is active when; see ``clickreel activity``."""
        return activity.activity(self._client, self._window(since, until), step_s=step_s)

    def recommend_live(self, live: LiveRecommender, user: str, *, limit: int = 10) -> recommend.Recommendation:
        """The list of a user (``u_10``) by a model of :meth:`live`, with titles and reasons."""
        number = recommend.user_of(user)
        return recommend.by_live_rules(self._client, live, number, limit=limit)

    def recommend(
        self,
        *,
        user: str | None = None,
        film: int | str | None = None,
        session: Sequence[int] | None = None,
        since: str = "28d",
        limit: int = 10,
    ) -> recommend.Recommendation:
        """What to watch next, for a user (``u_10``), beside a film (an id or a title), or in a session (its films' ids, the latest last)."""
        assert sum(one is not None for one in (user, film, session)) == 1, "give a user, a film or a session"
        seen = self._window(since)
        if session is not None:
            films = [recommend.film_of(self._client, str(one)) for one in session]
            return recommend.for_session(self._client, films, seen, limit=limit)
        if user is not None:
            return recommend.for_user(self._client, recommend.user_of(user), seen, limit=limit)
        return recommend.for_film(self._client, recommend.film_of(self._client, str(film)), seen, limit=limit)

    def count_openings(self, since: str = "28d") -> int:
        """How many films were opened, which is what a live model has to hold; counted without reading rows."""
        return sum(int(one.clicks) for one in self.chart("event_types", since).rows if one.event_type == "detail_view")

    def live(self, since: str = "28d") -> LiveRecommender:
        """Lists out of memory, kept current: a click counts when it has landed. It takes this connection over; stop it before that is closed."""
        return LiveRecommender(self._client, self._window(since))

    def _window(self, since: str, until: str | None = None) -> Window:
        now_ms = round(time.time() * 1000)
        end_ms = timespec.instant_ms(until, now_ms, "until") if until else None
        return window(self._client, timespec.span_ms(since, "since"), now_ms=now_ms, end_ms=end_ms)


def connect(profile: Profile | None = None) -> Answers:
    """Connect to the answers.

    Args:
        profile: The services; None for the local stack.

    Raises:
        UnreachableError: ClickHouse does not answer.
    """
    return Answers(connect_clickhouse(profile or load_profile()))
