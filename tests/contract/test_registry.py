import json
import uuid
from collections.abc import Callable

import httpx
import pytest

from clickreel.contract import schema
from clickreel.contract.check import Contract
from clickreel.contract.evolve import Edits, propose
from clickreel.contract.publish import ours, publish, state
from clickreel.contract.schema import Schema
from clickreel.contract.schema_registry import HttpRegistry, MemoryRegistry, Registry
from clickreel.errors import ContractError, UnreachableError, UsageError
from clickreel.profile import split_login
from tests.contract.edits import EDITS, base, edited


@pytest.fixture(params=["memory", "real"])
def held(request: pytest.FixtureRequest) -> Registry:
    """The twin in memory and a real Apicurio: one suite for both."""
    if request.param == "memory":
        return MemoryRegistry()
    found: Registry = request.getfixturevalue("apicurio")
    return found


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"t-{uuid.uuid4().hex[:12]}"


def schema_of(topic: str, body: object, version: int = 1) -> Schema:
    """A value schema of the topic."""
    return Schema(f"{topic}-value", version, json.dumps(body))


def test_a_registered_schema_is_found_in_every_way(held: Registry, topic: str) -> None:
    """By subject, by version, by id, by content; and again without a second version."""
    mine = ours("value", topic)
    assert held.schema(mine.subject) is None
    assert held.versions(mine.subject) == []
    assert held.find(mine) is None
    registered = held.register(mine)
    assert (registered.subject, registered.version, registered.body) == (mine.subject, 1, mine.body)
    assert registered.id is not None
    assert held.register(mine) == registered
    assert held.schema(mine.subject) == registered
    assert held.schema(mine.subject, 1) == registered
    assert held.schema(mine.subject, 2) is None
    assert held.find(mine) == registered
    assert held.versions(mine.subject) == [1]
    assert mine.subject in held.subjects()
    assert json.loads(held.by_id(registered.id) or "") == mine.body
    assert held.by_id(1_000_000) is None
    assert held.by_id("00010203-0405-0607-0809-0a0b0c0d0e0f") is None


def test_a_subject_keeps_its_versions_in_order(held: Registry, topic: str) -> None:
    """Without a mode anything may follow anything."""
    first = held.register(schema_of(topic, base(open_=True)))
    second = held.register(schema_of(topic, edited("close", open_=True)))
    assert [first.version, second.version] == held.versions(first.subject) == [1, 2]
    assert held.schema(first.subject) == second
    assert held.schema(first.subject, 1) == first


def test_the_mode_of_a_subject_is_its_own(held: Registry, topic: str) -> None:
    """A mode is set per subject, and only one that exists."""
    mine = held.register(ours("value", topic))
    assert held.mode(mine.subject) == "NONE"
    held.set_mode(mine.subject, "FULL")
    assert held.mode(mine.subject) == "FULL"
    with pytest.raises(UsageError, match="SIDEWARD is no compatibility mode"):
        held.set_mode(mine.subject, "SIDEWARD")


def test_an_incompatible_schema_is_refused_and_nothing_changed(held: Registry, topic: str) -> None:
    """The registry says why, before and on registering."""
    held.register(schema_of(topic, base(open_=False)))
    held.set_mode(f"{topic}-value", "BACKWARD")
    new = schema_of(topic, edited("add a required field", open_=False))
    assert held.check_compatibility(new) != []
    with pytest.raises(ContractError, match=f"refuses the schema of {topic}-value as incompatible"):
        held.register(new)
    assert held.versions(new.subject) == [1]
    good = schema_of(topic, edited("add an optional field", open_=False))
    assert held.check_compatibility(good) == []
    assert held.register(good).version == 2


def test_what_is_no_schema_is_refused(held: Registry, topic: str) -> None:
    """Nothing is registered."""
    with pytest.raises(ContractError, match="refuses it"):
        held.register(schema_of(topic, {"type": "strin"}))
    assert held.versions(f"{topic}-value") == []


