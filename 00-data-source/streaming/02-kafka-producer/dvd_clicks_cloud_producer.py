"""Stream DVD clicks to the cluster that ``client.properties`` beside this file names, or to the stack on this machine.

The same as ``clickreel produce --profile client.properties``; further options are passed on, for example ``--rate 50``. Any Python will
do: where clickreel is not installed for it, the script goes on with the environment that ``make up`` made in this repository.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
PROPERTIES = HERE.with_name("client.properties")


def use_the_repository_environment() -> None:
    """Start again with the Python of the repository's ``.venv``, or say how to make it."""
    for folder in HERE.parents:
        python = folder / ".venv" / "bin" / "python"
        if python.exists() and Path(sys.prefix).resolve() != (folder / ".venv").resolve():
            os.execv(python, [str(python), str(HERE), *sys.argv[1:]])  # noqa: S606 - our own interpreter, no shell
    root = next((folder for folder in HERE.parents if (folder / "Makefile").exists()), HERE.parent)
    sys.stderr.write(f"error: clickreel is not installed for {sys.executable}\nhint: make -C {root} up\n")
    sys.exit(3)


try:
    from clickreel.cli.app import main
    from clickreel.cli.output import print_err, print_error
    from clickreel.cli.target_options import profile
    from clickreel.errors import ClickreelError
except ModuleNotFoundError:
    use_the_repository_environment()


def target(arguments: list[str]) -> list[str]:
    """The option that names the cluster: none where one is given, or where the stack of this machine is meant."""
    if any(argument.split("=")[0] == "--profile" for argument in arguments):
        return []
    if PROPERTIES.exists():
        return ["--profile", str(PROPERTIES)]
    try:
        profile(None)
    except ClickreelError:
        print_error(
            f"there is no {PROPERTIES.name} beside {HERE.name}, and no stack on this machine",
            f"cp {PROPERTIES.name}.template {PROPERTIES.name}, and fill it in; or: clickreel up --detach",
        )
        sys.exit(2)
    print_err(f"no {PROPERTIES.name} beside {HERE.name}: streaming to the stack on this machine")
    return []


if __name__ == "__main__":
    main(["produce", *target(sys.argv[1:]), *sys.argv[1:]])
