"""The contract for people: a table of its fields, on the terminal and as the reference page in ``docs``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from clickreel.contract import corrupt, ddl, schema
from clickreel.contract.diff import Change, compare, why
from clickreel.contract.schema import Part, Schema
from clickreel.contract.vocabulary import MALFORMED

_SEE_SCHEMA = "a pattern, see the schema"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field in words.

    Attributes:
        field: Its name; ``key`` for a key that is no object.
        type: Its type in JSON.
        rule: What its values keep.
        meaning: Its description.
        required: Whether each message has it.
    """

    field: str
    type: str
    rule: str
    meaning: str
    required: bool


def rows(schema: Schema) -> list[FieldRow]:
    """The fields of a schema in its order; of a schema without fields, the one value that it describes."""
    required = schema.body.get("required", ())
    fields = schema.fields or {schema.subject.rsplit("-", 1)[-1]: schema.body}
    return [
        FieldRow(
            name,
            str(rules.get("type", "any")),
            _rule(rules),
            str(rules.get("description", "")),
            name in required or not schema.fields,
        )
        for name, rules in fields.items()
    ]


def _rule(rules: dict[str, Any]) -> str:
    if "enum" in rules:
        return ", ".join(rules["enum"])
    if "pattern" in rules:
        # The calendar in event_ts takes 300 characters, which its description says in ten words.
        return str(rules["pattern"]) if len(rules["pattern"]) <= 90 else _SEE_SCHEMA
    if "minimum" in rules or "maximum" in rules:
        return f"{rules.get('minimum', '')} to {rules.get('maximum', '')}".strip()
    return f"format {rules['format']}" if "format" in rules else ""


def page() -> str:
    """The reference page of the contract, in Markdown: ``docs/reference/contract.md``, which a test holds to this."""
    key, value = schema.current("key"), schema.current("value")
    tight, pipes, flink = ddl.clickhouse_columns(), ddl.clickhouse_columns(style="clickpipes"), ddl.flink_columns()
    columns = [(name, tight[name], pipes[name], flink[name]) for name in tight]
    parts = [
        "# The contract",
        "Written by `make docs` from the schemas (`clickreel contract show --markdown`).",
        f"Key: `{key.subject}` version {key.version}, a JSON string.",
        f"Value: `{value.subject}` version {value.version}, a JSON object of exactly these fields.",
        "## Key",
        _table(("type", "rule", "meaning"), [(row.type, _code(row.rule), row.meaning) for row in rows(key)]),
        "## Value",
        _table(
            ("field", "type", "rule", "meaning"),
            [(_code(row.field), row.type, _code(row.rule), row.meaning) for row in rows(value)],
        ),
        "## As columns",
        _table(
            ("field", "ClickHouse", "as ClickPipes infers it", "Flink"), [tuple(map(_code, row)) for row in columns]
        ),
        "## Former versions",
        *(_former(part) for part in get_args(Part)),
        "## Malformed kinds",
        "What the simulator breaks on purpose, and what the check says of it (field: rule).",
        _table(
            ("kind", "field: rule"),
            [
                (_code(flaw), ", ".join(_code(f"{reason.field}: {reason.rule}") for reason in corrupt.reasons(flaw)))
                for flaw in MALFORMED
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _former(part: Part) -> str:
    """How the current version differs from the one before."""
    before, after = schema.versions(part)[-2:]
    changes = [change for change in compare(before, after) if change.narrows or change.widens]
    by_rule: dict[str, list[Change]] = {}
    for change in changes:
        by_rule.setdefault(change.rule, []).append(change)
    lines = [
        (_code(rule), ", ".join(_code(change.field) for change in group), why(group[0]))
        for rule, group in by_rule.items()
    ]
    title = f"Version {after.version} of `{after.subject}` is stricter than version {before.version}:"
    return f"{title}\n\n" + _table(("rule", "fields", "why"), lines)


def _code(text: str) -> str:
    return f"`{text}`" if text and text != _SEE_SCHEMA else text


def _table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)
