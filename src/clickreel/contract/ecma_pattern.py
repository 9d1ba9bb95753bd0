r"""Patterns of JSON Schema: ECMA-262's regular expressions, matched in bounded time.

``jsonschema-rs`` reads ECMA-262 in its strict (Unicode) form: ``$`` is the end and nothing else, ``\d`` is ten digits, ``.`` is no line
end. Patterns without look-around and back references are matched in linear time, others with at most :data:`BACKTRACK_LIMIT` steps back.

Schemas in the wild hold patterns that only the lenient form allows, as browsers do (ECMA-262, Annex B): a brace that begins no
repetition, ``\_`` or ``\Z`` for the letter itself, ``[\d-x]``. :func:`strict` writes those as the strict form does, so that
``^x{,3}$`` matches the five characters ``x{,3}``, as the standard says, and not three x at most. It also spells out ``\d``, ``\w``,
``\s``, ``\b`` and ``.`` where a pattern looks around or back: there the library takes Unicode's digits and letters.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import jsonschema_rs

BACKTRACK_LIMIT = 100_000
"""Steps back that one match may take: 10 ms, where a pattern like ``^(a+)+\\1$`` would take years. A match that needs more is none."""

OPTIONS = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK_LIMIT)

_QUANTIFIER = re.compile(r"\{[0-9]+(?:,[0-9]*)?\}")
_TOKEN = re.compile(
    r"\\(?:u\{[0-9A-Fa-f]+\}|u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|c[A-Za-z]|[pP]\{[^}]*\}|k<[^>]*>|[0-9]+|.)|.",
    re.DOTALL,
)
# What may follow a backslash in the strict form, digits and the longer escapes apart.
_ESCAPES = frozenset("dDsSwWbBtnvfr^$\\.*+?()[]{}|/-")
_CLASSES = re.compile(r"\\[dDsSwWpP]")
# What the library reads otherwise as soon as a pattern looks around or back: Unicode's digits, letters and edges of words, and dots
# that take a carriage return. Inside of a class and outside of one.
_WORD, _SPACE = "0-9A-Z_a-z", r"\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE = (
    r"\x00-\x08\x0e-\x1f!-\u009f\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff\u3001-\ufefe"
    r"\uff00-\u{10ffff}"
)
_IN_CLASS = {
    r"\d": "0-9",
    r"\D": r"\x00-\/:-\u{10ffff}",
    r"\w": _WORD,
    r"\W": r"\x00-\/:-@\[-\^`\{-\u{10ffff}",
    r"\s": _SPACE,
    r"\S": _NO_SPACE,
    r"\b": r"\x08",
    r"\B": "B",
}
_OUTSIDE = {escape: f"[{members}]" for escape, members in _IN_CLASS.items()} | {
    r"\b": f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))",
    r"\B": f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))",
    ".": r"[^\n\r\u2028\u2029]",
}
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9bBk]")
_WRITTEN: dict[str, str] = {}
_WRITTEN_MAX = 1000
_GROUP = re.compile(r"\((?!\?)|\(\?<(?![=!])([^>]*)>")


def strict(pattern: str) -> str:
    """The pattern as ECMA-262's strict form writes it; what is no pattern in either form comes back as it is."""
    if pattern in _WRITTEN or (_compiles(pattern) and not _LOOKS_AROUND.search(pattern)):
        return pattern
    rewritten = _rewrite(pattern)
    if not _compiles(rewritten):
        return pattern
    if len(_WRITTEN) >= _WRITTEN_MAX:
        _WRITTEN.clear()
    _WRITTEN[rewritten] = pattern
    return rewritten


def as_written(pattern: str) -> str:
    """What somebody wrote of whom :func:`strict` has made this."""
    return _WRITTEN.get(pattern, pattern)


