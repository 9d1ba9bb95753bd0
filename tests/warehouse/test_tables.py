"""The tables: made once, never edited, and of the names and types that queries rely on."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from clickreel.contract import ddl
from clickreel.errors import ClickreelError, UsageError
from clickreel.profile import Profile
from clickreel.simulate import films as catalogues
from clickreel.warehouse import film_dimension as films
from clickreel.warehouse import migrate
from clickreel.warehouse.client import Client, connect
from tests.ingest.messages import Topic, land, message
from tests.warehouse.migrated import MigratedDatabase

# SHA-256 of every migration that was released, to be extended and never changed.
RELEASED: dict[int, str] = {}


def test_migrations_are_applied_once_and_recorded(empty: Client) -> None:
    """A dry run says what would be done and does nothing."""
    assert {one.state for one in migrate.migrate(empty, dry=True)} == {"pending"}
    assert {one.state for one in migrate.migrate(empty)} == {"applied"}
    assert {one.state for one in migrate.migrate(empty)} == {"kept"}
    recorded = empty.rows("SELECT version, checksum FROM clickreel_migrations ORDER BY version")
    assert recorded == [(one.version, hashlib.sha256(one.text.encode()).hexdigest()) for one in migrate.migrations()]


def test_a_database_without_tables_is_told_what_to_do(empty: Client) -> None:
    """The hint is the command."""
    with pytest.raises(ClickreelError, match="lacks 0001_landing") as caught:
        migrate.check(empty)
    assert caught.value.hint == "clickreel warehouse migrate"


def test_a_copy_of_a_migrated_database_is_what_the_migrations_make(
    empty: Client, profile: Profile, migrated: MigratedDatabase
) -> None:
    """Most tests use a copy; each table, view, column and projection is the same."""
    migrate.migrate(empty)
    copy = connect(replace(profile, clickhouse_database=f"{empty.database}_copy"), create=True)
    migrated.copy_into(copy)

    def objects(database: Client) -> list[tuple[str, ...]]:
        query = (
            "SELECT name, engine, replaceAll(create_table_query, currentDatabase(), 'X') FROM system.tables "
            "WHERE database = currentDatabase() ORDER BY name"
        )
        records = f"SELECT version, name, checksum FROM {migrate.RECORDS} ORDER BY version"
        return database.rows(query) + database.rows(records)

    assert objects(copy) == objects(empty)
    copy.command(f"DROP DATABASE {copy.database}")
    copy.close()


def test_an_edited_migration_is_refused(client: Client) -> None:
    """Its checksum is not the recorded one."""
    client.command(
        "ALTER TABLE clickreel_migrations UPDATE checksum = 'other' WHERE version = 1 SETTINGS mutations_sync = 2"
    )
    with pytest.raises(ClickreelError, match="in another form"):
        migrate.migrate(client)


def test_a_database_of_a_newer_clickreel_is_refused(client: Client) -> None:
    """Its tables are not known here."""
    client.insert(migrate.RECORDS, ("version", "name", "checksum"), [(99, "future", "x")])
    with pytest.raises(ClickreelError, match="does not know"):
        migrate.migrate(client)


def test_released_migrations_are_never_edited() -> None:
    """A change is a new file."""
    now = {one.version: one.checksum for one in migrate.migrations()}
    assert RELEASED.items() <= now.items()


def test_the_view_has_the_columns_of_a_clickpipes_table(client: Client) -> None:
    """Names, order and types; only the time zone is added."""
    described = [(row[0], re.sub(r", 'UTC'\)", ")", row[1])) for row in client.rows("DESCRIBE TABLE dvd_clicks")]
    virtual = {
        "_key": "String",
        "_timestamp": "DateTime64(3)",
        "_partition": "Int32",
        "_offset": "Int64",
        "_topic": "String",
        "_header_keys": "Array(String)",
        "_header_values": "Array(String)",
    }
    assert described == [*(ddl.clickhouse_columns(style="clickpipes") | virtual).items()]


def test_the_landing_table_holds_what_the_contract_allows(client: Client) -> None:
    """Types are those that the contract derives; user and session are the numbers in their texts."""
    kinds = {row[0]: row[1] for row in client.rows("DESCRIBE TABLE dvd_clicks_landing")}
    derived = ddl.clickhouse_columns()
    assert {name: kinds[name] for name in derived if name not in {"user_id", "session_id"}} == {
        name: kind for name, kind in derived.items() if name not in {"user_id", "session_id"}
    }
    assert (kinds["user"], kinds["session"]) == ("UInt64", "UInt32")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT event_type, count() FROM dvd_clicks WHERE event_ts >= '2025-12-27 12:00:00' GROUP BY event_type",
        "SELECT uniq(user_id), uniq(session_id) FROM dvd_clicks WHERE device = 'tablet' AND film_id IN (1, 2, 3)",
        "SELECT toStartOfMinute(event_ts) AS m, countIf(event_type = 'view') FROM dvd_clicks GROUP BY m ORDER BY m",
        "SELECT * FROM dvd_clicks WHERE user_id = 'u_2' AND event_id = '00000000-0000-4000-8000-000000000001'",
        "SELECT * FROM dvd_clicks ORDER BY _partition, _offset LIMIT 1 BY _partition, _offset",
        "SELECT dateDiff('millisecond', event_ts, _timestamp), position + 1, upper(page) FROM dvd_clicks LIMIT 3",
    ],
)
def test_queries_written_for_a_clickpipes_table_run(client: Client, topic: Topic, query: str) -> None:
    """Comparisons with texts, functions of time, the remedy against doubled rows included."""
    topic.send(9)
    land(topic, client)
    assert client.rows(query)


def test_time_and_film_are_found_by_the_indexes(client: Client, topic: Topic) -> None:
    """A question about a minute does not read a day, through the view as well."""
    client.command("SYSTEM STOP MERGES dvd_clicks_landing")
    for hour in range(8):
        for number in range(30):
            topic.put(0, *message(hour * 30 + number, event_ts=f"2025-12-27 {hour:02d}:00:{number:02d}.000"))
        land(topic, client)
    plan = "\n".join(
        row[0]
        for row in client.rows(
            "EXPLAIN indexes = 1 SELECT count() FROM dvd_clicks WHERE event_ts >= '2025-12-27 07:00:00'"
        )
    )
    client.command("SYSTEM START MERGES dvd_clicks_landing")
    assert re.search(r"Name: by_time.*?Parts: 1/\d", plan, re.DOTALL), plan
    assert re.search(r"Granules: 1\n", plan), plan


def test_films_are_replaced_as_a_whole(client: Client) -> None:
    """Films that are gone are gone, in the dictionary as well."""
    films.load(client, catalogues.invent(50))
    assert client.command("SELECT count() FROM dvd_films") == 50
    films.load(client, catalogues.invent(20, seed=2))
    title = catalogues.invent(20, seed=2).title[6]
    assert client.rows("SELECT count(), dictGet('dvd_films', 'film_title', 7) FROM dvd_films") == [(20, title)]


def test_films_of_a_file_are_taken(client: Client, tmp_path: Path) -> None:
    """The user's own catalogue."""
    file = tmp_path / "films.csv"
    file.write_text("film_id,film_title,category\n331,Kwaidan,Horror\n", encoding="utf-8")
    assert films.load(client, films.catalogue(file)) == 1
    assert client.rows("SELECT film_title, category FROM dvd_films") == [("Kwaidan", "Horror")]


