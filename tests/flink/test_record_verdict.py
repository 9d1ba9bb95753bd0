"""`sql` has the verdict that every reader has: also on other topics, and on records that name another version of the schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from clickreel.cli.flink_runner import FlinkRunner
from clickreel.cli.sql_runner import SqlOptions
from clickreel.contract import schema, schema_registry
from clickreel.contract.schema import Schema
from clickreel.contract.schema_lookup import SchemaLookup
from clickreel.contract.verdict import judge_record
from clickreel.flink import bad_records, catalog
from clickreel.flink.contract_sql import compile_schema
from clickreel.flink.sql_errors import RefusedRecordError
from clickreel.profile import Profile
from tests.conftest import Registry
from tests.flink.conftest import Open, Topics, rows
from tests.sample_event import SAMPLE_EVENT as EVENT

pytestmark = pytest.mark.stack

KEY = b'"u_10"'


def event(**changes: Any) -> bytes:
    """The sample event, changed; a field that is None is left out."""
    return json.dumps({name: cell for name, cell in {**EVENT, **changes}.items() if cell is not None}).encode()


def register(known: Profile, topic: str, *bodies: Any, key: Any = None) -> list[int]:
    """Register versions of a topic's value, and the key's schema; the ids of the values."""
    with schema_registry.connect(known) as registry:
        registry.set_mode(f"{topic}-value", "NONE")
        if key is not None:
            registry.register(Schema(f"{topic}-key", 1, json.dumps(key)))
        made = [registry.register(Schema(f"{topic}-value", 0, json.dumps(body))) for body in bodies]
    return [one.id or 0 for one in made]


def framed(id_: int, value: bytes) -> bytes:
    """A value behind the five bytes that name a schema."""
    return b"\0" + id_.to_bytes(4, "big") + value


def test_a_topic_that_has_the_contract_under_another_name_has_its_verdict(
    open_workspace: Open, topics: Topics, registry: Registry, profile: Profile
) -> None:
    """By the schemas that are registered for it, the key's too."""
    known = Profile(dict(profile.kafka), registry_url=registry.url)
    topic = topics.make(1)
    register(known, topic, schema.current("value").body, key=schema.current("key").body)
    (table,) = [one for one in catalog.registered_tables(known) if one.name == topic]
    values = [
        event(),
        event() + event(),
        event() + b" x",
        event(position=2.5),
        event(film_id=331.0),
        b"[" + event() + b"]",
    ]
    topics.put([(KEY, value, 0) for value in values] + [(b"u_10", event(), 0)], topic)
    workspace = open_workspace(topics.make(1), known=known, extra=[table], bad_records="skip")
    assert rows(workspace, f"select film_id, `position` from `{topic}`") == [[331, 9], [331, 9]]
    report = bad_records.count_bad_records(known, table, {})
    assert (report.read, report.bad, report.are_left_out) == (7, 5, True)
    strict = open_workspace(topics.make(1), known=known, extra=[table])
    with pytest.raises(RefusedRecordError) as raised:
        FlinkRunner(strict, SqlOptions(form="json")).run(f"select film_id from `{topic}`")
    assert f"{topic} partition 0 offset 1: value is not JSON" in raised.value.message


