"""Edits of a small schema: what a version may change, each a case for every judge of compatibility."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any


def base(*, open_: bool) -> dict[str, Any]:
    """A schema with one field of each kind."""
    body: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "base",
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "word": {"type": "string", "enum": ["x", "y"]},
            "rank": {"type": "integer", "minimum": 1, "maximum": 10},
            "code": {"type": "string", "pattern": "^a$"},
            "size": {"type": "number"},
            "when": {"type": "string", "format": "date"},
        },
        "required": ["text"],
    }
    return body if open_ else body | {"additionalProperties": False}


def _field(name: str, **rules: Any) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        for rule, value in rules.items():
            if value is None:
                del body["properties"][name][rule]
            else:
                body["properties"].setdefault(name, {})[rule] = value

    return edit


def _remove(name: str) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        del body["properties"][name]
        body["required"] = [field for field in body["required"] if field != name]

    return edit


def _require(*names: str) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        body["required"] = list(names)

    return edit


def _add(**rules: Any) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        body["properties"]["new"] = rules

    return edit


def _add_required(body: dict[str, Any]) -> None:
    body["properties"]["new"] = {"type": "string"}
    body["required"].append("new")


def _open(body: dict[str, Any]) -> None:
    body.pop("additionalProperties", None)


def _close(body: dict[str, Any]) -> None:
    body["additionalProperties"] = False


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "nothing": lambda _body: None,
    "add an optional field": _add(type="string"),
    "add a field without rules": _add(),
    "add a required field": _add_required,
    "remove an optional field": _remove("size"),
    "remove a required field": _remove("text"),
    "require": _require("text", "word"),
    "require no longer": _require(),
    "another word": _field("word", enum=["x", "y", "z"]),
    "a word less": _field("word", enum=["x"]),
    "words exchanged": _field("word", enum=["x", "z"]),
    "words reordered": _field("word", enum=["y", "x"]),
    "any word": _field("word", enum=None),
    "only words": _field("text", enum=["a"]),
    "a pattern": _field("text", pattern="^a$"),
    "no pattern": _field("code", pattern=None),
    "another pattern": _field("code", pattern="^b$"),
    "a higher minimum": _field("rank", minimum=2),
    "a lower minimum": _field("rank", minimum=0),
    "no minimum": _field("rank", minimum=None),
    "a minimum": _field("size", minimum=0),
    "a higher maximum": _field("rank", maximum=20),
    "a lower maximum": _field("rank", maximum=5),
    "no maximum": _field("rank", maximum=None),
    "a maximum": _field("size", maximum=5),
    "integer to number": _field("rank", type="number"),
    "number to integer": _field("size", type="integer"),
    "string to number": _field("text", type="number"),
    "or null": _field("text", type=["string", "null"]),
    "a longest length": _field("text", maxLength=5),
    "a shortest length": _field("text", minLength=5),
    "a format": _field("text", format="date-time"),
    "no format": _field("when", format=None),
    "a description": _field("text", description="words"),
    "open": _open,
    "close": _close,
}


def edited(name: str, *, open_: bool) -> dict[str, Any]:
    """The base after one edit."""
    body = copy.deepcopy(base(open_=open_))
    EDITS[name](body)
    return body
