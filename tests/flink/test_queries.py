"""Queries end when no further row can come, tables with a key keep one row a key, and only committed records are rows."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from clickreel.cli.app import run
from clickreel.contract import schema, schema_registry
from clickreel.errors import UsageError
from clickreel.events import Deliveries
from clickreel.flink import catalog
from clickreel.flink.query_shape import read_plan
from clickreel.flink.sql_errors import RefusedRecordError
from clickreel.flink.statement_splitter import split_statements
from clickreel.flink.statement_store import FAILED
from clickreel.profile import Profile
from clickreel.stream.cluster import Cluster
from tests.conftest import Registry
from tests.flink.conftest import Open, Topics, one, rows
from tests.sample_event import SAMPLE_VALUE as GOOD

Stream = tuple[str, Deliveries]


@pytest.mark.parametrize(
    ("sql", "limit"),
    [
        ("select 1 limit 20", 20),
        ("select 1 limit 20 offset 7", 20),
        ("select 1 limit 7, 20", 20),
        ("select 1 offset 7 rows fetch next 20 rows only", 20),
        ("select 1 offset 7 rows limit 20", 20),
        ("select 1 fetch first 20 rows only", 20),
        ("select 1 fetch first row only", 1),
        ("(select 1 limit 20)", 20),
        ("((select a from (select 1 limit 3) limit 20))", 20),
        ("with t as (select 1 limit 3) select * from t limit 20", 20),
        ("select 1 from t where limit_ = 5", None),
        ("select 'limit 5'", None),
        ("select * from (select 1 limit 3)", None),
        ("(select 1 limit 3) union all (select 2 limit 4)", None),
    ],
)
def test_the_limit_of_a_query_is_read_in_every_spelling(sql: str, limit: int | None) -> None:
    """Only the outermost limit bounds the whole; what a text does not say by itself is asked of the plan."""
    assert one(sql).limit == limit


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("select event_id from t fetch first 5 rows only", 5),
        ("select event_id from t limit 5 offset 3", 5),
        ("(select event_id from t limit 5)", 5),
        ("with x as (select event_id from t limit 5) select event_id from x", 5),
        ("(select event_id from t limit 5) union all (select user_id from t limit 3)", 8),
        ("select count(*) as n from (select event_id from t limit 5)", 1),
        ("select event_id from (select event_id, film_id from t limit 5) where film_id > 0", 5),
        ("values (1), (2)", 2),
    ],
)
def test_a_query_that_can_give_no_more_rows_ends(
    capsys: pytest.CaptureFixture[str], stream: Stream, query: str, count: int
) -> None:
    """Without --until-now and --limit: the topic has no end, the query has."""
    table = f"create temporary table t with ('topic' = '{stream[0]}') like dvd_clicks (overwriting options);"
    assert run(["sql", "-e", f"{table} {query}", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == count


def test_a_plan_tells_how_many_rows_can_come() -> None:
    """Through operators that keep the number; a filter, a join or a group may change it."""
    limit = "Limit(offset=[1], fetch=[5], changelogMode=[I])\n      +- TableSourceScan(table=[[t]])"
    plan = "== Optimized Physical Plan ==\n{}\n\n== Optimized Execution Plan ==\n"
    bounded = read_plan(plan.format(f"Calc(select=[a], changelogMode=[I])\n+- {limit}"))
    assert (bounded.append_only, bounded.row_limit, bounded.limits) == (True, 5, (6,))
    filtered = read_plan(plan.format(f"Calc(select=[a], where=[>(a, 1)], changelogMode=[I])\n+- {limit}"))
    assert (filtered.append_only, filtered.row_limit, filtered.limits) == (True, None, (6,))
    endless = read_plan(
        plan.format("GroupAggregate(select=[a], changelogMode=[I,UA])\n+- TableSourceScan(table=[[t]])")
    )
    assert (endless.append_only, endless.row_limit, endless.limits) == (False, None, ())


def known_profile(profile: Profile, registry: Registry) -> Profile:
    """The suite's Kafka with its registry."""
    return Profile(dict(profile.kafka), registry_url=registry.url)