@pytest.mark.parametrize("open_", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("mode", ["BACKWARD", "FORWARD", "FULL", "NONE"])
def test_both_registries_judge_alike(apicurio: HttpRegistry, mode: str, open_: bool) -> None:
    """Apicurio and the twin, which is what `contract evolve` foretells by, agree on every edit under every mode."""
    judges: list[Registry] = [apicurio, MemoryRegistry()]
    verdicts: list[dict[str, bool]] = []
    for judge in judges:
        verdict = {}
        for name in EDITS:
            topic = f"t-{uuid.uuid4().hex[:12]}"
            subject = judge.register(schema_of(topic, base(open_=open_))).subject
            judge.set_mode(subject, mode)
            verdict[name] = judge.check_compatibility(schema_of(topic, edited(name, open_=open_))) == []
        verdicts.append(verdict)
    assert verdicts[0] == verdicts[1]


def test_publishing_twice_changes_nothing(held: Registry, topic: str) -> None:
    """Key and value are registered once, under BACKWARD."""
    first = publish(held, topic)
    assert [(part.agreement, part.ours.subject) for part in first] == [
        ("same", f"{topic}-key"),
        ("same", f"{topic}-value"),
    ]
    assert publish(held, topic) == first
    assert [held.versions(part.ours.subject) for part in first] == [[1], [1]]
    assert [held.mode(part.ours.subject) for part in first] == ["BACKWARD", "BACKWARD"]


def test_publishing_over_the_open_version_is_explained(held: Registry, topic: str) -> None:
    """Ours is stricter than version 4: under BACKWARD it is refused in words, under NONE it follows."""
    open_version = schema.version("value", 4)
    held.register(Schema(f"{topic}-value", 4, open_version.text))
    held.set_mode(f"{topic}-value", "BACKWARD")
    with pytest.raises(ContractError, match="the new one is not BACKWARD compatible: value: closed") as refusal:
        publish(held, topic)
    assert "and 2" in refusal.value.message
    assert state(held, "value", topic).agreement == "older"
    held.set_mode(f"{topic}-value", "NONE")
    assert [part.agreement for part in publish(held, topic)] == ["same", "same"]
    assert held.mode(f"{topic}-value") == "NONE"


def test_states_tell_the_ways_to_differ(held: Registry, topic: str) -> None:
    """Missing, other, same, newer."""
    assert state(held, "value", topic).agreement == "missing"
    held.register(schema_of(topic, base(open_=False)))
    other = state(held, "value", topic)
    assert other.agreement == "other"
    assert {change.field for change in other.changes} >= {"event_id", "text"}
    publish(held, topic)
    assert state(held, "value", topic).changes == ()
    held.register(propose(ours("value", topic), Edits(word=("page=checkout",))))
    newer = state(held, "value", topic)
    assert (newer.agreement, [change.text for change in newer.changes]) == ("newer", ['without "checkout"'])
    assert publish(held, topic)[1].agreement == "newer"


def test_a_schema_of_another_type_is_named(apicurio: HttpRegistry, topic: str) -> None:
    """An Avro subject is none of ours: said in words, and unknown by its id."""
    avro = {"type": "record", "name": "a", "fields": [{"name": "x", "type": "int"}, {"name": topic, "type": "int"}]}
    number = apicurio._ask("POST", f"subjects/{topic}-value/versions", {"schema": json.dumps(avro).replace("-", "_")})[
        "id"
    ]
    with pytest.raises(ContractError, match=f"version 1 of {topic}-value is of type AVRO, not JSON Schema"):
        state(apicurio, "value", topic)
    assert apicurio.by_id(number) is None


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> HttpRegistry:
    """A registry client whose server is a function."""
    client = HttpRegistry("http://registry.example/api", "me:secret")
    client._http = httpx.Client(transport=httpx.MockTransport(answer))
    return client


def test_a_reference_to_another_subject_is_resolved(apicurio: HttpRegistry, topic: str) -> None:
    """The referred schema comes along with the one that refers to it, by subject and by id; its rules count."""
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    number = draft | {"type": "integer", "minimum": 1}
    apicurio.register(Schema(f"{topic}-number", 1, json.dumps(number)))
    body = draft | {"type": "object", "properties": {"n": {"$ref": "number.json"}}}
    reference = {"name": "number.json", "subject": f"{topic}-number", "version": 1}
    request = {"schemaType": "JSON", "schema": json.dumps(body), "references": [reference]}
    registered = apicurio._ask("POST", f"subjects/{topic}-value/versions", request)
    held = apicurio.schema(f"{topic}-value")
    assert held is not None
    text = apicurio.by_id(registered["id"])
    assert text is not None
    for found in (held, Schema(f"{topic}-value", 1, text)):
        contract = Contract(value=found, key=Schema("k", 1, "true"))
        assert contract.check(b"1", b'{"n":1}') is None
        broken = contract.check(b"1", b'{"n":0}')
        assert broken is not None
        assert (broken.field, broken.rule) == ("n", "minimum")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, "{}", "does not let us in"),
        (403, "", "does not let us in"),
        (404, "<html>", "is no schema registry"),
        (500, '{"message":"out of disk"}', "fails: out of disk"),
        (502, "<html>", "fails: HTTP 502"),
        (200, "<html>", "not as a schema registry does"),
    ],
)
def test_an_odd_answer_is_an_error_in_words(status: int, body: str, message: str) -> None:
    """Whatever stands at the address, the error says what to mend and holds no password."""
    client = answering(lambda _request: httpx.Response(status, text=body))
    with pytest.raises(UnreachableError, match=message) as raised:
        client.subjects()
    assert raised.value.hint
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("order", ["{0},http://127.0.0.1:9", "http://127.0.0.1:9, {0}"])
def test_of_several_addresses_the_first_that_answers_is_used(registry: Registry, order: str) -> None:
    """As Java clients take them, with blanks; the one that answered is named and asked first from then on."""
    with HttpRegistry(order.format(registry.url)) as client:
        assert isinstance(client.subjects(), list)
        assert client.url == split_login(registry.url)[0].rstrip("/")
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9, http://127\.0\.0\.1:10 does not answer"):
        HttpRegistry("http://127.0.0.1:9,http://127.0.0.1:10").subjects()


def test_no_registry_at_the_address() -> None:
    """A refused connection names the address."""
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9 does not answer"):
        HttpRegistry("http://127.0.0.1:9").subjects()
