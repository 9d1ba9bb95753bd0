"""The prompt of ``clickreel sql``: many lines, history, completion; Ctrl-C stops the query, Ctrl-D leaves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from clickreel.cli.output import print_err, print_error
from clickreel.errors import ClickreelError
from clickreel.flink import examples
from clickreel.flink.statement_splitter import is_complete

if TYPE_CHECKING:
    from clickreel.cli.sql_runner import SqlRunner

_KEYWORDS = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "ORDER",
    "LIMIT",
    "JOIN",
    "LEFT",
    "ON",
    "AS",
    "WITH",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "DISTINCT",
    "INSERT",
    "INTO",
    "VALUES",
    "CREATE",
    "TEMPORARY",
    "VIEW",
    "TABLE",
    "DROP",
    "SHOW",
    "TABLES",
    "DESCRIBE",
    "EXPLAIN",
    "SET",
    "RESET",
    "TUMBLE",
    "HOP",
    "SESSION",
    "CUMULATE",
    "DESCRIPTOR",
    "INTERVAL",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "window_start",
    "window_end",
    "MATCH_RECOGNIZE",
    "PARTITION",
    "ROW_NUMBER",
    "OVER",
]
_LEAVE = {"quit", "exit", "\\q", ":q"}
_HELP = """statements end with a semicolon; Ctrl-C stops the one that runs, Ctrl-D leaves
  show tables;  describe dvd_clicks;  explain select ...;  set 'table.exec.state.ttl' = '1 h';
  run NAME      runs an example:"""


class _NameCompleter(Completer):
    """Completes keywords, tables and columns, in the case in which the word was begun."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(set(names))

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See prompt_toolkit."""
        del complete_event
        begun = document.get_word_before_cursor(WORD=False)
        if document.text_before_cursor.endswith("$" + begun):
            begun = "$" + begun
        if not begun:
            return
        small = begun.islower()
        for word in _KEYWORDS:
            if word.lower().startswith(begun.lower()):
                yield Completion(word.lower() if small else word, -len(begun))
        for name in self._names:
            if name.lower().startswith(begun.lower()):
                yield Completion(name, -len(begun), display_meta="topic or column")


def _keys(backslash: bool) -> KeyBindings:
    keys = KeyBindings()

    @Condition
    def whole() -> bool:
        from prompt_toolkit.application import get_app

        text = get_app().current_buffer.text
        return is_complete(text, backslash=backslash) or text.strip().split(" ")[0].lower() in {*_LEAVE, "help", "run"}

    @keys.add("enter", filter=whole)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys


def prompt(runner: SqlRunner, history: Path) -> int:
    """Read statements and run them until the person leaves.

    Args:
        runner: The engine.
        history: File of what was typed before.
    """
    session: PromptSession[str] = PromptSession(
        "sql> ",
        multiline=True,
        prompt_continuation=lambda width, _line, _wrap: " " * (width - 2) + "> "[-2:],
        history=FileHistory(str(history)),
        lexer=PygmentsLexer(SqlLexer),
        completer=_NameCompleter(runner.words()),
        complete_while_typing=False,
        key_bindings=_keys(runner.backslash),
    )
    print_err(("statements end with ; — help says more, Ctrl-D leaves", "dim"))
    while True:
        try:
            typed = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        if typed.rstrip(";").lower() in _LEAVE:
            return 0
        _run(runner, typed)


def _run(runner: SqlRunner, typed: str) -> None:
    bare = typed.rstrip("; ")
    if bare.lower() == "help":
        print_err(_HELP)
        for name in examples.list_examples():
            print_err(f"    {name:<14} {examples.describe_example(name)}")
        return
    try:
        if bare.lower().startswith("run "):
            typed = examples.read_example(bare[4:].strip())
        runner.run(typed)
    except KeyboardInterrupt:
        print_err(("stopped", "dim"))
    except ClickreelError as exc:
        print_error(exc.message, exc.hint)
