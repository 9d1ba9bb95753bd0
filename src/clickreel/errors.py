"""Everything clickreel raises on purpose.

::

    ClickreelError           1   it failed; the message says what, the hint what to do
      UsageError             2   the caller asked for something impossible: change the call
      MissingError           3   something is missing on this machine: install or fetch it
      UnreachableError       4   a service does not answer: start it, or wait and try again (retryable)
      ContractError          5   data or a schema breaks the contract: fix the data or evolve the contract
      VerificationError      6   a proof failed: look at the report

The number is the exit code of the command line. A class exists only where a caller would do something else next.
Errors of other libraries are translated once, at the border of the module that calls them, with ``raise ... from exc``.
"""

from __future__ import annotations


class ClickreelError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What happened, with the value at fault and what is allowed. One line, no full stop, lower case.
        hint: The command or change that fixes it. One line. Empty only when nothing can be done.
    """

    exit_code: int = 1
    retryable: bool = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def kind(self) -> str:
        """What metrics count it as: ``unreachable`` for an :class:`UnreachableError`; ``other`` where no class of its own says more."""
        return "other" if type(self) is ClickreelError else type(self).__name__.removesuffix("Error").lower()


class UsageError(ClickreelError):
    """The caller asked for something impossible; the same call will never work."""

    exit_code = 2


class MissingError(ClickreelError):
    """Something is missing on this machine: Java, a jar, disk space, a port."""

    exit_code = 3


class UnreachableError(ClickreelError):
    """A service does not answer or does not let us in; the same call may work later."""

    exit_code = 4
    retryable = True


class ContractError(ClickreelError):
    """Data, a schema or a topic does not agree with what was contracted."""

    exit_code = 5


class VerificationError(ClickreelError):
    """A proof was carried out and failed."""

    exit_code = 6
