"""Settings: one frozen dataclass per stage, read in one place.

A stage declares its settings as a frozen dataclass whose fields are made with :func:`setting`; the default and its reason stand on
the field. :func:`load` fills it from, first found wins: a flag of the command line, the environment
(``CLICKREEL_<SECTION>_<FIELD>``, or the name the field gives), the project file ``clickreel.toml`` (table ``[section]``), the default.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from clickreel.errors import UsageError

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def setting(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    env: str | None = None,
) -> Any:
    """Declare one field of a settings dataclass.

    Args:
        default: The value when nobody says otherwise.
        doc: One sentence: what it means, its unit, and why the default is what it is.
        minimum: Smallest allowed value, inclusive.
        maximum: Largest allowed value, inclusive.
        choices: The allowed values of a string.
        env: Name of the environment variable, where it is not ``CLICKREEL_<SECTION>_<FIELD>``.
    """
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices, "env": env}
    return dataclasses.field(default=default, metadata=metadata)


def variable(section: str, field: dataclasses.Field[Any]) -> str:
    """The environment variable that sets a field."""
    return field.metadata.get("env") or f"CLICKREEL_{section}_{field.name}".upper()


def project(path: Path | None = None) -> dict[str, Any]:
    """Read the project file.

    Args:
        path: The file; by default ``$CLICKREEL_PROJECT``, or ``clickreel.toml`` in the working directory, which may be
            absent.

    Returns:
        Its tables; empty when there is no file.

    Raises:
        UsageError: The named file is absent, or the file is not TOML.
    """
    named = path or (Path(os.environ["CLICKREEL_PROJECT"]) if os.environ.get("CLICKREEL_PROJECT") else None)
    file = named or Path("clickreel.toml")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named is None:
            return {}
        raise UsageError(f"no project file {file}", hint="unset CLICKREEL_PROJECT, or write the file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{file} is not TOML: {exc}", hint=f"fix {file}") from exc


def load(
    cls: type[T],
    section: str,
    *,
    flags: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Fill a settings dataclass: flag, environment, project file, default, in this order.

    Args:
        cls: A frozen dataclass whose fields were made with :func:`setting`.
        section: Its table in the project file and the middle of its environment variables.
        flags: Values from the command line by field name; ``None`` means not given.
        tables: The project file's tables; by default :func:`project` reads them.
        environ: The environment; by default the process's own.

    Raises:
        UsageError: A value is of the wrong type or out of range, or the project file holds an unknown key.
    """
    environ = os.environ if environ is None else environ
    table = dict((project() if tables is None else tables).get(section, {}))
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = variable(section, field)
        from_file = table.pop(field.name, None)
        if flags is not None and flags.get(field.name) is not None:
            raw, where = flags[field.name], f"--{field.name.replace('_', '-')}"
        elif environ.get(name):
            raw, where = environ[name], name
        elif from_file is not None:
            raw, where = from_file, f"clickreel.toml [{section}] {field.name}"
        else:
            continue
        values[field.name] = _checked(_converted(raw, hints[field.name], where), field, where)
    if table:
        known = ", ".join(f.name for f in dataclasses.fields(cls))  # type: ignore[arg-type]
        unknown = next(iter(table))
        raise UsageError(f"clickreel.toml [{section}] has an unknown key {unknown!r}", hint=f"known keys: {known}")
    return cls(**values)


def _converted(raw: Any, kind: Any, where: str) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(arg for arg in typing.get_args(kind) if arg is not type(None))
    if kind is bool:
        return _boolean(raw, where)
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    origin = typing.get_origin(kind) or kind
    if isinstance(raw, origin) and not (kind is int and isinstance(raw, bool)):
        return raw
    try:
        return kind(raw)
    except (TypeError, ValueError):
        wanted = getattr(kind, "__name__", str(kind))
        raise UsageError(
            f"{where} is {raw!r}, which is not {_article(wanted)}", hint=f"give {where} {_article(wanted)}"
        ) from None


def _article(kind: str) -> str:
    return {"int": "a whole number", "float": "a number", "str": "a text", "Path": "a path"}.get(kind, f"a {kind}")


def _boolean(raw: Any, where: str) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise UsageError(f"{where} is {raw!r}, which is neither yes nor no", hint=f"set {where} to true or false")


def _checked(value: Any, field: dataclasses.Field[Any], where: str) -> Any:
    low, high, choices = (field.metadata.get(key) for key in ("minimum", "maximum", "choices"))
    if choices and value not in choices:
        raise UsageError(f"{where} is {value!r}", hint=f"one of: {', '.join(choices)}")
    if isinstance(value, int | float) and not _within(value, low, high):
        raise UsageError(f"{where} is {_number(value)}", hint=f"allowed: {_span(low, high)}")
    return value


def _within(value: float, low: float | None, high: float | None) -> bool:
    # Written so that NaN, for which every comparison is false, is outside.
    return (low is None or value >= low) and (high is None or value <= high) and not math.isnan(value)


def _number(value: float) -> str:
    """A whole number as it was given; what is none in six digits at most."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _span(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {_number(low)} to {_number(high)}"
    return (
        f"at least {_number(low)}"
        if low is not None
        else f"at most {_number(high)}"
        if high is not None
        else "a number"
    )
