"""Text that others wrote (messages, schemas, servers, users), made safe to show.

A record may hold escape sequences that move a terminal's cursor, retitle its window or paste a command, marks that reverse the order
of what is read, or bytes that are no text at all. :func:`printable` shows them as escapes; every command prints foreign text through it
(:mod:`clickreel.cli.output` does so for all that it prints). Data itself, in tables, files and JSON, is never changed by it.
"""

from __future__ import annotations

import re

# Control characters (C0, delete, C1), marks that change the direction of text or cannot be seen, line and paragraph separators,
# surrogates without their other half, and tags. Joiners (U+200C, U+200D) stay: languages and emoji need them.
_UNSAFE = r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
_UNSAFE_IN_LINE = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_TEXT = re.compile(f"[{_UNSAFE}]".replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))
# JSON escapes C0 by itself.
_UNSAFE_IN_JSON = re.compile(f"[{_UNSAFE}]".replace(r"\x00-\x1f", ""))
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str | bytes, limit: int | None = None, *, lines: bool = False) -> str:
    r"""Foreign text as it may stand on a terminal or in a page: one line, every control character escaped.

    Args:
        text: The text, or bytes that should be UTF-8; those that are not are shown as ``\xff``.
        limit: At most so many characters; what is cut ends in ``...``.
        lines: Keep line feeds and tabs: for text that is meant to have more than one line.

    Returns:
        The text with controls as ``\x1b``, ``\u202e`` and the like. A backslash of the text itself stays as it is.
    """
    # Four bytes a character at most: a value of a megabyte need not be decoded to show its beginning.
    if limit is not None:
        text = text[: 4 * limit + 4] if isinstance(text, bytes) else text[: limit + 1]
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    if not (shown.isascii() and shown.isprintable()):
        shown = (_UNSAFE_IN_TEXT if lines else _UNSAFE_IN_LINE).sub(_escape, shown)
    return shown if limit is None or len(shown) <= limit else f"{shown[:limit]}..."


def printable_json(text: str, *, ascii_only: bool = False) -> str:
    r"""JSON with every character that a terminal might obey written as ``\uXXXX``: the same document to whoever parses it.

    Args:
        text: A JSON text, or lines of them.
        ascii_only: Escape every other character beyond ASCII too, for an output that cannot carry it.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return (_NOT_ASCII if ascii_only else _UNSAFE_IN_JSON).sub(_escape_json, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _escape_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
