import json
from pathlib import Path

import pytest

from clickreel.contract import schema, schema_files
from clickreel.contract.check import Contract
from clickreel.contract.diff import compare
from clickreel.contract.schema import Schema
from clickreel.errors import ClickreelError
from tests.contract.test_check import KEY, value

EXPORTS = Path(__file__).parent / "exports"


@pytest.mark.parametrize(("kind", "has_id"), [("data-contract", True), ("schema", False)])
def test_the_first_users_exports_load_validate_and_diff(kind: str, has_id: bool) -> None:
    """The four files from Confluent Cloud are versions 6 and 4 of this package, word for word."""
    key = schema_files.read(EXPORTS / f"{kind}-dvd_clicks-key-v6.json")
    of_value = schema_files.read(EXPORTS / f"{kind}-dvd_clicks-value-v4.json")
    assert (key.subject, key.version, key.id) == ("dvd_clicks-key", 6, 100025 if has_id else None)
    assert (of_value.subject, of_value.version, of_value.id) == ("dvd_clicks-value", 4, 100024 if has_id else None)
    assert key.body == schema.version("key", 6).body
    assert of_value.body == schema.version("value", 4).body
    assert Contract(of_value, key).check(KEY, value()) is None
    assert len(compare(of_value, schema.current("value"))) > 20


@pytest.mark.parametrize("part", ["key", "value"])
def test_what_is_exported_is_read_again(tmp_path: Path, part: schema.Part) -> None:
    """The data contract holds the schema, its version and its id; the schema file the bare JSON Schema, named by its file."""
    held = Schema(schema.subject(part), 7, schema.current(part).text, id=12)
    paths = schema_files.write(held, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [f"{kind}-dvd_clicks-{part}-v7.json" for kind in schema_files.KINDS]
    for path in paths:
        again = schema_files.read(path)
        assert (again.subject, again.version, again.body) == (held.subject, 7, held.body)
    assert schema_files.read(paths[0]).id == 12
    assert json.loads(paths[1].read_text(encoding="utf-8")) == held.body


def test_other_forms_are_read(tmp_path: Path) -> None:
    """The schema alone, named by its file; and the schema as an object, with a byte order mark in front."""
    body = schema.current("value").body
    alone = tmp_path / "schema-other-value-v3.json"
    alone.write_text(json.dumps(body), encoding="utf-8")
    assert (schema_files.read(alone).subject, schema_files.read(alone).version, schema_files.read(alone).body) == (
        "other-value",
        3,
        body,
    )
    unnamed = tmp_path / "mine.json"
    unnamed.write_text(json.dumps(body), encoding="utf-8")
    assert (schema_files.read(unnamed).subject, schema_files.read(unnamed).version) == ("mine", 1)
    nested = tmp_path / "nested.json"
    nested.write_text(json.dumps({"subject": "s-value", "version": 2, "schema": body}), encoding="utf-8-sig")
    assert schema_files.read(nested).body == body


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no schema, but list"),
        ('{"schema": "{"}', "the schema in it is not JSON"),
        ('{"schema": "[]"}', "holds no JSON Schema|no schema with rules"),
        ('{"schema": "1"}', "no schema with rules"),
        ('{"schemaType": "AVRO", "schema": "{}"}', "type AVRO, not JSON"),
        ('{"type": "strin"}', "holds no JSON Schema"),
        ('{"version": "x", "schema": "{}"}', "must be whole numbers"),
        ('{"id": "x", "schema": "{}"}', "must be whole numbers"),
    ],
)
def test_what_is_no_export_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """The file and what is wrong with it, with a hint."""
    path = tmp_path / "schema-t-value-v1.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClickreelError, match=message) as refusal:
        schema_files.read(path)
    assert str(path) in refusal.value.message
    assert refusal.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Neither a missing file nor a folder that cannot be made is a traceback."""
    with pytest.raises(ClickreelError, match="cannot be read: No such file"):
        schema_files.read(tmp_path / "none.json")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ClickreelError, match="cannot be written"):
        schema_files.write(schema.current("key"), tmp_path / "file")


def test_released_versions_stay_as_they_are() -> None:
    """A released schema file is never edited: services and consumers have it."""
    # Their fields and rules; a digest would say that something changed, this says what was meant.
    assert schema.version("key", 6).body == {"type": "string"}
    assert [one.version for one in schema.versions("key")] == [6, 7]
    assert [one.version for one in schema.versions("value")] == [4, 5]
    for rules in schema.version("value", 4).fields.values():
        assert rules.keys() <= {"type", "format"}
    with pytest.raises(ClickreelError, match="no version 3 of dvd_clicks-value \\(has 4, 5\\)"):
        schema.version("value", 3)


def test_every_field_of_the_current_version_is_described_and_strict() -> None:
    """Each field is required, has a description, and a rule beyond its type."""
    body = schema.current("value").body
    assert body["additionalProperties"] is False
    assert body["required"] == list(body["properties"])
    for name, rules in body["properties"].items():
        assert len(rules["description"]) > 20, name
        assert rules.keys() & {"enum", "pattern", "minimum"}, name
