"""The list of commands, which loads none of them, says what the commands say."""

import importlib
import pkgutil
import subprocess
import sys

import pytest
import typer

import clickreel.cli
from clickreel.cli.command_index import COMMANDS, load_command

MODULES = sorted(
    module.name.removesuffix("_commands")
    for module in pkgutil.iter_modules(clickreel.cli.__path__)
    if module.name.endswith("_commands")
)


def registered(module: str) -> list[str]:
    """The commands and groups that a module adds to the command line."""
    holder = typer.Typer()
    holder.callback()(lambda: None)
    importlib.import_module(f"clickreel.cli.{module}_commands").register(holder)
    return list(typer.main.get_group(holder).commands)


@pytest.mark.parametrize("module", MODULES)
def test_every_command_of_a_module_is_in_the_list(module: str) -> None:
    """And the list names none that the module does not have."""
    assert sorted(registered(module)) == sorted(name for name, (home, _) in COMMANDS.items() if home == module)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_the_list_is_the_command_s_own(name: str) -> None:
    """The list repeats the first paragraph of the command's help, up to a full stop."""
    assert COMMANDS[name][1].rstrip(".") == load_command(name).get_short_help_str(10_000).rstrip(".")


def test_help_loads_neither_the_commands_nor_the_libraries_that_draw() -> None:
    """Each would double the time of `clickreel --help`."""
    asked = (
        "import sys; from clickreel.cli.app import run; run(['--help']);"
        "sys.stderr.write(' '.join(sorted(name for name in sys.modules if name.split('.')[0] in "
        "('rich', 'pydantic', 'numpy', 'pyarrow', 'confluent_kafka') or name.endswith('_commands'))))"
    )
    result = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    assert result.stderr == ""
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)


def test_a_group_without_a_command_prints_its_help_once() -> None:
    """On stderr, with the exit code of a usage error."""
    result = subprocess.run(
        [sys.executable, "-m", "clickreel", "topic"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (result.returncode, result.stdout, result.stderr.count("Usage: ")) == (2, "", 1)


def test_a_misspelt_command_is_answered_with_the_one_meant() -> None:
    """The list is enough to find it."""
    result = subprocess.run(
        [sys.executable, "-m", "clickreel", "stauts"], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.stderr.startswith("error: no such command 'stauts'. Did you mean 'status'?\n")
