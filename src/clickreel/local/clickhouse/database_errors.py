"""ClickHouse's exceptions as HTTP sees them: a code, a status, and a text."""

from __future__ import annotations

import enum
import re

_CODE = re.compile(r"Code: (\d+)\.")


class ErrorCode(enum.IntEnum):
    """The exceptions that this front raises itself; all others come out of the engine with their number."""

    UNSUPPORTED_METHOD = 1
    BAD_ARGUMENTS = 36
    CHECKSUM_DOESNT_MATCH = 40
    SYNTAX_ERROR = 62
    UNKNOWN_FORMAT = 73
    UNKNOWN_TYPE_OF_QUERY = 80
    UNKNOWN_COMPRESSION_METHOD = 89
    READONLY = 164
    NETWORK_ERROR = 210
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = 216
    QUERY_IS_TOO_LARGE = 229
    CANNOT_DECOMPRESS = 271
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    INVALID_SESSION_TIMEOUT = 374
    HTTP_LENGTH_REQUIRED = 381
    QUERY_WAS_CANCELLED = 394
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516
    STD_EXCEPTION = 1001


# The server's own table (exceptionCodeToHTTPStatus); a code that is not in it is a 500. Bad text, types and syntax are 400;
# what does not exist is 404.
_CODES_BY_STATUS = {
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 209, 439),
}
_STATUS = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes}


class DatabaseError(Exception):
    """A statement failed.

    Attributes:
        code: ClickHouse's number for it; STD_EXCEPTION when the engine gave none.
        text: The whole message, ``Code: 60. DB::Exception: ... (UNKNOWN_TABLE)``.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = _CODE.search(text)
        self.code = int(found.group(1)) if found else int(ErrorCode.STD_EXCEPTION)
        self.text = text if found else error_text(ErrorCode.STD_EXCEPTION, text)

    @property
    def status(self) -> int:
        """The HTTP status a server answers it with."""
        return _STATUS.get(self.code, 500)

    def body(self, version: str) -> bytes:
        """The message as a server writes it: with its version and a line break."""
        mark = f"(version {version})"
        text = self.text.strip()
        return (text if text.endswith(mark) else f"{text} {mark}").encode("utf-8", "backslashreplace") + b"\n"


def error_text(code: ErrorCode, message: str) -> str:
    """A message of this front in the engine's words."""
    return f"Code: {code.value}. DB::Exception: {message.rstrip('.')}. ({code.name})"


def database_error(code: ErrorCode, message: str) -> DatabaseError:
    """An exception of this front."""
    return DatabaseError(error_text(code, message))
