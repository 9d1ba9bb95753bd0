import json
import subprocess
import sys
from pathlib import Path

import pytest

from clickreel.contract import ddl, schema
from clickreel.contract.encode import encode
from clickreel.contract.samples import block
from clickreel.contract.vocabulary import FIELDS


def test_clickhouse_reads_what_is_written(tmp_path: Path) -> None:
    """ClickHouse's JSONEachRow takes the messages into the derived types and gives the same texts and numbers back."""
    values = encode(block(300, seed=11)).values.to_pylist()
    file = tmp_path / "values.jsonl"
    file.write_bytes(b"\n".join(values))
    structure = ", ".join(f"{name} {kind}" for name, kind in ddl.clickhouse_columns().items()).replace("'", "\\'")
    query = f"SELECT * FROM file('{file}', JSONEachRow, '{structure}')"
    # A process of its own: chDB holds one engine a process.
    program = "import sys, chdb; print(chdb.query(sys.argv[1], 'JSONEachRow'), end='')"
    ran = subprocess.run([sys.executable, "-c", program, query], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [json.loads(one) for one in values]


def test_the_types_of_both_engines() -> None:
    """The types follow from enums, bounds and patterns."""
    assert ddl.clickhouse_columns() == {
        "event_id": "UUID",
        "event_ts": "DateTime64(3, 'UTC')",
        "user_id": "String",
        "session_id": "String",
        "film_id": "Int32",
        "event_type": "LowCardinality(String)",
        "page": "LowCardinality(String)",
        "position": "Int16",
        "device": "LowCardinality(String)",
        "referrer": "LowCardinality(String)",
    }
    assert ddl.flink_columns()["event_ts"] == "TIMESTAMP(3)"
    assert ddl.flink_columns()["film_id"] == "INT"
    assert list(ddl.flink_columns()) == list(FIELDS)


def test_clickpipes_types_are_those_it_inferred() -> None:
    """From either version: strings, 64-bit integers, and nanoseconds for the time."""
    for version in schema.versions("value"):
        columns = ddl.clickhouse_columns(version, style="clickpipes")
        assert list(columns) == sorted(FIELDS)
        assert {name for name, kind in columns.items() if kind == "Int64"} == {"film_id", "position"}
        assert columns["event_ts"] == "DateTime64(9)"


def test_types_of_rules_that_the_contract_does_not_use() -> None:
    """An evolved schema gets types too, wide where no bound is known."""
    assert [ddl.clickhouse_type({"type": kind}) for kind in ("integer", "number", "boolean", "string", "object")] == [
        "Int64",
        "Float64",
        "Bool",
        "String",
        "String",
    ]
    assert ddl.clickhouse_type({"type": "integer", "minimum": 0, "maximum": 2**70}) == "Int64"
    assert ddl.clickhouse_type({"type": "integer", "minimum": -128, "maximum": 127}) == "Int8"
    assert ddl.flink_type({"type": "integer", "minimum": 0, "maximum": 2**31}) == "BIGINT"
    assert [ddl.flink_type({"type": kind}) for kind in ("number", "boolean", "array")] == [
        "DOUBLE",
        "BOOLEAN",
        "STRING",
    ]


@pytest.mark.parametrize(
    ("pattern", "flink", "clickhouse"),
    [
        (r"^.{10,30}$", "STRING", "String"),
        (r"^.{36}$", "STRING", "String"),
        (r"^(?<y>[0-9]{4})-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3}$", "TIMESTAMP(3)", "DateTime64(3, 'UTC')"),
        (r"^(?<y>[0-9]{4})$", "STRING", "String"),
        (r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "STRING", "UUID"),
        (r"^(a", "STRING", "String"),
    ],
)
def test_only_a_pattern_of_instants_makes_a_time(pattern: str, flink: str, clickhouse: str) -> None:
    """Not one that an instant happens to match."""
    rules = {"type": "string", "pattern": pattern}
    assert (ddl.flink_type(rules), ddl.clickhouse_type(rules)) == (flink, clickhouse)
