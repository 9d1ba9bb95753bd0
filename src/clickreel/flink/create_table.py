"""``CREATE TABLE`` without a connector: the table is a topic of the same name, made when it is missing, as in a managed Flink.

The schemas of the topic's value, and of its key where it has one, go to the registry, so the table is there in later sessions too. What
Confluent Cloud writes behind the columns (``DISTRIBUTED BY``, ``changelog.mode`` and more) is translated, or refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickreel.contract.schema import Schema
from clickreel.errors import UsageError
from clickreel.flink import catalog
from clickreel.flink.statement_splitter import Statement
from clickreel.profile import Profile
from clickreel.sql_tokens import SqlToken

_INTEGERS = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63}
_NUMBERS = {"DOUBLE", "FLOAT", "DECIMAL"}
# A timestamp as Flink's json writes it: zeros at the end of the fraction are left out.
_INSTANT = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,9})?$"
# Values of options that mean what is done anyway.
_FORMATS = {"json", "json-registry"}
_OPTIONS = {
    "changelog.mode": {"append", "upsert"},
    "value.format": _FORMATS,
    "key.format": _FORMATS,
    "scan.startup.mode": {"earliest-offset", "latest-offset"},
    "kafka.cleanup-policy": {"delete", "compact"},
}


@dataclass(frozen=True)
class TopicTableRequest:
    """A ``CREATE TABLE`` that asks for a topic.

    Attributes:
        name: Name of table and topic.
        text: The statement up to the end of its columns, and its comment.
        options: What stands in its ``WITH``.
        distributed_by: The columns of ``DISTRIBUTED BY``.
        buckets: The number of partitions that it asks for.
        primary_key: Whether it has a ``PRIMARY KEY``.
        is_optional: Whether it says ``IF NOT EXISTS``.
    """

    name: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict)
    distributed_by: tuple[str, ...] = ()
    buckets: int = 1
    primary_key: bool = False
    is_optional: bool = False

    @property
    def is_upsert(self) -> bool:
        """Whether a key's newest record replaces those before."""
        return self.options.get("changelog.mode", "upsert" if self.primary_key else "append") == "upsert"


def parse_request(statement: Statement) -> TopicTableRequest | None:
    """Read a statement that creates a table without a connector; None for every other statement.

    Raises:
        UsageError: It asks for something that cannot be made.
    """
    tokens = statement.tokens
    words = [token.upper for token in tokens]
    if words[:2] != ["CREATE", "TABLE"]:
        return None
    optional = words[2:5] == ["IF", "NOT", "EXISTS"]
    place = 5 if optional else 2
    while place + 2 < len(words) and words[place + 1] == ".":
        place += 2
    _refuse_query(words)
    if words[place + 1 : place + 2] != ["("]:
        return None
    close = _closing(tokens, place + 1)
    clauses = _clauses(tokens, close + 1)
    if clauses is None or "connector" in clauses.options:
        return None  # LIKE, AS and a connector say how
    columns = words[place + 1 : close]
    request = TopicTableRequest(
        tokens[place].identifier,
        _until(statement, tokens[close]) + clauses.comment,
        clauses.options,
        clauses.distributed_by,
        clauses.buckets,
        any(columns[at : at + 2] == ["PRIMARY", "KEY"] for at in range(len(columns))),
        optional,
    )
    _check(request)
    return request


def _refuse_query(words: Sequence[str]) -> None:
    """``AS SELECT`` of a table without a connector: Flink would look for one, and say so in words about options."""
    has_query = any(
        words[at] == "AS" and words[at + 1] in {"SELECT", "WITH", "(", "VALUES"} for at in range(len(words) - 1)
    )
    if has_query and "'connector'" not in words:
        raise UsageError(
            "a topic cannot be made of CREATE TABLE ... AS SELECT",
            hint="CREATE TABLE with its columns, then INSERT INTO ... SELECT",
        )


@dataclass
class _Clauses:
    """What stands behind the columns."""

    comment: str = ""
    options: dict[str, str] = field(default_factory=dict)
    distributed_by: tuple[str, ...] = ()
    buckets: int = 1


def _clauses(tokens: Sequence[SqlToken], at: int) -> _Clauses | None:
    """Read the clauses behind the columns; None when one of them says where the data is."""
    found = _Clauses()
    while at < len(tokens):
        words = [token.upper for token in tokens[at : at + 4]]
        if words[0] == "COMMENT":
            found.comment, at = f" COMMENT {tokens[at + 1].text}", at + 2
        elif words[0] == "DISTRIBUTED":
            at += 1 + (words[1:2] == ["BY"]) + (words[2:3] in (["HASH"], ["RANGE"]))
            if at < len(tokens) and tokens[at].text == "(":
                end = _closing(tokens, at)
                found.distributed_by = tuple(t.identifier for t in tokens[at + 1 : end] if t.text != ",")
                at = end + 1
        elif words[0] == "INTO" and words[2:3] == ["BUCKETS"]:
            found.buckets, at = int(words[1]), at + 3
        elif words[0] == "WITH" and words[1:2] == ["("]:
            end = _closing(tokens, at + 1)
            texts = [_unquoted(token) for token in tokens[at + 2 : end] if token.text not in {",", "="}]
            found.options, at = dict(zip(texts[::2], texts[1::2], strict=False)), end + 1
        elif words[:2] == ["PARTITIONED", "BY"]:
            raise UsageError(
                "a topic is not PARTITIONED BY columns", hint="DISTRIBUTED BY (column) INTO n BUCKETS spreads by a key"
            )
        else:
            return None
    return found


