"""``CREATE TABLE`` without ``WITH``: the table is a topic of the same name, made when it is missing, as in a managed Flink.

The topic's schema goes to the registry, so the table is there in later sessions too, like every topic with a registered schema.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

from clickreel.contract.schema import Schema
from clickreel.errors import UsageError
from clickreel.flink import catalog
from clickreel.flink.statement_splitter import Statement
from clickreel.profile import Profile

_INTEGERS = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63}
_NUMBERS = {"DOUBLE", "FLOAT", "DECIMAL"}
# A timestamp as Flink's json writes it: zeros at the end of the fraction are left out.
_INSTANT = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,9})?$"
# A result is smaller than the stream it comes from.
_PARTITIONS = 1


def created_table_name(statement: Statement) -> str | None:
    """The table that a statement creates without saying how; None for every other statement."""
    words = [token.upper for token in statement.tokens]
    if words[:2] != ["CREATE", "TABLE"]:
        return None
    place = 5 if words[2:5] == ["IF", "NOT", "EXISTS"] else 2
    while place + 2 < len(words) and words[place + 1] == ".":
        place += 2
    if words[place + 1 : place + 2] != ["("] or words[-1] != ")":
        return None
    depth = 0
    for at, word in enumerate(words[place + 1 :], start=place + 1):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0:
            # Whatever stands behind the columns (WITH, LIKE, AS, PARTITIONED BY) says how.
            return statement.tokens[place].identifier if at == len(words) - 1 else None
    return None


def add_topic_options(statement: Statement, table: str, profile: Profile) -> Statement:
    """The statement with the ``WITH`` of a topic.

    Args:
        statement: It creates ``table`` without saying how.
        table: Name of table and topic.
        profile: Where the topic is.
    """
    words = [token.upper for token in statement.tokens]
    keyed = any(pair == ("PRIMARY", "KEY") for pair in itertools.pairwise(words))
    options = {"connector": "upsert-kafka" if keyed else "kafka", "topic": table, **catalog.connection_options(profile)}
    if keyed:
        options |= {"key.format": "json", "value.format": "json"}
    else:
        options |= {"scan.startup.mode": "earliest-offset", "format": "json"}
    return dataclasses.replace(statement, text=f"{statement.text} {catalog.with_clause(options)}")


def create_topic(table: str, columns: Sequence[Sequence[Any]], profile: Profile, *, keyed: bool) -> None:
    """Make the topic where it is missing, and register its schema.

    Args:
        table: Name of table and topic.
        columns: Rows of Flink's ``DESCRIBE``: name and type first.
        profile: Where the topic goes.
        keyed: Whether a key's newest record replaces those before.

    Raises:
        UsageError: The topic's registered schema does not allow these columns.
    """
    from clickreel.stream.cluster import Cluster

    cluster = Cluster(profile)
    if cluster.topic(table) is None:
        # -1: as many replicas as the cluster gives by default.
        cluster.create(table, _PARTITIONS, -1, {"cleanup.policy": "compact"} if keyed else {})
    if not profile.registry_url:
        return
    from clickreel.contract import schema_registry

    body = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": table,
        "type": "object",
        "properties": {str(column[0]): _rules(str(column[1])) for column in columns},
    }
    with schema_registry.connect(profile) as known:
        wanted = Schema(f"{table}-value", 1, json.dumps(body))
        if known.schema(wanted.subject) is None:
            known.register(wanted)


def _rules(kind: str) -> dict[str, Any]:
    root = kind.partition("(")[0].partition(" ")[0]
    if root in _INTEGERS:
        bound = 1 << _INTEGERS[root]
        return {"type": "integer", "minimum": -bound, "maximum": bound - 1}
    if root in _NUMBERS:
        return {"type": "number"}
    if root == "BOOLEAN":
        return {"type": "boolean"}
    if root.startswith("TIMESTAMP"):
        return {"type": "string", "pattern": _INSTANT}
    if root in {"STRING", "VARCHAR", "CHAR"}:
        return {"type": "string"}
    raise UsageError(
        f"a column of type {kind} cannot be made into a topic's field",
        hint="use INT, BIGINT, DOUBLE, DECIMAL, BOOLEAN, STRING or TIMESTAMP, or write the WITH clause yourself",
    )
