"""The home: the one folder that holds a local stack's data, logs, ports and records of what runs.

::

    <home>/
      lock            held while something is started or stopped
      ports.json      the port of each part, remembered so that addresses survive down and up
      run.json        the options of the run that `up` streams, so that the next `up` resumes it
      parts/*.json    one record for each process that was started
      logs/*.log      what each part wrote
      data/<part>/    what each part keeps
      work/           scratch of the parts; emptied at every start

Two homes share nothing but the cache of jars, so two stacks run side by side.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.errors import MissingError, UnreachableError, UsageError
from clickreel.json_files import read_json, write_json


@dataclass(frozen=True)
class Home:
    """A folder of a local stack.

    Args:
        path: The folder; it is made on first use and readable by its owner alone.
    """

    path: Path

    @classmethod
    def default(cls) -> Home:
        """The home named by ``CLICKREEL_HOME``, else the platform's folder for a user's data."""
        named = os.environ.get("CLICKREEL_HOME")
        if named:
            return cls(Path(named).expanduser().absolute())
        import platformdirs

        return cls(platformdirs.user_data_path("clickreel"))

    def make(self) -> None:
        """Make the folder and its inner folders.

        Raises:
            UsageError: Its path holds a character that the parts' own settings use to separate things.
            MissingError: The folder cannot be made or written.
        """
        bad = [char for char in ",;:\n" if char in str(self.path)]
        if bad:
            raise UsageError(
                f"the home {str(self.path)!r} holds {bad[0]!r}, at which Kafka or the registry would cut it",
                hint="set CLICKREEL_HOME to a folder without , ; :",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for inner in (self.parts, self.logs, self.path / "data", self.path / "work"):
                inner.mkdir(exist_ok=True, mode=0o700)
        except OSError as exc:
            raise MissingError(
                f"cannot write the home {self.path}: {exc.strerror or exc}",
                hint="set CLICKREEL_HOME to a folder that you may write",
            ) from exc

    @property
    def parts(self) -> Path:
        """Folder of the records of what was started."""
        return self.path / "parts"

    @property
    def logs(self) -> Path:
        """Folder of the log files."""
        return self.path / "logs"

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return self.logs / f"{part}.log"

    def record(self, part: str) -> Path:
        """The record of a part's process."""
        return self.parts / f"{part}.json"

    def data(self, part: str) -> Path:
        """The folder that a part keeps over down and up; made when absent."""
        return _made(self.path / "data" / part)

    def work(self, part: str) -> Path:
        """A folder of a part for what need not survive; made when absent."""
        return _made(self.path / "work" / part)

    @property
    def token_file(self) -> Path:
        """The file of :meth:`token`, for processes that read it themselves."""
        return self.path / "token"

    def token(self) -> str:
        """The secret of this home, made at first use; every local HTTP service admits those who send it and nobody else.

        Our own clients take it from ``profile(home)``: user ``default`` of ClickHouse, user ``clickreel`` of the registry and of Flink's
        gateway, this token as the password of each.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path / f".token.{os.getpid()}.{threading.get_ident()}"
        if not self.token_file.exists():
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(16))
            try:
                os.link(temporary, self.token_file)  # unlike a rename this keeps the token of whoever was first
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return self.token_file.read_text(encoding="ascii").strip()

    def read(self, name: str) -> dict[str, Any]:
        """Read one of the home's JSON files; empty when it is absent or unreadable."""
        return read_json(self.path / name)

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Replace one of the home's JSON files in one step."""
        write_json(self.path / name, value)

    @contextlib.contextmanager
    def locked(self, *, wait_s: float = 120.0) -> Iterator[None]:
        """Hold the home's lock: one process at a time starts or stops parts.

        Args:
            wait_s: How long another holder is waited for; a first start with its downloads can be long.

        Raises:
            UnreachableError: Another process still holds it after that time.
        """
        self.make()
        deadline = time.monotonic() + wait_s
        with (self.path / "lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise UnreachableError(
                            f"another clickreel is starting or stopping parts in {self.path}",
                            hint="wait for it, then try again",
                        ) from None
                    time.sleep(0.1)
            yield


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
