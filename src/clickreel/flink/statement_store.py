"""The statements of one folder: what runs, what ran, and how to stop it, kept in files that outlive the command that started it.

::

    <folder>/
      statements/NAME.json   one a statement
      used                   its time is the last use of the gateway
      history                what was typed at the prompt

A query belongs to the process that prints its rows and ends with it; an ``INSERT INTO`` belongs to nobody and runs until it is stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickreel.errors import UsageError
from clickreel.json_files import read_json, write_json
from clickreel.process import Process

RUNNING, FINISHED, STOPPED, FAILED, LOST = "RUNNING", "FINISHED", "STOPPED", "FAILED", "LOST"
# How many statements that ended are remembered; the list is for people.
REMEMBERED = 50
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


@dataclass(frozen=True)
class StatementRecord:
    """A statement.

    Attributes:
        name: Its name, unique in the folder.
        sql: Its text.
        kind: ``query`` or ``insert``.
        state: ``RUNNING``, ``FINISHED``, ``STOPPED``, ``FAILED``, or ``LOST`` (the gateway that ran it is gone).
        gateway: Address of the gateway that runs it.
        session: Handle of its session.
        operation: Handle of its operation.
        job: Id of its Flink job, or empty while it is not known.
        owner_pid: Process that prints its rows; 0 for an insert.
        owner_start_time: That process's start_time.
        started: Seconds since 1970.
        ended: Seconds since 1970, 0 while it runs.
        rows: Rows it has given so far.
        error: Why it failed, or empty.
    """

    name: str
    sql: str
    kind: str
    state: str = RUNNING
    gateway: str = ""
    session: str = ""
    operation: str = ""
    job: str = ""
    owner_pid: int = 0
    owner_start_time: str = ""
    started: float = 0.0
    ended: float = 0.0
    rows: int = 0
    error: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it was running when last heard of."""
        return self.state == RUNNING

    @property
    def is_orphaned(self) -> bool:
        """Whether it is a running query whose process is gone."""
        return self.is_running and self.owner_pid != 0 and not Process(self.owner_pid, self.owner_start_time).alive()


class StatementStore:
    """The statements that a folder remembers.

    Args:
        folder: The folder; it is made when absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._entries = self.folder / "statements"
        self._entries.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def history(self) -> Path:
        """Where the prompt keeps what was typed."""
        return self.folder / "history"

    def begin(self, sql: str, kind: str, *, name: str = "", gateway: str = "", session: str = "") -> StatementRecord:
        """Record a statement that is about to run.

        Args:
            sql: Its text.
            kind: ``query`` or ``insert``.
            name: A name wanted for it; by default one is made of its kind and a number.
            gateway: Address of the gateway.
            session: Handle of the session.

        Raises:
            UsageError: The name is taken by a statement that runs, or cannot be a name.
        """
        if name and not _NAME.match(name):
            raise UsageError(
                f"{name!r} cannot be the name of a statement", hint="lower-case letters, digits, - and _, 63 at most"
            )
        owner = Process.from_pid(os.getpid()) if kind == "query" else None
        entry = StatementRecord(
            name,
            sql,
            kind,
            gateway=gateway,
            session=session,
            started=time.time(),
            owner_pid=owner.pid if owner else 0,
            owner_start_time=owner.start_time if owner else "",
        )
        self.touch()
        if name:
            known = self.get(name)
            if known is not None and known.is_running and not known.is_orphaned:
                raise UsageError(f"a statement named {name} runs already", hint=f"clickreel statement stop {name}")
            self.save(entry)
            return entry
        return self._numbered(entry)

    def _numbered(self, entry: StatementRecord) -> StatementRecord:
        number = 1
        while True:
            named = dataclasses.replace(entry, name=f"{entry.kind}-{number}")
            # Made exclusively: two commands that start at once must not take one name.
            try:
                descriptor = os.open(self._path(named.name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                number += 1
                continue
            os.close(descriptor)
            self.save(named)
            return named

    def save(self, entry: StatementRecord) -> None:
        """Write a statement's record."""
        write_json(self._path(entry.name), dataclasses.asdict(entry))

    def update(self, name: str, **changes: object) -> StatementRecord | None:
        """Change fields of a statement's record; None when it is not known any more."""
        entry = self.get(name)
        if entry is None:
            return None
        changed = dataclasses.replace(entry, **changes)  # type: ignore[arg-type]
        self.save(changed)
        return changed

    def end(self, name: str, state: str, *, rows: int | None = None, error: str = "") -> StatementRecord | None:
        """Record that a statement ended; the first reason given is kept."""
        entry = self.get(name)
        if entry is None or not entry.is_running:
            return entry
        ended = dataclasses.replace(
            entry, state=state, ended=time.time(), rows=entry.rows if rows is None else rows, error=error
        )
        self.save(ended)
        self.touch()
        return ended

    def get(self, name: str) -> StatementRecord | None:
        """A statement by its name, or None."""
        return _read(self._path(name)) if _NAME.match(name) else None

    def named(self, name: str) -> StatementRecord:
        """A statement by its name.

        Raises:
            UsageError: There is none.
        """
        entry = self.get(name)
        if entry is None:
            raise UsageError(f"there is no statement {name}", hint="clickreel statement list")
        return entry

    def __iter__(self) -> Iterator[StatementRecord]:
        """All statements, those that began last first."""
        found = [entry for path in self._entries.glob("*.json") if (entry := _read(path))]
        return iter(sorted(found, key=lambda entry: -entry.started))

    def running(self) -> list[StatementRecord]:
        """The statements that run as far as is known."""
        return [entry for entry in self if entry.is_running]

    def tidy(self) -> None:
        """Forget the oldest of those that ended, and files that a crash left behind."""
        for entry in [entry for entry in self if not entry.is_running][REMEMBERED:]:
            self._path(entry.name).unlink(missing_ok=True)
        for path in self._entries.iterdir():
            # An empty record is one that is just being made; an old one was never filled.
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > 60 and _read(path) is None:
                    path.unlink()

    def touch(self) -> None:
        """Say that the gateway is in use now."""
        (self.folder / "used").touch()

    def idle_s(self) -> float:
        """Seconds since the gateway was last used."""
        try:
            return time.time() - (self.folder / "used").stat().st_mtime
        except OSError:
            return 0.0

    def _path(self, name: str) -> Path:
        return self._entries / f"{name}.json"


def _read(path: Path) -> StatementRecord | None:
    try:
        return StatementRecord(**read_json(path))
    except TypeError:
        return None
