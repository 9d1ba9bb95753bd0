import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from clickreel.cli.app import run
from clickreel.contract import schema
from clickreel.contract.encode import encode
from clickreel.contract.samples import block
from clickreel.contract.schema import Schema
from clickreel.contract.schema_registry import HttpRegistry
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
def profile(tmp_path: Path, apicurio: HttpRegistry) -> str:
    """A profile that names the run's registry."""
    path = tmp_path / "client.properties"
    path.write_text(f"bootstrap.servers=127.0.0.1:9\nschema.registry.url={apicurio.url}\n", encoding="utf-8")
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
    changes = contract.json("diff", "4", "v5")["changes"]
    assert {change["why"] != "" for change in changes if change["narrows"]} == {True}
    assert "why required" not in contract("diff")
    assert "why required" in contract.error
    contract("register", "--profile", profile, "--topic", topic)
    files = contract.json("export", str(tmp_path), "--registered", "--profile", profile, "--topic", topic)["files"]
    assert all(json.loads(Path(name).read_text())["id"] > 0 for name in files)
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
    assert contract.json("validate", str(path), "--limit", "1", code=5)["invalid"] == 4
    assert "page" in contract("validate", str(path), code=5)
    assert contract.json("validate", str(path), "--version", "4", code=5)["invalid"] == 2
    contract("validate", str(tmp_path / "none"), code=2)


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
