"""Migrations: the tables and views as ordered SQL files, each applied once and recorded with its checksum.

A file that was released is never edited; a change is a new file. Each statement can be run again (``IF NOT EXISTS``, ``OR REPLACE``), so
a migration that was cut short is simply run again.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from dataclasses import dataclass
from typing import Literal

from clickreel.errors import ClickreelError
from clickreel.warehouse import repeated_events
from clickreel.warehouse.client import Client, RefusedError

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)\.sql\Z")
RECORDS = "clickreel_migrations"
_LANDING = "dvd_clicks_landing"
_PROJECTION_SETTINGS = re.compile(r"\s+WITH SETTINGS \([^)]*\)\s*\Z")
_SYNTAX_ERROR = 62


@dataclass(frozen=True)
class Migration:
    """One file.

    Attributes:
        version: Its number, from 1 without holes.
        name: What it is about.
        text: Its SQL, with ``{database}`` and ``{credentials}`` to be filled in.
    """

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, database: str, credentials: str = "") -> list[str]:
        """The statements in order, comments left out."""
        bare = "\n".join(line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        filled = bare.replace("{database}", f"`{database}`").replace("{credentials}", credentials)
        return [statement.strip() for statement in re.split(r";\s*(?:\n|$)", filled) if statement.strip()]


@dataclass(frozen=True)
class Applied:
    """What became of one migration."""

    version: int
    name: str
    state: Literal["applied", "kept", "pending"]


def migrations() -> tuple[Migration, ...]:
    """All migrations of this version of clickreel, in order."""
    found = []
    for file in importlib.resources.files(__package__).joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            found.append(Migration(int(match["version"]), match["name"], file.read_text(encoding="utf-8")))
    found.sort(key=lambda one: one.version)
    assert [one.version for one in found] == list(range(1, len(found) + 1)), "migrations must be numbered without holes"
    return tuple(found)


def migrate(client: Client, *, credentials: str = "", dry: bool = False) -> list[Applied]:
    """Apply what is missing.

    Args:
        client: The database.
        credentials: ``USER '...' PASSWORD '...'`` by which a dictionary reads its own server; empty where none are needed.
        dry: Only say what would be done.

    Raises:
        ClickreelError: The database was migrated by a newer clickreel, or by a file that has since been edited.
    """
    recorded = _recorded(client, create=not dry)
    known = migrations()
    newer = sorted(set(recorded) - {one.version for one in known})
    if newer:
        raise ClickreelError(
            f"database {client.database} has migration {newer[0]}, which this clickreel does not know",
            hint="upgrade clickreel",
        )
    report: list[Applied] = []
    for one in known:
        checksum = recorded.get(one.version)
        if checksum is not None and checksum != one.checksum:
            raise ClickreelError(
                f"migration {one.version:04d}_{one.name} was applied to {client.database} in another form (checksum {checksum[:12]}, "
                f"the file's is {one.checksum[:12]})",
                hint="restore the file; a change belongs into a new migration",
            )
        if checksum is None and not dry:
            for statement in one.statements(client.database, credentials):
                _run(client, statement)
            if one.name == "repeated_deliveries":
                repeated_events.mark_all(client)
            client.insert(RECORDS, ("version", "name", "checksum"), [(one.version, one.name, one.checksum)])
        report.append(Applied(one.version, one.name, "kept" if checksum else "pending" if dry else "applied"))
    return report


def _run(client: Client, statement: str) -> None:
    """Run a statement; a server that is too old for settings of a projection gets the projection without them, which is only slower."""
    try:
        client.command(statement)
    except RefusedError as exc:
        plain = _PROJECTION_SETTINGS.sub("", statement)
        if exc.code != _SYNTAX_ERROR or plain == statement:
            raise
        client.command(plain)


def unfinished_parts(client: Client) -> int:
    """Parts of the landing table whose projections are still being written in the background; their rows are read until then."""
    return int(
        client.command(
            "SELECT max(parts_to_do) FROM system.mutations WHERE database = currentDatabase() AND table = {table:String} "
            "AND NOT is_done AND command LIKE '%MATERIALIZE PROJECTION%'",
            {"table": _LANDING},
        )
    )


def check(client: Client) -> None:
    """Check that the database has every migration.

    Raises:
        ClickreelError: It has not.
    """
    missing = [one for one in migrate(client, dry=True) if one.state == "pending"]
    if missing:
        names = ", ".join(f"{one.version:04d}_{one.name}" for one in missing)
        raise ClickreelError(f"database {client.database} lacks {names}", hint="clickreel warehouse migrate")


def _recorded(client: Client, *, create: bool) -> dict[int, str]:
    if create:
        client.command(
            f"CREATE TABLE IF NOT EXISTS {RECORDS} (version UInt32, name String, checksum String, "
            "applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')) ENGINE = MergeTree ORDER BY version"
        )
    elif not client.command(f"EXISTS TABLE {RECORDS}"):
        return {}
    return dict(client.rows(f"SELECT version, checksum FROM {RECORDS}"))


def set_ttl(client: Client, *, rows_days: int | None, raw_days: int | None) -> list[str]:
    """Set how long rows, and the bytes of dead letters, are kept.

    Days are counted from the record's timestamp. Rows go in the order of their offsets, part by part, so what is left of a partition is an
    unbroken run still.

    Args:
        client: The database.
        rows_days: Days that rows are kept; 0 for ever, which is how a table begins; None leaves it as it is.
        raw_days: Days that raw bytes are kept; the same.

    Returns:
        The statements that were run.
    """
    statements = []
    if rows_days is not None:
        change = f"MODIFY TTL toDateTime(_timestamp) + INTERVAL {rows_days} DAY" if rows_days else "REMOVE TTL"
        statements.append(f"ALTER TABLE {_LANDING} {change}")
        # Whole parts only: a part of which some rows were gone could not be told from one with a hole.
        statements.append(f"ALTER TABLE {_LANDING} MODIFY SETTING ttl_only_drop_parts = {int(bool(rows_days))}")
    for column in ("raw_key", "raw_value") if raw_days is not None else ():
        ttl = f"toDateTime(_timestamp) + INTERVAL {raw_days} DAY"
        change = f"Nullable(String) TTL {ttl}" if raw_days else "REMOVE TTL"
        statements.append(f"ALTER TABLE {_LANDING} MODIFY COLUMN {column} {change}")
    with_ttl = "TTL" in str(client.command(f"SHOW CREATE TABLE {_LANDING}"))
    done = [statement for statement in statements if with_ttl or "REMOVE TTL" not in statement]
    for statement in done:
        client.command(statement)
    return done
