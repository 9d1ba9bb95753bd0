import bz2
import gzip
import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clickreel.cli.app import run
from clickreel.contract import schema
from clickreel.contract.encode import encode
from clickreel.contract.samples import block
from clickreel.contract.schema import Schema
from clickreel.contract.schema_registry import HttpRegistry
from tests.conftest import Registry
from tests.contract.test_check import KEY, value


class Command:
    """Runs `clickreel contract` in this process and gives what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.error = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Standard output of the command, which must end with `code`."""
        ended = run(["contract", *arguments])
        printed = self._capsys.readouterr()
        self.error = printed.err
        assert ended == code, printed.err
        return printed.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The one JSON object that the command prints."""
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def contract(capsys: pytest.CaptureFixture[str]) -> Command:
    """The commands."""
    return Command(capsys)


@pytest.fixture
def profile(tmp_path: Path, registry: Registry) -> str:
    """A profile that names the run's registry."""
    path = tmp_path / "client.properties"
    path.write_text(f"bootstrap.servers=127.0.0.1:9\nschema.registry.url={registry.url}\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"t-{uuid.uuid4().hex[:12]}"


def test_show(contract: Command) -> None:
    """All fields, one field, a former version, the schema itself."""
    assert "add_to_watchlist" in contract("show")
    assert "film_id" not in contract("show", "--field", "page")
    assert json.loads(contract("show", "--schema")) == schema.current("value").body
    assert contract.json("show", "--part", "key")["version"] == 7
    assert contract.json("show", "--version", "4")["schema"] == schema.version("value", 4).body
    contract("show", "--field", "colour", code=2)
    assert contract.error.splitlines()[0] == "error: dvd_clicks-value v5 has no field colour"


def test_list(contract: Command) -> None:
    """The versions in this package."""
    held = contract.json("list")["versions"]
    assert [(one["subject"], one["version"]) for one in held] == [
        ("dvd_clicks-key", 6),
        ("dvd_clicks-key", 7),
        ("dvd_clicks-value", 4),
        ("dvd_clicks-value", 5),
    ]


def test_register_check_and_list_against_the_registry(contract: Command, profile: str, topic: str) -> None:
    """Check fails before registering and passes after; registering twice changes nothing."""
    where = ("--profile", profile, "--topic", topic)
    assert contract.json("check", *where, code=5)["ok"] is False
    registered = contract.json("register", *where)
    assert registered == contract.json("register", *where)
    assert [(one["agreement"], one["mode"]) for one in registered["subjects"]] == [("same", "BACKWARD")] * 2
    assert contract.json("check", *where)["ok"] is True
    assert f"{topic}-value" in contract("list", "--registered", "--profile", profile)
    assert contract.json("register", *where, "--mode", "FULL")["subjects"][1]["mode"] == "FULL"
    contract("register", *where, "--mode", "sideward", code=2)


def test_a_foreign_version_in_the_registry(contract: Command, profile: str, topic: str, apicurio: HttpRegistry) -> None:
    """Check exits 5 with the differences; register is refused in words; diff --registered shows the way."""
    where = ("--profile", profile, "--topic", topic)
    apicurio.register(Schema(f"{topic}-value", 4, schema.version("value", 4).text))
    apicurio.set_mode(f"{topic}-value", "BACKWARD")
    found = contract.json("check", *where, code=5)["subjects"][1]
    assert found["agreement"] == "older"
    assert len(found["changes"]) > 20
    contract("register", *where, code=5)
    assert contract.error.startswith(
        f"error: {topic}-value holds version 1, with which the new one is not BACKWARD compatible"
    )
    assert len(contract.error.splitlines()) == 2
    assert contract.json("diff", "--registered", *where)["old"] == {"subject": f"{topic}-value", "version": 1}


def test_no_registry(contract: Command, tmp_path: Path, profile: str, topic: str) -> None:
    """A profile without one, one that does not answer, and a subject that is not there."""
    path = tmp_path / "other.properties"
    path.write_text("bootstrap.servers=127.0.0.1:9\n", encoding="utf-8")
    contract("check", "--profile", str(path), code=2)
    assert "names no schema registry" in contract.error
    path.write_text("bootstrap.servers=127.0.0.1:9\nschema.registry.url=http://127.0.0.1:9\n", encoding="utf-8")
    contract("check", "--profile", str(path), code=4)
    assert "http://127.0.0.1:9 does not answer" in contract.error
    contract("diff", "--registered", "--profile", profile, "--topic", topic, code=5)
    contract("export", "--registered", "--profile", profile, "--topic", topic, code=5)


def test_export_and_diff(contract: Command, tmp_path: Path, profile: str, topic: str) -> None:
    """Exports are written as Confluent Cloud writes them, and are read back by diff; registered ones carry their id."""
    exported = contract.json("export", str(tmp_path))["files"]
    assert sorted(Path(name).name for name in exported) == [
        "data-contract-dvd_clicks-key-v7.json",
        "data-contract-dvd_clicks-value-v5.json",
        "schema-dvd_clicks-key-v7.json",
        "schema-dvd_clicks-value-v5.json",
    ]
    assert contract.json("diff", str(tmp_path / "schema-dvd_clicks-value-v5.json"))["changes"] == []
    of_key = contract.json("diff", str(tmp_path / "schema-dvd_clicks-key-v7.json"))
    assert (of_key["new"]["subject"], of_key["changes"]) == ("dvd_clicks-key", [])
    changes = contract.json("diff", "4", "v5")["changes"]
    assert {change["why"] != "" for change in changes if change["narrows"]} == {True}
    assert "why required" not in contract("diff")
    assert "why required" in contract.error
    contract("register", "--profile", profile, "--topic", topic)
    files = contract.json("export", str(tmp_path), "--registered", "--profile", profile, "--topic", topic)["files"]
    assert [json.loads(Path(name).read_text()).get("id", 0) > 0 for name in files] == [True, False] * 2
    contract("diff", "nothing.json", code=2)
    contract("diff", "3", code=2)


def test_evolve(contract: Command, tmp_path: Path) -> None:
    """Accepted ends with 0, refused with 5 and what would be accepted; the proposal can be written and judged again."""
    out = tmp_path / "schema-dvd_clicks-value-v6.json"
    accepted = contract.json("evolve", "--add", "country:string", "--word", "page=checkout", "--out", str(out))
    assert accepted["accepted"] is True
    assert contract.json("evolve", "--file", str(out))["changes"] == accepted["changes"]
    refused = contract.json("evolve", "--base", "4", "--add", "country:string", code=5)
    assert refused["accepted"] is False
    assert "being open" in refused["forbidden"][0]["text"]
    contract("evolve", "--closed", "--base", "4", code=5)
    assert "instead:" in contract.error
    contract("evolve", code=2)
    contract("evolve", "--add", "x:string", "--mode", "none", code=0)
    contract("evolve", "--add", "x:string", "--mode", "sideward", code=2)


def test_an_evolution_from_proposal_to_registry(contract: Command, tmp_path: Path, profile: str, topic: str) -> None:
    """Evolve writes it, register --file takes it, check tells that the registry is ahead; a refused one is refused there too."""
    where = ("--profile", profile, "--topic", topic)
    contract("register", *where)
    out = str(tmp_path / "schema-dvd_clicks-value-v6.json")
    contract("evolve", "--add", "country:string", "--out", out)
    assert contract.json("register", "--file", out, *where)["subjects"][1]["version"] == 2
    assert contract.json("check", *where, code=5)["subjects"][1]["agreement"] == "newer"
    contract("check", *where, code=5)
    assert "somebody has evolved it since" in contract.error
    contract("evolve", "--drop-word", "page=home", "--out", out, code=5)
    contract("register", "--file", out, *where, code=5)
    assert 'page: without "home"' in contract.error


def test_samples_are_valid(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    """What show --samples prints is what validate takes."""
    assert run(["contract", "show", "--samples", "50"]) == 0
    path = tmp_path / "samples"
    path.write_bytes(capfdbinary.readouterr().out)
    assert run(["contract", "validate", str(path), "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["checked"] == 50


def test_validate_a_file(contract: Command, tmp_path: Path) -> None:
    """Values, keys with values, and printed messages; violations by line, counted by reason; exit 5."""
    path = tmp_path / "messages.txt"
    printed = {"partition": 0, "offset": 5, "key": KEY.decode(), "value": json.loads(value(film_id=0))}
    lines = [
        value(),
        b"",
        KEY + b"\t" + value(),
        KEY + b"\t" + value(user_id="u_11"),
        json.dumps(printed).encode(),
        json.dumps(printed | {"value": value().decode()}).encode(),
        value(page="checkout") + b"\r",
        b"nonsense",
    ]
    path.write_bytes(b"\n".join(lines))
    found = contract.json("validate", str(path), code=5)
    assert (found["checked"], found["valid"], found["invalid"]) == (7, 3, 4)
    assert [(one["line"], one["field"], one["rule"]) for one in found["violations"]] == [
        (4, "key", "same_user"),
        (5, "film_id", "minimum"),
        (7, "page", "enum"),
        (8, "value", "json"),
    ]
    assert len(contract.json("validate", str(path), "--limit", "1", code=5)["violations"]) == 1
    assert contract.json("validate", str(path), "--limit", "1", code=5)["invalid"] == 4
    assert "page" in contract("validate", str(path), code=5)
    assert contract.json("validate", str(path), "--version", "4", code=5)["invalid"] == 2
    contract("validate", str(tmp_path / "none"), code=2)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("indent", [None, 2])
def test_validate_reads_files_as_windows_writes_them(
    encoding: str, indent: int | None, contract: Command, tmp_path: Path
) -> None:
    """A mark at the beginning of a file says how it is encoded and is no part of a message."""
    path = tmp_path / "events"
    text = "\r\n".join([json.dumps(json.loads(value()), indent=indent)] * 3)
    mark = "\ufeff" if encoding.endswith("e") else ""  # Python writes it for the others
    path.write_bytes((mark + text).encode(encoding))
    assert contract.json("validate", str(path)) | {"violations": []} == {
        "checked": 3, "valid": 3, "invalid": 0, "reasons": [], "violations": []
    }  # fmt: skip


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("bzip2", bz2.compress)])
def test_validate_names_a_compressed_file(
    name: str, compress: Callable[[bytes], bytes], contract: Command, tmp_path: Path
) -> None:
    """It is no message that is not UTF-8."""
    path = tmp_path / "events"
    path.write_bytes(compress(b"{}\n"))
    contract("validate", str(path), code=2)
    assert f"compressed by {name}" in contract.error


def test_validate_stdin(contract: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the encoder writes is valid, through a pipe."""
    encoded = encode(block(2_000, seed=3))
    pairs = zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True)
    data = b"".join(key + b"\t" + one + b"\n" for key, one in pairs)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert contract.json("validate") == {
        "checked": 2_000,
        "valid": 2_000,
        "invalid": 0,
        "reasons": [],
        "violations": [],
    }


def test_printed_messages_are_valid_again(contract: Command, tmp_path: Path) -> None:
    """What `messages --json` prints of good messages has no fault; of bad ones it has those that were seen in Kafka."""
    long = "123456789012345678901234"
    good = {
        "partition": 0,
        "offset": 1,
        "timestamp": None,
        "key": "u_10",
        "value": json.loads(value()),
        "headers": [],
        "valid": True,
        "errors": [],
    }
    doubled = {"field": "value", "rule": "unique", "text": "value holds a field twice"}
    lines = [
        json.dumps(good),
        json.dumps(good | {"valid": False, "errors": [doubled]}),
        json.dumps(good | {"key": "10"}),
        json.dumps(good | {"value": json.loads(value()) | {"film_id": int(long)}}),
        json.dumps(good | {"value": "base64:/w=="}),
    ]
    path = tmp_path / "printed.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = contract.json("validate", str(path), code=5)
    assert [(one["line"], one["field"], one["rule"]) for one in found["violations"]] == [
        (2, "value", "unique"),
        (3, "key", "pattern"),
        (4, "film_id", "maximum"),
        (5, "value", "encoding"),
    ]
    assert long in found["violations"][2]["text"]


@pytest.mark.parametrize("indent", [1, 2, "\t"])
def test_events_over_several_lines_and_arrays_are_read(contract: Command, tmp_path: Path, indent: int | str) -> None:
    """A pretty-printed event is one event; an array is each of its elements; a fault names the line where its event begins."""
    path = tmp_path / "events.json"
    good, bad = json.loads(value()), json.loads(value(page="checkout"))
    path.write_text(json.dumps(good, indent=indent), encoding="utf-8-sig")
    assert contract.json("validate", str(path))["checked"] == 1
    path.write_text(f"{json.dumps(good, indent=indent)}\n{json.dumps(bad, indent=indent)}\n", encoding="utf-8")
    found = contract.json("validate", str(path), code=5)
    assert (found["checked"], [one["line"] for one in found["violations"]]) == (2, [13])
    path.write_text(json.dumps([good, bad, good], indent=indent), encoding="utf-8")
    found = contract.json("validate", str(path), code=5)
    assert (found["checked"], [one["line"] for one in found["violations"]]) == (3, [14])
    path.write_text(json.dumps([good, good]), encoding="utf-8")
    assert contract.json("validate", str(path))["checked"] == 2
    doubled = json.dumps(good, indent=indent)[:-1] + ', "page": "home"}'
    path.write_text(doubled, encoding="utf-8")
    assert contract.json("validate", str(path), code=5)["violations"][0]["rule"] == "unique"


def test_a_broken_first_line_is_one_invalid_message(contract: Command, tmp_path: Path) -> None:
    """A text that only looks like JSON of many lines is read line by line."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event_id":"x",\n' + value() + b"\n[" + value() + b"]\n")
    found = contract.json("validate", str(path), code=5)
    assert (found["checked"], [one["line"] for one in found["violations"]]) == (3, [1, 3])


def test_a_schema_is_not_a_message(contract: Command, tmp_path: Path) -> None:
    """The bare schema and the export are refused by name, however they are printed."""
    for path in contract.json("export", str(tmp_path))["files"]:
        if "key" not in path or "data-contract" in path:
            contract("validate", path, code=2)
            assert "this is a schema, not messages" in contract.error
    path = tmp_path / "one-line.json"
    path.write_text(json.dumps(schema.current("value").body), encoding="utf-8")
    contract("validate", str(path), code=2)
