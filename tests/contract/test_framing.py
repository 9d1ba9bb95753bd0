import json
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.contract import framing
from clickreel.contract.check import check
from clickreel.contract.encode import decode, encode
from clickreel.contract.publish import ours, publish
from clickreel.contract.samples import block
from clickreel.contract.schema_registry import HttpRegistry
from clickreel.profile import split_login
from tests.conftest import Registry
from tests.contract.test_check import KEY, value
from tests.sample_event import SAMPLE_EVENT, SAMPLE_VALUE


@given(payload=st.binary(max_size=30), number=st.integers(0, 2**32 - 1))
def test_a_frame_comes_off_as_it_went_on(payload: bytes, number: int) -> None:
    """Prefix and header, by id and by GUID."""
    assert framing.unframe(framing.prefix(payload, number)) == (payload, "prefix", number)
    assert framing.unframe(payload, framing.header(number)) == (payload, "header", number)
    guid = str(uuid.UUID(int=number))
    assert framing.unframe(payload, framing.header(guid)) == (payload, "header", guid)
    if payload[:1] != b"\0":
        assert framing.unframe(payload) == (payload, "plain", None)


@given(data=st.binary(max_size=6), header=st.none() | st.binary(max_size=20))
def test_a_damaged_frame_is_none(data: bytes, header: bytes | None) -> None:
    """Never an exception."""
    found = framing.unframe(data, header)
    damaged = data[:1] == b"\0" and len(data) < 5 if header is None else header[:1] not in {b"\0", b"\1"}
    assert not damaged or found is None


def test_a_framed_block_is_the_same_block() -> None:
    """A whole column is framed at once."""
    encoded = encode(block(100, seed=1))
    values, keys = framing.prefixed(encoded.values, 7), framing.prefixed(encoded.keys, 6)
    assert values[3].as_py() == framing.prefix(encoded.values[3].as_py(), 7)
    decoded = decode(values, keys)
    assert decoded.valid.all()
    assert decoded.user.tolist() == decode(encoded.values, encoded.keys).user.tolist()


class Confluent:
    """Confluent's own serializers on the run's registry."""

    def __init__(self, registry: Registry) -> None:
        with warnings.catch_warnings(record=True):  # its imports warn of their own dependencies, whatever is filtered
            from confluent_kafka import schema_registry as library
            from confluent_kafka.schema_registry import json_schema
            from confluent_kafka.serialization import MessageField, SerializationContext
        url, login = split_login(registry.url)
        self.library, self.json = library, json_schema
        self.client: Any = library.SchemaRegistryClient({"url": url, "basic.auth.user.info": login})
        self._context, self._fields = SerializationContext, MessageField

    def context(self, topic: str, headers: list[Any] | None = None) -> Any:
        """The context of a value."""
        return self._context(topic, self._fields.VALUE, headers)


@pytest.fixture
def confluent(registry: Registry) -> Iterator[Confluent]:
    """Confluent's library."""
    held = Confluent(registry)
    yield held
    held.client.__exit__(None, None, None)


def test_confluents_deserializer_reads_what_is_framed(confluent: Confluent, apicurio: HttpRegistry) -> None:
    """A consumer that needs the prefix gets the event, validated against the registered schema."""
    topic = f"t-{uuid.uuid4().hex[:12]}"
    registered = publish(apicurio, topic)[1].registered
    assert registered is not None
    assert registered.id is not None
    encoded = encode(block(5, seed=2))
    read = confluent.json.JSONDeserializer(None, schema_registry_client=confluent.client)
    for plain, framed in zip(encoded.values, framing.prefixed(encoded.values, registered.id), strict=True):
        assert read(framed.as_py(), confluent.context(topic)) == json.loads(plain.as_py())


def test_what_confluents_serializer_writes_is_valid(confluent: Confluent, apicurio: HttpRegistry) -> None:
    """A producer that uses the registry's serializer keeps the contract."""
    topic = f"t-{uuid.uuid4().hex[:12]}"
    registered = apicurio.register(ours("value", topic))
    write = confluent.json.JSONSerializer(registered.text, confluent.client, conf={"auto.register.schemas": False})
    framed = write(SAMPLE_EVENT, confluent.context(topic))
    assert framing.unframe(framed) == (SAMPLE_VALUE, "prefix", registered.id)
    assert check(KEY, framed) is None
    with pytest.raises(Exception, match="less than the minimum"):
        write(json.loads(value(film_id=0)), confluent.context(topic))