def test_a_table_with_a_primary_key_keeps_one_row_a_key_in_the_next_session_too(
    registry: Registry, open_workspace: Open, profile: Profile, stream: Stream
) -> None:
    """Its topic is compacted, its key's schema registered, and a later session folds the changes by key."""
    known = known_profile(profile, registry)
    name = f"keyed-{uuid.uuid4().hex[:8]}"
    create = f"create table `{name}` (k int, v string, primary key (k) not enforced)"
    rows(open_workspace(stream[0], known=known), f"{create}; insert into `{name}` values (1, 'a'), (1, 'b'), (2, 'c')")
    table = next(table for table in catalog.profile_tables(known) if table.name == name)
    assert table.primary_key == ("k",)
    later = open_workspace(stream[0], known=known, extra=[table])
    assert not later.shape(one(f"select k, v from `{name}`")).append_only
    assert sorted(rows(later, f"select k, v from `{name}`")) == [[1, "b"], [2, "c"]]


def test_what_confluent_cloud_writes_behind_the_columns_is_made(
    registry: Registry, open_workspace: Open, profile: Profile, stream: Stream
) -> None:
    """DISTRIBUTED BY becomes the record's key and the number of partitions."""
    known = known_profile(profile, registry)
    name = f"spread-{uuid.uuid4().hex[:8]}"
    workspace = open_workspace(stream[0], known=known)
    rows(
        workspace,
        f"create table `{name}` (k int, v string) distributed by hash (k) into 3 buckets"
        " with ('changelog.mode' = 'append', 'value.format' = 'json-registry');"
        f" insert into `{name}` values (1, 'a'), (1, 'b')",
    )
    assert sorted(rows(workspace, f"select k, v from `{name}`", limit=2)) == [[1, "a"], [1, "b"]]
    state = Cluster(known).topic(name)
    assert state is not None
    assert state.partitions == 3


@pytest.mark.parametrize(
    "case",
    [
        ("k int", "with ('changelog.mode' = 'retract')", "'changelog.mode' cannot be 'retract'"),
        ("k int", "with ('changelog.mode' = 'upsert')", "needs a key"),
        ("k int", "with ('kafka.retention.time' = '7 d')", "the option 'kafka.retention.time'"),
        ("k int", "partitioned by (k)", "is not PARTITIONED BY"),
        ("k int, primary key (k) not enforced", "with ('changelog.mode' = 'append')", "takes changes"),
        ("k int, v int, primary key (k) not enforced", "distributed by (v) into 2 buckets", "is not the PRIMARY KEY"),
        ("k map<string, int>", "", "cannot be made into a topic's field"),
        ("k int", "with ('changelog.mode' = 'append') as select 1 as k", "AS SELECT"),
    ],
)
def test_a_refused_create_table_leaves_no_topic(
    open_workspace: Open, profile: Profile, stream: Stream, case: tuple[str, str, str]
) -> None:
    """The reason in words, before anything is made; the name is free afterwards."""
    columns, behind, message = case
    name = f"refused-{uuid.uuid4().hex[:8]}"
    workspace = open_workspace(stream[0])
    with pytest.raises(UsageError, match=message):
        rows(workspace, f"create table `{name}` ({columns}) {behind}")
    assert Cluster(profile).topic(name) is None
    assert [name] not in rows(workspace, "show tables")


def test_an_insert_that_fails_at_a_record_says_so(open_workspace: Open, topics: Topics) -> None:
    """The command does not leave it as running: it waits until what is in the topic was read."""
    topic = topics.make(1)
    topics.put([(b'"u_10"', GOOD, 0)] * 50 + [(b'"u_10"', b"no json", 0)], topic)
    workspace = open_workspace(topic, until_now=False)
    workspace.execute(one("create temporary table sink (film_id int) with ('connector' = 'blackhole')"))
    with pytest.raises(RefusedRecordError):
        workspace.execute(one("insert into sink select film_id from dvd_clicks"))
    assert next(iter(workspace.statements)).state == FAILED