def test_no_clickhouse_is_two_lines() -> None:
    """What to add, and where."""
    with pytest.raises(UsageError) as caught:
        connect(Profile({"bootstrap.servers": "x:1"}, source="my.properties"))
    assert caught.value.hint == "add clickhouse.url=... to my.properties"


def test_old_rows_and_old_bytes_go_when_wanted(client: Client, topic: Topic) -> None:
    """The test's records are of 2025: a day is long over. For ever again is possible."""
    topic.send(6)
    topic.put(0, b'"u_1"', b"{")
    land(topic, client)
    migrate.set_ttl(client, rows_days=None, raw_days=1)
    client.command("OPTIMIZE TABLE dvd_clicks_landing FINAL")
    assert client.rows("SELECT count(), countIf(value IS NOT NULL), any(rule) FROM dvd_clicks_dead_letters") == [
        (1, 0, "json")
    ]
    migrate.set_ttl(client, rows_days=1, raw_days=0)
    client.command("OPTIMIZE TABLE dvd_clicks_landing FINAL")
    assert client.command("SELECT count() FROM dvd_clicks_landing") == 0
    migrate.set_ttl(client, rows_days=0, raw_days=None)
    assert "TTL" not in str(client.command("SHOW CREATE TABLE dvd_clicks_landing"))


