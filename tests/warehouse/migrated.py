"""A migrated database as a pattern: a copy of it costs a seventh of what the migrations cost, and is the same."""

from __future__ import annotations

from clickreel.profile import Profile
from clickreel.warehouse.client import Client, connect
from clickreel.warehouse.migrate import RECORDS, migrate
from tests.clickhouse.process import ClickHouse

# The dictionary reads a table, and views read both.
_ORDER = {"Dictionary": 1, "View": 2, "MaterializedView": 3}


class MigratedDatabase:
    """The tables, views and records of all migrations.

    Args:
        server: Where the migrations run, once.
    """

    def __init__(self, server: ClickHouse) -> None:
        profile = Profile(
            {"bootstrap.servers": "127.0.0.1:9"},
            clickhouse_url=server.url,
            clickhouse_database=f"pattern_{server.process.pid}",
        )
        client = connect(profile, create=True)
        migrate(client)
        objects = client.rows("SELECT engine, create_table_query FROM system.tables WHERE database = currentDatabase()")
        client.close()
        self._name = client.database
        self._statements = [sql for _, sql in sorted(objects, key=lambda one: (_ORDER.get(one[0], 0), one[1]))]

    def copy_into(self, client: Client) -> None:
        """Make an empty database what ``migrate`` makes it.

        Args:
            client: The database, on the same server.
        """
        for statement in self._statements:
            client.command(statement.replace(self._name, client.database))
        client.command(f"INSERT INTO {RECORDS} SELECT * FROM {self._name}.{RECORDS}")