def test_only_committed_records_are_rows(open_workspace: Open, topics: Topics, profile: Profile) -> None:
    """Five of an aborted transaction and three of a committed one: three."""
    topic = topics.make(1)
    producer = Producer({**profile.producer_config(), "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    for count, end in ((5, producer.abort_transaction), (3, producer.commit_transaction)):
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(topic, key=b'"u_10"', value=GOOD)
        producer.flush(30)
        end(30)
    assert rows(open_workspace(topic), "select count(*) from dvd_clicks") == [[3]]


@pytest.mark.timeout(600)
def test_a_running_query_reads_partitions_that_are_added(
    open_workspace: Open, topics: Topics, profile: Profile
) -> None:
    """From their first record, without a restart of the query."""
    topic = topics.make(1)
    topics.put([(b'"u_10"', GOOD, 0)], topic)
    admin, producer = AdminClient(profile.admin()), Producer(profile.producer_config())
    seen: set[int] = set()
    is_grown, deadline = False, time.monotonic() + 300
    with open_workspace(topic, until_now=False).query(one("select film_id from dvd_clicks")) as query:
        for batch in query:
            seen |= {cells[0] for _, cells in batch}
            if seen and not is_grown:
                is_grown = True
                admin.create_partitions([NewPartitions(topic, 3)])[topic].result(60)
                for number in (1, 2):
                    producer.produce(topic, key=b'"u_10"', value=GOOD.replace(b"331", b"%d" % number), partition=number)
            producer.poll(0)
            if seen == {331, 1, 2}:
                break
            assert time.monotonic() < deadline, seen
    assert producer.flush(30) == 0


def test_somebody_elses_odd_schema_costs_its_own_table_only(
    registry: Registry, open_workspace: Open, profile: Profile, stream: Stream
) -> None:
    """A property without a name and a pattern that Python does not know; `select 1` gives 1."""
    known = known_profile(profile, registry)
    suffix = uuid.uuid4().hex[:8]
    schemas = {
        f"unnamed-{suffix}": {"": {"type": "string"}, "a": {"type": "string"}},
        f"pattern-{suffix}": {"year": {"type": "string", "pattern": "^(?<y>[0-9]{4})$"}},
        f"wide-{suffix}": {"text": {"type": "string", "pattern": "^.{10,30}$"}},
        f"twice-{suffix}": {"a": {"type": "string"}, "A`;--": {"type": "integer"}, "b": True},
    }
    with schema_registry.connect(known) as registered:
        for topic, properties in schemas.items():
            body = {"type": "object", "properties": properties}
            registered.register(schema.Schema(f"{topic}-value", 1, json.dumps(body)))
    left_out: dict[str, str] = {}
    found = {table.name: dict(table.columns) for table in catalog.registered_tables(known, left_out.__setitem__)}
    assert left_out.keys() & schemas.keys() == {f"unnamed-{suffix}"}
    assert found[f"pattern-{suffix}"] == {"year": "STRING"}
    assert found[f"wide-{suffix}"] == {"text": "STRING"}
    assert found[f"twice-{suffix}"] == {"a": "STRING", "A`;--": "BIGINT", "b": "STRING"}
    broken = catalog.TopicTable("broken", (("a", "NO SUCH TYPE"),))
    workspace = open_workspace(stream[0], known=known, extra=[broken])
    assert list(workspace.left_out) == ["broken"]
    assert rows(workspace, "select 1") == [[1]]


def test_statements_are_kept_apart_by_the_splitter() -> None:
    """A limit in one statement says nothing of the next."""
    assert [statement.limit for statement in split_statements("select 1 limit 2; select 3")] == [2, None]
