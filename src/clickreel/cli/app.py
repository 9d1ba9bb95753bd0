"""The command ``clickreel``: what all its commands share, and how errors leave it."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import exceptions as typer_exceptions

from clickreel import log_setup
from clickreel.cli.command_index import CommandIndex
from clickreel.cli.output import print_error, tolerate_encodings
from clickreel.errors import ClickreelError, MissingError, UsageError

app = typer.Typer(
    name="clickreel",
    cls=CommandIndex,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _version(wanted: bool) -> None:
    if wanted:
        from clickreel import __version__

        typer.echo(f"clickreel {__version__}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder for the local stack's data and state.", envvar="CLICKREEL_HOME"),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            help="Lowest level to log: debug, info, warning, error. [default: warning; info in the log of a service]",
            envvar="CLICKREEL_LOG_LEVEL",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format",
            help="text, or json for one object per line. [default: text]",
            envvar="CLICKREEL_LOG_FORMAT",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.", envvar="CLICKREEL_DEBUG")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Stream a DVD platform's clicks to Kafka, watch them, land them exactly once, and prove it.

    Example: `clickreel up`, then `clickreel messages --follow`.
    """
    del version
    # All of these are process-wide: the processes that we start take them from the environment.
    if home is not None:
        os.environ["CLICKREEL_HOME"] = str(home.expanduser().absolute())
    if debug:
        os.environ["CLICKREEL_DEBUG"] = "1"
    for name, value in (("CLICKREEL_LOG_LEVEL", log_level), ("CLICKREEL_LOG_FORMAT", log_format)):
        if value is not None:
            os.environ[name] = value.lower()
    log_setup.configure()


def _unread() -> int:
    """The reader of our stdout (`| head`) has left, which is no fault; the interpreter's flush at exit shall be quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _explain_missing_module(missing: ModuleNotFoundError) -> int:
    """Say which extra brings the module; a module of no extra is a fault of ours and keeps its traceback."""
    from clickreel.cli.extras import explain_missing_module

    if (explained := explain_missing_module(missing)) is None:
        raise missing
    print_error(explained.message, explained.hint)
    return explained.exit_code


def _explain_usage(refused: typer_exceptions.TyperException) -> int:
    """Print what the parser has to say; a group called without a command has printed its help already."""
    context = getattr(refused, "ctx", None)
    text = refused.format_message() if hasattr(refused, "format_message") else str(refused)
    if text:
        where = context.command_path if context else "clickreel"
        said = text[:1].lower() + text[1:].rstrip(".").replace("\n", " ")
        print_error(said, f"{where} {_meant_option(context, said)}")
    return refused.exit_code


def _meant_option(context: typer.Context | None, said: str) -> str:
    """The option that a stray word was meant for: other tools for Kafka take the topic without one."""
    word = re.fullmatch(r"got unexpected extra argument(?:\(s\))? \(([a-zA-Z0-9._-]+)\)", said)
    takes_topic = context is not None and any("--topic" in one.opts for one in context.command.params)
    return f"--topic {word[1]}" if word and takes_topic else "--help"


# What a path that somebody named can be refused for.
_PATH_ERRORS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip


def _os_error(exc: OSError) -> int:
    """The exit code of what the system can refuse to anybody: a reader that has left, a disk that is full, a path."""
    if isinstance(exc, BrokenPipeError):
        return _unread()
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        print_error(
            f"no disk space left for {exc.filename or 'what was to be written'}", "free some space, then try again"
        )
        return MissingError.exit_code
    if exc.errno not in _PATH_ERRORS or not isinstance(exc.filename, str):
        raise exc
    print_error(
        f"{exc.filename}: {exc.strerror}", "name another path, or make its folder and give yourself the right to it"
    )
    return UsageError.exit_code


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code (see :mod:`clickreel.errors`)."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are printed as two lines."""
    tolerate_encodings()
    try:
        result: Any = app(arguments, standalone_mode=False)
    except KeyboardInterrupt:
        return 130
    except typer_exceptions.Abort:
        return 130
    except typer_exceptions.TyperException as exc:
        return _explain_usage(exc)
    except ClickreelError as exc:
        if os.environ.get("CLICKREEL_DEBUG"):
            traceback.print_exc()
        print_error(exc.message, exc.hint)
        return exc.exit_code
    except ModuleNotFoundError as exc:
        return _explain_missing_module(exc)
    except OSError as exc:
        return _os_error(exc)
    except SystemExit as exc:  # typer's own answer to a broken pipe: it leaves with 1
        if isinstance(exc.__context__, BrokenPipeError):
            return _unread()
        raise
    return result if isinstance(result, int) else 0