def test_a_record_that_names_another_registered_version_is_judged_by_it(
    open_workspace: Open, topics: Topics, registry: Registry, profile: Profile
) -> None:
    """Words and fields beyond the contract's are taken of records that name a version with them, and of no other."""
    known = Profile(dict(profile.kafka), registry_url=registry.url)
    topic = topics.make(1)
    newer = json.loads(json.dumps(schema.current("value").body))
    newer["properties"]["event_type"]["enum"].append("download")
    newer["properties"] |= {"rating": {"type": "number"}, "hd": {"type": "boolean"}, "note": {"type": "string"}}
    first, second = register(known, topic, schema.current("value").body, newer, key=schema.current("key").body)
    values = [
        framed(second, event(event_type="download")),
        framed(second, event(rating=4.5, hd=True, note='fine, \u00e9\u2713 "film_id": 5')),
        framed(second, event(note="x", device="web")),
        framed(first, event()),
        framed(9_999_999, event()),
        event(event_type="download"),
        event(rating=4.5),
        framed(first, event(event_type="download")),
        framed(second, event(event_type="upload")),
        framed(second, event(rating="4.5")),
        framed(second, event(hd=1)),
        framed(second, event(position=2.5, event_type="download")),
        framed(second, event(more=1)),
        framed(second, event(device=None, hd=True)),
        framed(second, event(hd=True)[:-1] + b',"hd":false}'),
        framed(second, event(device=None, hd=True)[:-1] + b',"hd":false}'),
        framed(9_999_999, event(event_type="download")),
    ]
    with schema_registry.connect(known) as open_registry:
        lookup = SchemaLookup(open_registry.by_id, topic)
        judged = [judge_record(KEY, value, lookup=lookup).is_valid for value in values]
    assert judged == [True] * 5 + [False] * 12
    topics.put([(KEY, value, number) for number, value in enumerate(values)], topic)
    table = catalog.with_registered_versions(replace(catalog.contract_table(), topic=topic), known)
    workspace = open_workspace(topic, known=known, extra=[replace(table, name="versions")], bad_records="skip")
    got = rows(workspace, "select event_type, film_id, device from versions")
    assert sorted(got) == sorted(
        [["download", 331, "tablet"], ["view", 331, "tablet"], ["view", 331, "web"], *[["view", 331, "tablet"]] * 2]
    )
    assert rows(workspace, "select count(*) from dvd_clicks") == [[2]]


def test_records_that_break_a_schema_without_a_form_in_sql_are_counted(
    open_workspace: Open, topics: Topics, registry: Registry, profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flink's reader makes rows of them; the person is told, also where bad records would end the query."""
    known = Profile(dict(profile.kafka), registry_url=registry.url)
    topic = topics.make(1)
    open_ended = {"type": "object", "properties": {"title": {"type": "string"}, "stars": {"type": "integer"}}}
    register(known, topic, open_ended)
    (table,) = [one for one in catalog.registered_tables(known) if one.name == topic]
    assert table.accepted is None
    topics.put([(b"k", value, 0) for value in (b'{"title":"A","stars":3}', b'{"title":"B","stars":2.5}')], topic)
    workspace = open_workspace(topics.make(1), known=known, extra=[table])
    FlinkRunner(workspace, SqlOptions(form="json")).run(f"select title, stars from `{topic}`")
    said = capsys.readouterr()
    assert [json.loads(line)["title"] for line in said.out.splitlines()] == ["A", "B"]
    assert "1 of the 2 records looked at break the registered schema" in said.err
    assert f"{topic} partition 0 offset 1: stars is 2.5, not an integer" in said.err


FLAT = {"type": "object", "additionalProperties": False, "required": ["a"], "properties": {"a": {"type": "number"}}}


@pytest.mark.parametrize(
    "more",
    [
        {"additionalProperties": True},
        {"required": []},
        {"minProperties": 2},
        {"properties": {"a": {"type": "object"}}},
        {"properties": {"a": {"type": ["number", "null"]}}},
        {"properties": {"a": {"type": "string"}}},
        {"properties": {"a": {"type": "string", "pattern": "(a+)+"}}},
        {"properties": {"a": {"type": "integer"}}},
        {"properties": {"a": {"type": "number", "multipleOf": 2}}},
        {"properties": {"a": True}},
        {"properties": {"a b": {"type": "number"}}, "required": ["a b"]},
    ],
)
def test_a_schema_that_says_more_than_the_expressions_can_has_no_form(more: dict[str, Any]) -> None:
    """Flink's reader decides then: a wrong verdict would be worse than none."""
    assert compile_schema(FLAT) is not None
    assert compile_schema({**FLAT, **more}) is None
