"""Example statements: the files of ``sql/``, each opening with a comment that says what it answers."""

from __future__ import annotations

from importlib.resources import files

from clickreel.errors import UsageError


def list_examples() -> list[str]:
    """Their names, in alphabetical order."""
    folder = files("clickreel.flink").joinpath("sql")
    return sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))


def read_example(name: str) -> str:
    """The statements of one file.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in list_examples():
        raise UsageError(f"no example {name}", hint=f"one of: {', '.join(list_examples())}")
    return files("clickreel.flink").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def describe_example(name: str) -> str:
    """The first line of its comment."""
    return read_example(name).splitlines()[0].removeprefix("--").strip()
