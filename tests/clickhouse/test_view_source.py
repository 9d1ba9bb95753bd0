"""Materialized views on views: accepted by ClickHouse, and never run."""

from __future__ import annotations

import pytest

from tests.clickhouse.http import Http

_VIEW = (
    "CREATE VIEW clicks AS SELECT device::String AS device, toInt64(film) AS film_id, place "
    "FROM landing WHERE error = ''"
)


@pytest.fixture
def clicks(http: Http) -> Http:
    """A landing table and a view on it, as clickreel's own."""
    http.text(
        "CREATE TABLE landing (device String, film Int32, place Int16, error String) ENGINE = MergeTree ORDER BY film"
    )
    http.text(_VIEW)
    return http


@pytest.mark.parametrize(
    "select",
    [
        "SELECT film_id, count() AS n FROM clicks GROUP BY film_id",
        "SELECT film_id, count(*) AS n FROM `clicks` AS c GROUP BY film_id",
        "WITH recent AS (SELECT film_id FROM clicks WHERE place > 0) SELECT film_id, count() AS n FROM recent GROUP BY film_id",
        "SELECT film_id, sum(one) AS n FROM (SELECT film_id, 1 AS one FROM clicks) GROUP BY film_id",
    ],
)
def test_a_materialized_view_on_a_view_is_refused_with_the_statement_that_works(clicks: Http, select: str) -> None:
    """The statement that the refusal names is taken, and its view gets the rows that the view would have shown."""
    create = f"CREATE MATERIALIZED VIEW films ENGINE = SummingMergeTree ORDER BY film_id AS {select}"
    refused = clicks.post(create)
    assert refused.status_code == 400, refused.text
    assert "clicks is a view" in refused.text
    working = refused.text.partition("This one does: ")[2].rpartition(". (BAD_ARGUMENTS)")[0]
    assert "landing WHERE error = ''" in working
    clicks.text(working)
    clicks.text("INSERT INTO landing VALUES ('tv', 7, 1, ''), ('tv', 7, 2, ''), ('tv', 8, 3, 'bad')")
    assert clicks.text("SELECT film_id, sum(n) FROM films GROUP BY film_id") == "7\t2"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE MATERIALIZED VIEW m ENGINE = MergeTree ORDER BY film AS SELECT film FROM landing WHERE error = ''",
        "CREATE MATERIALIZED VIEW m REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY film_id AS SELECT film_id FROM clicks",
        "CREATE VIEW m AS SELECT film_id FROM clicks",
        "CREATE TABLE m ENGINE = MergeTree ORDER BY film_id AS SELECT film_id FROM clicks",
        "CREATE MATERIALIZED VIEW m ENGINE = MergeTree ORDER BY film AS SELECT film, 'FROM clicks' AS words FROM landing, clicks",
    ],
)
def test_what_works_on_a_view_is_taken(clicks: Http, statement: str) -> None:
    """Views, tables, refreshed materialized views, and those on a table, whatever else they join."""
    clicks.text(statement)


def test_a_view_on_a_view_leads_to_the_table(clicks: Http) -> None:
    """Each view is replaced in turn until inserts reach the statement."""
    clicks.text("CREATE VIEW tv AS SELECT film_id FROM clicks WHERE device = 'tv'")
    refused = clicks.post("CREATE MATERIALIZED VIEW m ENGINE = MergeTree ORDER BY film_id AS SELECT film_id FROM tv")
    working = refused.text.partition("This one does: ")[2].rpartition(". (BAD_ARGUMENTS)")[0]
    clicks.text(working)
    clicks.text("INSERT INTO landing VALUES ('tv', 7, 1, ''), ('web', 8, 2, '')")
    assert clicks.text("SELECT film_id FROM m") == "7"