def _check(request: TopicTableRequest) -> None:
    for name, value in request.options.items():
        allowed = _OPTIONS.get(name)
        if allowed is None:
            raise UsageError(
                f"the option {name!r} cannot be made into a topic",
                hint=f"one of: {', '.join(_OPTIONS)}; or name a connector, such as 'connector' = 'kafka'",
            )
        if value not in allowed:
            raise UsageError(f"{name!r} cannot be {value!r} here", hint=f"one of: {', '.join(sorted(allowed))}")
    if request.is_upsert and not request.primary_key:
        raise UsageError(
            "'changelog.mode' = 'upsert' needs a key", hint="add PRIMARY KEY (column) NOT ENFORCED to the columns"
        )
    if request.primary_key and not request.is_upsert:
        raise UsageError(
            "a table with a PRIMARY KEY takes changes, so its 'changelog.mode' cannot be 'append'",
            hint="leave out the PRIMARY KEY, or write 'changelog.mode' = 'upsert'",
        )
    if request.is_upsert and request.options.get("scan.startup.mode", "earliest-offset") != "earliest-offset":
        raise UsageError("a table with a PRIMARY KEY is read from its first record", hint="leave out scan.startup.mode")


def complete_sql(request: TopicTableRequest, profile: Profile) -> str:
    """The statement with the options of a topic; it holds the profile's secrets."""
    table = catalog.TopicTable(
        request.name,
        (),
        primary_key=("",) if request.is_upsert else (),
        distributed_by=request.distributed_by,
    )
    options = catalog.created_table_options(table, profile)
    if not request.is_upsert:
        options["scan.startup.mode"] = request.options.get("scan.startup.mode", "earliest-offset")
    return f"{request.text} {catalog.with_clause(options)}"


def described_table(request: TopicTableRequest, described: Sequence[Sequence[Any]]) -> catalog.TopicTable:
    """The table that a statement made.

    Args:
        request: What was asked for.
        described: Rows of Flink's ``DESCRIBE``: name, type, whether it may be null, key.

    Raises:
        UsageError: A column cannot be a field of a topic, or the key is spread by other columns.
    """
    columns = tuple((str(row[0]), str(row[1])) for row in described)
    key = tuple(str(row[0]) for row in described if len(row) > 3 and row[3])
    for _, kind in columns:
        _rules(kind)
    if request.is_upsert and request.distributed_by and set(request.distributed_by) != set(key):
        raise UsageError(
            f"DISTRIBUTED BY ({', '.join(request.distributed_by)}) is not the PRIMARY KEY ({', '.join(key)})",
            hint="a key's records must be in one partition: name the key's columns, or leave DISTRIBUTED BY out",
        )
    return catalog.TopicTable(
        request.name, columns, primary_key=key if request.is_upsert else (), distributed_by=request.distributed_by
    )


def create_topic(table: catalog.TopicTable, request: TopicTableRequest, profile: Profile) -> None:
    """Create the topic where it is missing, and register the schemas of its value and key.

    Args:
        table: The table.
        request: What was asked for.
        profile: Where the topic goes.
    """
    from clickreel.contract import schema_registry
    from clickreel.stream.cluster import Cluster

    cluster = Cluster(profile)
    if cluster.topic(table.name) is None:
        policy = request.options.get("kafka.cleanup-policy", "compact" if request.is_upsert else "")
        # -1: as many replicas as the cluster gives by default.
        cluster.create(table.name, request.buckets, -1, {"cleanup.policy": policy} if policy else {})
    if not profile.registry_url:
        return
    kinds = dict(table.columns)
    key = table.primary_key or table.distributed_by
    bodies = {f"{table.name}-value": _body(table.name, kinds)}
    if key:
        mode = "upsert" if table.primary_key else "append"
        bodies[f"{table.name}-key"] = {
            **_body(f"{table.name}-key", {name: kinds[name] for name in key}),
            catalog.CHANGELOG_MODE: mode,
        }
    with schema_registry.connect(profile) as known:
        for subject, body in bodies.items():
            if known.schema(subject) is None:
                known.register(Schema(subject, 1, json.dumps(body)))


def _body(title: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "type": "object",
        "properties": {name: _rules(kind) for name, kind in kinds.items()},
    }


def _closing(tokens: Sequence[SqlToken], opening: int) -> int:
    """Place of the parenthesis that closes the one at a place."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return at
    return len(tokens) - 1


def _until(statement: Statement, last: SqlToken) -> str:
    start = statement.tokens[0].start
    return statement.text[: last.start + len(last.text) - start]


def _unquoted(token: SqlToken) -> str:
    return token.text[1:-1].replace("''", "'") if token.kind == "string" else token.text


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
