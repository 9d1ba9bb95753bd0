"""``clickreel contract show|list|check|register|diff|evolve|export|validate``: the data contract."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.target_options import ProfileFile, TopicName

if TYPE_CHECKING:
    from clickreel.contract.diff import Change
    from clickreel.contract.schema import Schema
    from clickreel.contract.schema_registry import HttpRegistry

PartOption = Annotated[Literal["key", "value"], typer.Option("--part", help="The key's schema or the value's.")]
ModeOption = Annotated[
    str | None, typer.Option("--mode", help="Compatibility mode: BACKWARD, FORWARD, FULL, NONE, ...")
]

_VIOLATED = 5
_MEANING = {
    "missing": "clickreel contract register brings ours there",
    "older": "the registry has a former version of ours; clickreel contract register brings the current one",
    "newer": "ours is registered, and somebody has evolved it since; the differences are from that version back to ours",
    "other": "somebody else's contract; clickreel contract diff --registered",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(
        cls=CommandGroup,
        help="The data contract: show, register, evolve and check its schemas, and validate messages.",
    )
    for command in (show, list_, check, register_, diff, evolve, export, validate):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="contract")


def _registry(path: Path | None) -> HttpRegistry:
    """The registry that a command works with."""
    from clickreel.cli import target_options
    from clickreel.contract.schema_registry import connect

    return connect(target_options.profile(path))


def show(  # noqa: PLR0917 - one parameter an option
    part: PartOption = "value",
    version: Annotated[
        int | None, typer.Option("--version", help="An earlier version. [default: the current one]")
    ] = None,
    field: Annotated[str | None, typer.Option("--field", help="Show one field in full.")] = None,
    schema_: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema itself.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the whole reference page.")] = False,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, max=100_000, help="Print random valid messages.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the fields of the contract and their rules.

    Example: `clickreel contract show`, or `clickreel contract show --schema > schema.json`
    """
    from clickreel.contract import contract_page, schema
    from clickreel.errors import UsageError

    shown = schema.current(part) if version is None else schema.version(part, version)
    if samples:
        _print_samples(samples)
        return
    if schema_ or markdown:
        sys.stdout.write(contract_page.page() if markdown else shown.text)
        return
    if json:
        print_json({"subject": shown.subject, "version": shown.version, "schema": shown.body})
        return
    rows = contract_page.rows(shown)
    if field is not None:
        rows = [row for row in rows if row.field == field]
        if not rows:
            raise UsageError(
                f"{shown.subject} v{shown.version} has no field {field}", hint=f"the fields: {', '.join(shown.fields)}"
            )
    print_err((shown.subject, "bold"), f" version {shown.version}: {shown.body.get('description', 'no description')}")
    print_table(["field", "type", "rule", "meaning"], [(row.field, row.type, row.rule, row.meaning) for row in rows])


def _print_samples(rows: int) -> None:
    """Print random messages as kcat and `contract validate` take them: a key, a tab, a value."""
    from clickreel.contract.encode import encode
    from clickreel.contract.samples import block

    encoded = encode(block(rows))
    for key, value in zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
        sys.stdout.buffer.write(key + b"\t" + value + b"\n")


