"""Why a part ended while it started, in words where the reason is known."""

from __future__ import annotations

from pathlib import Path

from clickreel.errors import ClickreelError, ContractError, MissingError, UnreachableError, UsageError
from clickreel.local import child, java

_KINDS = (ClickreelError, UsageError, MissingError, UnreachableError, ContractError)
# What a shell and our shim say of a program that could not be run at all.
NOT_RUN = 127


def explained(name: str, log: Path, code: int, *, runs_in_java: bool) -> ClickreelError:
    """Turn an exit code and a log into an error.

    Args:
        name: The part.
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
        return MissingError(f"no disk space left for {name}", hint="free some space, then: clickreel up")
    ours = _said_by_ourselves(lines, code, log)
    if ours is not None:
        return ours
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
    return UnreachableError(
        f"{name} ended with code {code} while it started: {said[:200]}", hint=f"read its log: {log}"
    )


def _said_by_ourselves(lines: list[str], code: int, log: Path) -> ClickreelError | None:
    """A part that is clickreel itself has said it in two lines, and chosen the exit code."""
    at = max((number for number, line in enumerate(lines) if line.startswith("error: ")), default=-1)
    kinds: dict[int, type[ClickreelError]] = {kind.exit_code: kind for kind in _KINDS}
    if at < 0 or code not in kinds:
        return None
    after = lines[at + 1] if at + 1 < len(lines) else ""
    hint = after.removeprefix("hint: ") if after.startswith("hint: ") else f"read its log: {log}"
    return kinds[code](lines[at].removeprefix("error: "), hint=hint)
