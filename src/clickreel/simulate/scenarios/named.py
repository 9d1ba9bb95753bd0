"""The scenarios of the package, and the settings of a world out of all places where they can stand."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from clickreel import settings
from clickreel.errors import UsageError
from clickreel.simulate.settings import WorldSettings

SECTION = "world"
_FOLDER = resources.files("clickreel.simulate.scenarios")


def names() -> tuple[str, ...]:
    """The scenarios there are, sorted."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml")))


def about(name: str) -> str:
    """What a scenario is: the comment at the head of its file.

    Raises:
        UsageError: There is no such scenario.
    """
    lines = _text(name).splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def values(name: str) -> dict[str, Any]:
    """The settings of a scenario.

    Raises:
        UsageError: There is no such scenario.
    """
    return tomllib.loads(_text(name))


def _text(name: str) -> str:
    if name not in names():
        near = difflib.get_close_matches(name, names(), 1)
        did_you_mean = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no scenario {name!r}{did_you_mean}", hint=f"one of: {', '.join(names())}")
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    tables: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> WorldSettings:
    """The settings of a world: flag, environment, project file, scenario, default, in this order.

    The project file's table ``[world]`` holds the settings; its table ``[flaws]`` holds shares by kind (``late = "2%"``) in place of the
    text ``flaws`` of ``[world]``.

    Args:
        flags: Values from the command line by the names of the fields; ``None`` means not given.
        tables: The project file's tables; by default it is read.
        environ: The environment; by default the process's own.

    Raises:
        UsageError: Impossible values, an unknown key, an unknown scenario.
    """
    tables = dict(settings.project() if tables is None else tables)
    own = dict(tables.get(SECTION, {}))
    if "flaws" in tables:
        if "flaws" in own:
            raise UsageError("clickreel.toml has flaws twice", hint="keep the table [flaws], or flaws in [world]")
        own["flaws"] = ",".join(f"{kind}={share}" for kind, share in tables["flaws"].items())
    name = (flags or {}).get("scenario") or (os.environ if environ is None else environ).get("CLICKREEL_WORLD_SCENARIO")
    name = name or own.get("scenario")
    if name:
        base = values(name)
        # A scenario is made for some size; another rate from the user stands instead of it, of whatever kind it is.
        if _given(("rate", "mean_rate", "users"), flags, own, environ):
            base = {key: value for key, value in base.items() if key not in {"rate", "mean_rate"}}
        own = base | own
    return settings.load(WorldSettings, SECTION, flags=flags, tables={SECTION: own}, environ=environ)


def _given(
    fields: tuple[str, ...],
    flags: Mapping[str, Any] | None,
    own: Mapping[str, Any],
    environ: Mapping[str, str] | None,
) -> bool:
    environ = os.environ if environ is None else environ
    return any(
        (flags or {}).get(field) is not None
        or field in own
        or environ.get(f"CLICKREEL_{SECTION.upper()}_{field.upper()}")
        for field in fields
    )