def list_(
    registered: Annotated[
        bool, typer.Option("--registered", help="Show what the registry holds instead of what this package has.")
    ] = False,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """List the versions of the contract.

    Example: `clickreel contract list --registered`
    """
    from typing import get_args

    from clickreel.contract import schema

    if registered:
        with _registry(profile) as registry:
            held = [row for name in registry.subjects() for row in _registered(registry, name)]
    else:
        held = [_version(one, "") for part in get_args(schema.Part) for one in schema.versions(part)]
    if json:
        print_json({"versions": held})
        return
    columns = ("subject", "version", "id", "mode", "fields", "about")
    print_table(
        ["subject", "version>", "id>", "mode", "fields>", "about"],
        [["" if row[column] is None else str(row[column])[:60] for column in columns] for row in held],
    )


def _registered(registry: HttpRegistry, subject: str) -> list[dict[str, Any]]:
    """The versions of a subject; of a schema that is no JSON Schema, what it is instead."""
    from clickreel.errors import ContractError

    mode, rows = registry.mode(subject), []
    for number in registry.versions(subject):
        try:
            found = registry.schema(subject, number)
            rows += [_version(found, mode)] if found else []
        except ContractError as exc:
            rows.append(
                {"subject": subject, "version": number, "id": None, "mode": mode, "fields": None, "about": exc.message}
            )
    return rows


def _version(one: Schema, mode: str) -> dict[str, Any]:
    about = str(one.body.get("description", ""))
    return {
        "subject": one.subject,
        "version": one.version,
        "id": one.id,
        "mode": mode or None,
        "fields": len(one.fields),
        "about": about,
    }


def check(topic: TopicName = None, profile: ProfileFile = None, json: Json = False) -> int:
    """Check that what is registered is our contract; exit 5 when it is not.

    Example: `clickreel contract check`
    """
    from typing import get_args

    from clickreel.cli import target_options
    from clickreel.contract import publish, schema

    with _registry(profile) as registry:
        states = [publish.state(registry, part, target_options.topic_name(topic)) for part in get_args(schema.Part)]
        url = registry.url
    same = all(state.agreement == "same" for state in states)
    if json:
        print_json({"ok": same, "registry": url, "subjects": [_state(state) for state in states]})
        return 0 if same else _VIOLATED
    print_table(
        ["subject", "registered>", "id>", "agreement"],
        [
            (
                state.ours.subject,
                state.registered.version if state.registered else "",
                _id(state.registered),
                state.agreement,
            )
            for state in states
        ],
    )
    for state in states:
        _print_changes(state.changes)
    for agreement in {state.agreement for state in states} - {"same"}:
        print_err(f"  {agreement}: {_MEANING[agreement]}")
    return 0 if same else _VIOLATED


def _id(schema: Schema | None) -> str:
    return "" if schema is None or schema.id is None else str(schema.id)


def _state(state: Any) -> dict[str, Any]:
    held = state.registered
    return {
        "subject": state.ours.subject,
        "agreement": state.agreement,
        "version": held.version if held else None,
        "id": held.id if held else None,
        "changes": [_change(change) for change in state.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return dataclasses.asdict(change)


def _print_changes(changes: tuple[Change, ...]) -> None:
    """Print the changes that bear on messages; of others, how many there are."""
    effect = {(True, False): "narrows", (False, True): "widens", (True, True): "changes"}
    bearing = [change for change in changes if change.narrows or change.widens]
    if bearing:
        print_table(
            ["field", "effect", "what"],
            [(change.field, effect[change.narrows, change.widens], _short(change.text)) for change in bearing],
        )
    if len(bearing) < len(changes):
        print_err(f"  and {len(changes) - len(bearing)} changes of titles, descriptions and the like (see --json)")


def _short(text: str) -> str:
    """The text, cut where the calendar's pattern would fill the screen."""
    return text if len(text) <= 160 else f"{text[:150]}..."


def register_(
    file: Annotated[
        Path | None, typer.Option("--file", help="A file with an evolved value schema, instead of the built-in one.")
    ] = None,
    topic: TopicName = None,
    mode: ModeOption = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Register the key's and the value's schema for a topic; doing it again changes nothing.

    Example: `clickreel contract register`

    A new subject gets the mode BACKWARD, or the one given; one that exists keeps its mode unless --mode is given. With --file, what
    `contract evolve --out` wrote becomes the value's next version.
    """
    from typing import get_args

    from clickreel.cli import target_options
    from clickreel.contract import publish, schema, schema_files
    from clickreel.contract.schema_registry import check_mode

    name = target_options.topic_name(topic)
    evolved = dataclasses.replace(schema_files.read(file), subject=schema.subject("value", name)) if file else None
    with _registry(profile) as registry:
        if mode is not None:
            check_mode(mode)
            for part in get_args(schema.Part):
                if registry.versions(schema.subject(part, name)):
                    registry.set_mode(schema.subject(part, name), mode)
        if evolved is None:
            publish.publish(registry, name, mode=mode or publish.MODE)
        else:
            publish.register(registry, evolved, mode=mode or publish.MODE)
        states = [publish.state(registry, part, name) for part in get_args(schema.Part)]
        modes = [registry.mode(state.ours.subject) for state in states]
        url = registry.url
    if json:
        print_json(
            {"registry": url, "subjects": [_state(state) | {"mode": m} for state, m in zip(states, modes, strict=True)]}
        )
        return
    print_table(
        ["subject", "version>", "id>", "mode"],
        [
            (state.ours.subject, state.registered.version if state.registered else "", _id(state.registered), m)
            for state, m in zip(states, modes, strict=True)
        ],
    )


def diff(  # noqa: PLR0917 - one parameter an option
    old: Annotated[
        str | None, typer.Argument(help="A version (4) or an exported file. [default: the previous version]")
    ] = None,
    new: Annotated[str | None, typer.Argument(help="A version or a file. [default: the current version]")] = None,
    part: PartOption = "value",
    registered: Annotated[
        bool, typer.Option("--registered", help="Compare what the registry holds with the built-in schema.")
    ] = False,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show what changed between two versions, in which direction, and why.

    Example: `clickreel contract diff 4 5`, or `clickreel contract diff data-contract-dvd_clicks-value-v4.json`
    """
    from clickreel.contract import diff as differences
    from clickreel.contract import schema

    if registered:
        before, after = _registered_and_ours(part, topic, profile)
    else:
        if any(_is_key(name) for name in (old, new)):
            part = "key"
        after = _named(part, new) if new else schema.current(part)
        before = _named(part, old) if old else schema.versions(part)[-2]
    changes = differences.compare(before, after)
    if json:
        ends = {"old": before, "new": after}
        print_json(
            {name: {"subject": one.subject, "version": one.version} for name, one in ends.items()}
            | {"changes": [_change(change) | {"why": differences.why(change)} for change in changes]}
        )
        return
    print_err(
        f"{before.subject} v{before.version} -> {after.subject} v{after.version}: {len(changes) or 'no'} differences"
    )
    _print_changes(changes)
    for rule, reason in {change.rule: differences.why(change) for change in changes if change.narrows}.items():
        if reason:
            print_err(f"  why {rule}: {reason}")


def _is_key(name: str | None) -> bool:
    """Whether an argument is a file that holds a key's schema."""
    from clickreel.contract import schema_files

    if name is None or name.removeprefix("v").isdigit():
        return False
    held = schema_files.read(Path(name))
    return held.subject.endswith("-key") or (held.body.get("type") == "string" and not held.fields)


def _named(part: Any, name: str) -> Schema:
    """A version of ours by its number, or an exported file."""
    from clickreel.contract import schema, schema_files

    number = name.removeprefix("v")
    return schema.version(part, int(number)) if number.isdigit() else schema_files.read(Path(name))


def _registered_and_ours(part: Any, topic: str | None, profile: Path | None) -> tuple[Schema, Schema]:
    from clickreel.cli import target_options
    from clickreel.contract import publish
    from clickreel.errors import ContractError

    with _registry(profile) as registry:
        state = publish.state(registry, part, target_options.topic_name(topic))
    if state.registered is None:
        raise ContractError(f"{state.ours.subject} is not registered", hint="clickreel contract register")
    return state.registered, state.ours


def evolve(  # noqa: PLR0917 - one parameter an option
    add: Annotated[list[str] | None, typer.Option("--add", help="New field: NAME:TYPE or NAME:TYPE:required.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Field to remove.")] = None,
    word: Annotated[list[str] | None, typer.Option("--word", help="New enum value: FIELD=WORD.")] = None,
    drop_word: Annotated[
        list[str] | None, typer.Option("--drop-word", help="Enum value to remove: FIELD=WORD.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Rule to set: FIELD.RULE=VALUE.")] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", help="Rule to remove: FIELD.RULE.")] = None,
    open_: Annotated[bool | None, typer.Option("--open/--closed", help="Allow or reject additional fields.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="The proposed schema as a file, instead of edits.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Version or file to start from. [default: the current version]")
    ] = None,
    mode: ModeOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the proposed schema here.")] = None,
    json: Json = False,
) -> int:
    """Propose a next version of the value's schema; say whether it would be accepted, or what would be. Exit 5 when it would not.

    Example: `clickreel contract evolve --add country:string --word page=checkout`

    Nothing is registered: the verdict needs no registry, and is the one that a registry would give.
    """
    from clickreel.contract import evolve as evolution
    from clickreel.contract import publish, schema, schema_files
    from clickreel.contract.schema_registry import check_mode
    from clickreel.errors import UsageError

    mode = (mode or publish.MODE).upper()
    check_mode(mode)
    lists = {"add": add, "remove": remove, "word": word, "drop_word": drop_word, "set": set_, "unset": unset}
    edits = evolution.Edits(**{name: tuple(given or ()) for name, given in lists.items()}, open=open_)
    if (edits == evolution.Edits()) == (file is None):
        raise UsageError(
            "say what to change: by edits, or by --file, not both", hint="clickreel contract evolve --help"
        )
    old = _named("value", base) if base else schema.current("value")
    new = schema_files.read(file) if file else evolution.propose(old, edits)
    verdict = evolution.judge_evolution(old, new, mode)
    if out is not None:
        _write(out, new)
    if json:
        print_json(
            {
                "accepted": verdict.accepted,
                "mode": mode,
                "changes": [_change(change) for change in verdict.changes],
                "forbidden": [_change(change) for change in verdict.forbidden],
                "notes": list(verdict.notes),
                "schema": new.body,
            }
        )
        return 0 if verdict.accepted else _VIOLATED
    _print_changes(verdict.changes)
    print_err()
    print_err(("accepted" if verdict.accepted else "refused", "bold"), f" under {mode}")
    for change in verdict.forbidden:
        print_err(f"  not allowed: {change.field}: {change.text}")
    for note in verdict.notes:
        print_err(f"  {'note' if verdict.accepted else 'instead'}: {note}")
    return 0 if verdict.accepted else _VIOLATED


def _write(path: Path, schema: Schema) -> None:
    from clickreel.errors import UsageError

    try:
        path.write_text(schema.text + "\n", encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror}", hint="name another file") from exc
    print_err(f"wrote {path}")


def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write into.")] = Path(),
    registered: Annotated[
        bool, typer.Option("--registered", help="Export what the registry holds, with its ids.")
    ] = False,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Write the schemas as Confluent Cloud exports them: data-contract-... and schema-....

    Example: `clickreel contract export contracts/`
    """
    from typing import get_args

    from clickreel.cli import target_options
    from clickreel.contract import publish, schema, schema_files
    from clickreel.errors import ContractError

    name = target_options.topic_name(topic)
    if registered:
        with _registry(profile) as registry:
            found = [registry.schema(schema.subject(part, name)) for part in get_args(schema.Part)]
        schemas = [one for one in found if one is not None]
        if not schemas:
            raise ContractError(f"nothing is registered for {name}", hint="clickreel contract register")
    else:
        schemas = [publish.ours(part, name) for part in get_args(schema.Part)]
    paths = [path for one in schemas for path in schema_files.write(one, folder)]
    if json:
        print_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        print_err(f"wrote {path}")


def validate(
    file: Annotated[Path, typer.Argument(help="Messages, one per line; - for stdin.")] = Path("-"),
    version: Annotated[str | None, typer.Option("--version", help="An earlier version, or a schema file.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many violations to show; all are counted.")] = 20,
    json: Json = False,
) -> int:
    r"""Check messages against the contract; exit 5 when one breaks it.

    Example: `clickreel messages --json | clickreel contract validate`, or `clickreel contract validate event.json`

    A line is a value, or a key, a tab and a value (kcat -K '\t'), or an object as `clickreel messages --json` prints it. JSON over several
    lines and arrays of events are read as well. Every violation is named.
    """
    from clickreel.contract import validate_file
    from clickreel.contract.check import Contract

    against = None if version is None else Contract(value=_named("value", version))
    found = validate_file.validate_file(file, against, limit)
    if json:
        print_json(found.as_dict())
        return _VIOLATED if found.invalid else 0
    if found.violations:
        print_table(
            ["line>", "field", "rule", "what"],
            [(line, broken.field, broken.rule, broken.text) for line, broken in found.violations],
        )
    if found.invalid > len(found.violations):
        print_err(f"and {found.invalid - len(found.violations):,} more")
    for (field, rule), count in sorted(found.reasons.items(), key=lambda item: -item[1]):
        print_err(f"  {count:,} x {field}: {rule}")
    print_err(f"{found.checked:,} checked, {found.invalid:,} invalid")
    return _VIOLATED if found.invalid else 0