@functools.lru_cache(256)
def matcher(pattern: str) -> Callable[[str], bool] | None:
    """A function that says whether a text holds a match; None when the pattern is none."""
    try:
        validator = jsonschema_rs.Draft7Validator({"pattern": strict(pattern)}, pattern_options=OPTIONS, offline=True)
    except ValueError:
        return None
    return validator.is_valid


def _compiles(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft7Validator({"pattern": pattern}, pattern_options=OPTIONS, offline=True)
    except ValueError:
        return False
    return True


def _rewrite(pattern: str) -> str:
    groups = _groups(pattern)
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        if pattern[place] == "[":
            end, text = _rewrite_class(pattern, place)
            parts.append(text)
            place = end
            continue
        quantifier = _QUANTIFIER.match(pattern, place)
        if quantifier and parts:
            parts.append(quantifier[0])
            place = quantifier.end()
            continue
        token = _TOKEN.match(pattern, place)
        assert token is not None
        parts.append(_OUTSIDE.get(token[0]) or _literal(token[0], groups))
        place = token.end()
    return "".join(parts)


def _groups(pattern: str) -> list[str]:
    """The names of the groups that capture, in order; empty for one without a name."""
    found: list[str] = []
    place = 0
    while place < len(pattern):
        group = _GROUP.match(pattern, place)
        if group:
            found.append(group[1] or "")
        token = _TOKEN.match(pattern, place)
        assert token is not None
        place = _rewrite_class(pattern, place)[0] if pattern[place] == "[" else token.end()
    return found


def _literal(escape: str, groups: list[str]) -> str:
    """A character or an escape: kept where the strict form has it, else written as what it stands for."""
    rest = escape[1:]
    if not rest:
        return f"\\{escape}" if escape in "{}]" else escape
    if rest.isdigit() and rest.isascii():
        if rest[0] != "0" and int(rest) <= len(groups):
            return escape
        octal = re.match(r"[0-3]?[0-7]{1,2}", rest)
        if octal is None:  # \8 and \9 are the digits
            return rest
        return f"\\x{int(octal[0], 8):02x}{rest[octal.end() :]}"
    if rest.startswith("k<") and any(groups):
        return rf"(?:\{groups.index(rest[2:-1]) + 1})" if rest[2:-1] in groups else escape
    if rest.startswith("k<"):  # without a named group it is text
        return rest
    if len(rest) == 2 and rest[0] == "c":  # a control character
        return f"\\x{ord(rest[1]) % 32:02x}"
    if "\\u" in rest:  # two halves of one character
        return f"\\u{{{0x10000 + ((int(rest[1:5], 16) & 0x3FF) << 10) + (int(rest[7:], 16) & 0x3FF):x}}}"
    if len(rest) > 1 or rest in _ESCAPES:
        return escape
    return r"\\c" if rest == "c" else f"\\{rest}" if rest in _ESCAPES else rest


def _rewrite_class(pattern: str, start: int) -> tuple[int, str]:
    """A class ``[...]`` and where it ends; an empty one matches nothing, its negation everything."""
    negated = pattern.startswith("[^", start)
    place = start + 1 + negated
    parts: list[str] = []
    while place < len(pattern) and pattern[place] != "]":
        token = _TOKEN.match(pattern, place)
        assert token is not None
        parts.append(token[0])
        place = token.end()
    if place == len(pattern):  # it never ends: no pattern in any form
        return place, pattern[start:]
    if not parts:
        return place + 1, r"[\x00-\u{10ffff}]" if negated else r"[^\x00-\u{10ffff}]"
    for index in range(1, len(parts) - 1):  # a dash beside \d is a dash: it spans no range
        if parts[index] == "-" and (_CLASSES.match(parts[index - 1]) or _CLASSES.match(parts[index + 1])):
            parts[index] = r"\-"
    members = (
        _IN_CLASS.get(part) or (part if part == "\\-" else f"\\{part}" if part in "[{}" else _literal(part, []))
        for part in parts
    )
    return place + 1, f"[{'^' if negated else ''}{''.join(members)}]"
