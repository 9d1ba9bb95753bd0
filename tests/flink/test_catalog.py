"""The catalog is made of contract, registry and profile, and shows no secret."""

from __future__ import annotations

import json

from clickreel.contract import schema, schema_registry
from clickreel.events import Deliveries
from clickreel.flink import catalog, create_table
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_splitter import split_statements
from clickreel.profile import Profile
from tests.conftest import Registry
from tests.flink.conftest import Open, rows

CLOUD = Profile(
    {
        "bootstrap.servers": "pkc-1.example:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "KEY",
        "sasl.password": "hush'hush",
    }
)


def test_the_topics_table_has_rowtime_key_and_the_contracts_fields() -> None:
    """The columns are the schema's, with `key` before and `$rowtime` behind."""
    table = catalog.contract_table()
    assert table.names == ("key", *schema.current("value").fields, "$rowtime")
    assert dict(table.columns)["event_ts"] == "TIMESTAMP(3)"
    assert dict(table.columns)["film_id"] == "INT"


def test_a_login_is_translated_for_java_and_masked_in_answers(open_workspace: Open) -> None:
    """Flink's clients get `sasl.jaas.config`; `SHOW CREATE TABLE` shows neither key file nor password."""
    options = catalog.table_options(catalog.contract_table(), CLOUD, FlinkSettings())
    assert options["properties.sasl.mechanism"] == "PLAIN"
    assert "hush'hush" in options["properties.sasl.jaas.config"]
    workspace = open_workspace("anything", known=CLOUD)
    shown = str(rows(workspace, "show create table dvd_clicks"))
    assert "sasl.mechanism" in shown
    assert "hush" not in shown


def test_the_ddl_for_people_has_the_columns_and_no_secret() -> None:
    """It can be shown without a Flink; the login's words are asterisks, whatever quotes are in them."""
    shown = catalog.readable_create_table_sql(catalog.contract_table(), CLOUD, FlinkSettings())
    assert shown.startswith("CREATE TABLE `default`.`cluster_0`.`dvd_clicks` (\n  `key` STRING,\n  `event_id` STRING")
    assert "'properties.sasl.jaas.config' = '********'" in shown
    assert "hush" not in shown


def test_a_table_that_requires_every_field_refuses_missing_ones_only_when_strict() -> None:
    """`skip` and a schema with optional fields make a missing field NULL."""
    strict, lenient = (
        catalog.table_options(catalog.contract_table(), CLOUD, FlinkSettings(bad_records=mode))
        for mode in ("fail", "skip")
    )
    assert strict["value.json.fail-on-missing-field"] == "true"
    assert lenient["value.json.fail-on-missing-field"] == "false"
    optional = catalog.TopicTable("t", (("a", "INT"),))
    assert catalog.table_options(optional, CLOUD, FlinkSettings())["value.json.fail-on-missing-field"] == "false"


def test_topics_with_a_registered_schema_are_tables_too(registry: Registry) -> None:
    """Objects in JSON Schema become tables, whatever their nesting; everything else is left out."""
    body = {
        "type": "object",
        "properties": {
            "n": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "inner": {"type": "object", "properties": {"x": {"type": "number"}}},
        },
    }
    profile = Profile({"bootstrap.servers": "nowhere:1"}, registry_url=registry.url)
    with registry_of(profile) as known:
        known.register(schema.Schema("flink-orders-value", 1, json.dumps(body)))
        known.register(
            schema.Schema(
                "flink-plain-value", 1, '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}'
            )
        )
    found = {table.name: table for table in catalog.profile_tables(profile)}
    assert found["flink-orders"].columns == (
        ("n", "BIGINT"),
        ("tags", "ARRAY<STRING>"),
        ("inner", "ROW<`x` DOUBLE>"),
    )
    assert "flink-plain" not in found
    assert next(iter(found)) == "dvd_clicks"


def registry_of(profile: Profile) -> schema_registry.HttpRegistry:
    """The registry of a profile."""
    return schema_registry.connect(profile)


def test_a_created_table_is_there_in_the_next_session(
    registry: Registry, open_workspace: Open, profile: Profile, stream: tuple[str, Deliveries]
) -> None:
    """Its topic is made and its schema registered, timestamps included."""
    known = Profile(dict(profile.kafka), registry_url=registry.url)
    workspace = open_workspace(stream[0], known=known)
    name = f"made-{stream[0]}"
    rows(
        workspace,
        f"create table `{name}` (at_time timestamp(3), n bigint, what string); insert into `{name}` values (timestamp '2026-01-01 08:00:00', 7, 'a')",
    )
    assert ("at_time", "TIMESTAMP(3)") in {table.name: table for table in catalog.profile_tables(known)}[name].columns
    got = rows(workspace, f"select at_time, n, what from `{name}`", limit=1)
    assert got == [["2026-01-01 08:00:00.000", 7, "a"]]


def test_only_a_create_table_without_a_connector_is_made_a_topic() -> None:
    """Whoever writes WITH, LIKE or AS knows better."""
    texts = "create table a (x int); create table if not exists `b c` (x decimal(3, 1)); create table d.e.f (x int);"
    texts += "create table g (x int) with ('connector' = 'print'); create table h (x int) like g; create temporary table i (x int)"
    assert [request and request.name for request in map(create_table.parse_request, split_statements(texts))] == [
        "a",
        "b c",
        "f",
        None,
        None,
        None,
    ]


def test_a_bounded_read_has_no_idle_partitions() -> None:
    """A partition that waits for its turn must not be passed by the watermark: windows would drop its records."""
    assert "table.exec.source.idle-timeout" not in catalog.session_options(FlinkSettings(until_now=True))
    assert catalog.session_options(FlinkSettings())["table.exec.source.idle-timeout"] == "30000 ms"
