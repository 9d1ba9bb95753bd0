"""Why a service ended, in words where the reason is known."""

from __future__ import annotations

from pathlib import Path

from clickreel.errors import ClickreelError, ContractError, MissingError, UnreachableError, UsageError
from clickreel.local import child, java
from clickreel.local.jars import describe_disk
from clickreel.local.log_lines import parse_line

_KINDS = (ClickreelError, UsageError, MissingError, UnreachableError, ContractError)
# What a shell and our shim say of a program that could not be run at all.
NOT_RUN = 127


def explain_exit(name: str, log: Path, code: int, *, runs_in_java: bool) -> ClickreelError:
    """Turn an exit code and a log into an error.

    Args:
        name: The service.
        log: Its log file.
        code: Its exit code.
        runs_in_java: Whether Java itself may be at fault.
    """
    lines = child.tail(log, 200)
    text = "\n".join(lines)
    if runs_in_java and (code == NOT_RUN or "Error occurred during initialization of VM" in text or not text.strip()):
        try:
            java.version()
        except MissingError as exc:
            return exc
    if "Address already in use" in text or "BindException" in text or "address already in use" in text:
        return MissingError(
            f"a port of {name} was taken by another program while it started",
            hint="clickreel up (it takes another port)",
        )
    if "No space left on device" in text:
        return MissingError(
            f"no disk space left for {name} on {describe_disk(log.parent)}", hint="free some space, then: clickreel up"
        )
    own = _own_error(lines, code, log)
    if own is not None:
        return own
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
    how = f"by signal {code - 128}" if code > 128 else f"with code {code}"
    return UnreachableError(f"{name} ended {how}: {last[:200]}", hint=f"clickreel logs {name}")


def _own_error(lines: list[str], code: int, log: Path) -> ClickreelError | None:
    """A service that is clickreel itself has logged its error with a hint, and chosen the exit code."""
    kinds: dict[int, type[ClickreelError]] = {kind.exit_code: kind for kind in _KINDS}
    if code not in kinds:
        return None
    for line in reversed(lines):
        entry = parse_line(line)
        if entry.level == "ERROR" and entry.logger == "clickreel.cli":
            return kinds[code](entry.message, hint=entry.fields.get("hint") or f"read its log: {log}")
    return None
