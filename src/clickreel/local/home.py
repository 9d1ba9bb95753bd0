"""The home: the one folder that holds a local stack's data, logs, ports and records of what runs.

::

    <home>/
      lock              held while something is started or stopped; says by whom
      token             the secret that every local HTTP service asks for
      supervisor.*      the supervisor: its lock, its socket, who it is
      ports.json        the port of each service, remembered so that addresses survive down and up
      run.json          the options of the run that `up` streams, so that the next `up` resumes it
      services/*.json   one record for each service that is supervised
      logs/*.log        what each service wrote
      data/<service>/   what each service keeps
      work/<service>/   scratch of a service, and its heartbeat

Two homes share nothing but the cache of jars, so two stacks run side by side.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.errors import MissingError, UnreachableError, UsageError
from clickreel.json_files import read_json, write_json
from clickreel.process import Process, own_beginning

# The homes whose lock this process holds: a lock that is asked for twice on the way down must not wait for itself.
_HELD: set[Path] = set()
_DOWN_FILE = "down.json"
# How long another holder of the lock is waited for: a first start with its downloads can be long.
_LOCK_WAIT_S = 900.0
# 104 bytes on macOS, 108 on Linux, the closing zero included.
_SOCKET_PATH_BYTES = 100


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
            UsageError: Its path holds a character that the services' own settings use to separate things.
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
            for inner in (self.services, self.logs, self.path / "data", self.path / "work"):
                inner.mkdir(exist_ok=True, mode=0o700)
        except OSError as exc:
            raise MissingError(
                f"cannot write the home {self.path}: {exc.strerror or exc}",
                hint="set CLICKREEL_HOME to a folder that you may write",
            ) from exc

    @property
    def services(self) -> Path:
        """Folder of the records of what is supervised."""
        return self.path / "services"

    @property
    def logs(self) -> Path:
        """Folder of the log files."""
        return self.path / "logs"

    def log(self, service: str) -> Path:
        """The log file of a service."""
        return self.logs / f"{service}.log"

    def record(self, service: str) -> Path:
        """The record of a service."""
        return self.services / f"{service}.json"

    def data(self, service: str) -> Path:
        """The folder that a service keeps over down and up; made when absent."""
        return _ensure_folder(self.path / "data" / service)

    def work(self, service: str) -> Path:
        """A folder of a service for what need not survive; made when absent."""
        return _ensure_folder(self.path / "work" / service)

    def heartbeat(self, service: str) -> Path:
        """The file of a service's heartbeats (:mod:`clickreel.heartbeat`)."""
        return self.work(service) / "heartbeat.json"

    @property
    def socket(self) -> Path:
        """The socket at which the supervisor takes requests."""
        inside = self.path / "supervisor.sock"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_BYTES:
            return inside
        # The system bounds a socket's path; a folder that only its owner can open keeps strangers out there too.
        named = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"clickreel-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
            raise MissingError(f"{folder} belongs to somebody else", hint="set CLICKREEL_HOME to a shorter path")
        return folder / f"{named}.sock"

    @property
    def token_file(self) -> Path:
        """The file of :meth:`token`, for processes that read it themselves."""
        return self.path / "token"

    def token(self) -> str:
        """The secret of this home, made at first use; every local HTTP service admits those who send it and nobody else.

        Our own clients take it from ``profile(home)``: user ``default`` of ClickHouse, user ``clickreel`` of the registry and of Flink's
        gateway, this token as the password of each.
        """
        if not self.token_file.exists():
            temporary = self._write_secret(secrets.token_hex(16))
            with contextlib.suppress(FileExistsError):
                self.token_file.hardlink_to(temporary)  # unlike a rename this keeps the token of whoever was first
            temporary.unlink()
        return self.token_file.read_text(encoding="utf-8")

    def set_token(self, token: str) -> None:
        """Replace the home's token by a password of the user's own."""
        self._write_secret(token).replace(self.token_file)

    def _write_secret(self, text: str) -> Path:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path / f".token.{os.getpid()}.{threading.get_ident()}"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return temporary

    def login(self) -> str:
        """``user:password`` for the registry and Flink's gateway of this home."""
        return f"clickreel:{self.token()}"

    def read(self, name: str) -> dict[str, Any]:
        """Read one of the home's JSON files; empty when it is absent or unreadable."""
        return read_json(self.path / name)

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Replace one of the home's JSON files in one step."""
        write_json(self.path / name, value)

    @contextlib.contextmanager
    def locked(self, doing: str = "up", *, wait_s: float = _LOCK_WAIT_S, reentrant: bool = False) -> Iterator[None]:
        """Hold the home's lock: one process at a time starts or stops services.

        Args:
            doing: What the holder does, for those who wait: ``up`` or ``down``.
            wait_s: How long another holder is waited for.
            reentrant: Go on at once when this process holds it already.

        Raises:
            UnreachableError: Another process still holds it after that time.
        """
        if reentrant and self.path in _HELD:
            yield
            return
        self.make()
        deadline = time.monotonic() + wait_s
        with (self.path / "lock").open("a+") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        holder = self.lock_holder()
                        raise UnreachableError(
                            f"another clickreel is starting or stopping services in {self.path}"
                            + (f" (process {holder[1].pid})" if holder else ""),
                            hint="wait for it, or end it with: clickreel down",
                        ) from None
                    time.sleep(0.1)
            own = Process.from_pid(os.getpid())
            assert own is not None
            self.write("lock.json", {"doing": doing, "pid": own.pid, "start_time": own.start_time})
            _HELD.add(self.path)
            try:
                yield
            finally:
                _HELD.discard(self.path)
                (self.path / "lock.json").unlink(missing_ok=True)

    def note_down(self) -> None:
        """Leave word that this process ends the stack, for an ``up`` that was typed before it and is not as far as the lock."""
        clock, began = own_beginning()
        self.write(_DOWN_FILE, {"clock": clock, "began": began})

    def was_ended_since_beginning(self) -> bool:
        """Whether a ``down`` was typed after this process began; said once, so that a clock set back does no harm for long."""
        (clock, began), down = own_beginning(), self.read(_DOWN_FILE)
        if down.get("clock") != clock or not 0 < float(down.get("began") or 0) - began < _LOCK_WAIT_S:
            return False
        (self.path / _DOWN_FILE).unlink(missing_ok=True)
        return True

    def lock_holder(self) -> tuple[str, Process] | None:
        """What the process that holds the lock is doing, and that process; ``None`` when nobody holds it."""
        held = self.read("lock.json")
        process = Process(int(held.get("pid") or 0), str(held.get("start_time") or ""))
        return (str(held.get("doing")), process) if process.alive() else None


def _ensure_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