def test_objects_of_a_pipe_answer_its_queries(client: Client, topic: Topic, tmp_path: Path) -> None:
    """A row for each film and category from a file with this header; clicks once in each category of a film, once in all."""
    file = tmp_path / "films.csv"
    file.write_text(
        "film_key,film_id,title,release_year,length,rating,rental_duration,category_name\n"
        "1,331,Kwaidan,1964,183,PG,5,Horror\n2,331,Kwaidan,1964,183,PG,5,Drama\n3,332,Ran,1985,162,R,3,Drama\n",
        encoding="utf-8",
    )
    assert films.load(client, films.catalogue(file)) == 2
    assert client.rows(
        "SELECT film_id, title, release_year, length, rating, rental_duration, category_name FROM ref_dim_film ORDER BY 1, 7"
    ) == [
        (331, "Kwaidan", 1964, 183, "PG", 5, "Drama"),
        (331, "Kwaidan", 1964, 183, "PG", 5, "Horror"),
        (332, "Ran", 1985, 162, "R", 3, "Drama"),
    ]
    assert client.command("SELECT count() FROM dvd_films") == 2
    for number, film in enumerate((331, 331, 332, 999)):
        topic.put(0, *message(number, event_ts=f"2025-12-27 07:0{number // 2}:01.000", film_id=film))
    topic.put(0, b'"u_1"', b"{")
    land(topic, client)
    found = client.rows(
        "SELECT window_start, category_name, sum(click_count) FROM mv_clicks_per_min_by_category_and_film GROUP BY 1,2"
    )
    assert sorted((f"{minute:%H:%M}", category, clicks) for minute, category, clicks in found) == [
        ("07:00", "Drama", 2),
        ("07:00", "Horror", 2),
        ("07:01", "", 1),
        ("07:01", "Drama", 1),
    ]
    described = client.rows("DESCRIBE TABLE mv_clicks_per_min_by_category_and_film")
    assert [row[0] for row in described] == ["window_start", "category_name", "film_id", "title", "click_count"]
    assert client.command("SELECT count() FROM dvd_clicks_clickpipes_error") == 1


def test_a_dictionary_that_somebody_has_dropped_is_made_again(client: Client) -> None:
    """The next load of films brings it back, with the films that there are."""
    catalogue = catalogues.invent(20, 1)
    assert films.load(client, catalogue) == 20
    client.command("DROP DICTIONARY dvd_films")
    assert films.load(client, catalogue) == 20
    assert client.rows("SELECT count() FROM dvd_films") == [(20,)]


def test_the_films_of_before_are_kept_by_the_migration(empty: Client) -> None:
    """What was loaded into the table ref_dim_film is in the dictionary after it has become a view; run again it is the same."""
    for one in migrate.migrations()[:5]:
        for statement in one.statements(empty.database):
            empty.command(statement)
    empty.command(
        "INSERT INTO ref_dim_film VALUES (331, 'Kwaidan', 1964, 183, 'PG', ['Horror', 'Drama'], now64(3, 'UTC'))"
    )
    for _ in range(2):
        for statement in migrate.migrations()[5].statements(empty.database):
            empty.command(statement)
        empty.command("SYSTEM RELOAD DICTIONARY dvd_films")
        assert empty.rows("SELECT film_title, categories FROM dvd_films") == [("Kwaidan", ["Horror", "Drama"])]
        assert empty.command("SELECT count() FROM ref_dim_film") == 2
