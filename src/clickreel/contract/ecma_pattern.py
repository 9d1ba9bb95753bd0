r"""Patterns of JSON Schema: ECMA-262's regular expressions, matched in bounded time.

``jsonschema-rs`` reads ECMA-262 in its strict (Unicode) form: ``$`` is the end and nothing else, ``\d`` is ten digits, ``.`` is no line
end. Patterns without look-around and back references are matched in linear time, others with at most :data:`BACKTRACK_LIMIT` steps back.

Schemas in the wild hold patterns that only the lenient form allows, as browsers do (ECMA-262, Annex B): a brace that begins no
repetition, ``\_`` or ``\Z`` for the letter itself, ``[\d-x]``. :func:`strict` writes those as the strict form does, so that
``^x{,3}$`` matches the five characters ``x{,3}``, as the standard says, and not three x at most.
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
    r"\\(?:u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|c[A-Za-z]|[pP]\{[^}]*\}|k<[^>]*>|[0-9]+|.)|.", re.DOTALL
)
# What may follow a backslash in the strict form, digits and the longer escapes apart.
_ESCAPES = frozenset("dDsSwWbBtnvfr^$\\.*+?()[]{}|/-")
_CLASSES = re.compile(r"\\[dDsSwWpP]")


def strict(pattern: str) -> str:
    """The pattern as ECMA-262's strict form writes it; what is no pattern in either form comes back as it is."""
    if _compiles(pattern):
        return pattern
    rewritten = _rewrite(pattern)
    return rewritten if _compiles(rewritten) else pattern


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
    groups = len(re.findall(r"(?<!\\)\((?!\?)|\(\?<(?![=!])", pattern))
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
        parts.append(_literal(token[0], groups) if token[0][0] == "\\" else _plain(token[0]))
        place = token.end()
    return "".join(parts)


def _plain(character: str) -> str:
    return f"\\{character}" if character in "{}]" else character


def _literal(escape: str, groups: int) -> str:
    """An escape outside and inside of classes: kept where the strict form has it, else the character that it stands for."""
    rest = escape[1:]
    if rest.isdigit() and rest.isascii():
        if rest == "0" or (rest[0] != "0" and int(rest) <= groups):
            return escape
        octal = re.match(r"[0-3]?[0-7]{1,2}", rest)
        if octal is None:  # \8 and \9 are the digits
            return rest
        return f"\\x{int(octal[0], 8):02x}{rest[octal.end() :]}"
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
        parts.append(_literal(token[0], 0) if token[0][0] == "\\" else f"\\{token[0]}" if token[0] == "[" else token[0])
        place = token.end()
    if place == len(pattern):  # it never ends: no pattern in any form
        return place, pattern[start:]
    if not parts:
        return place + 1, r"[\s\S]" if negated else r"(?!)"
    for index in range(1, len(parts) - 1):  # a dash beside \d is a dash: it spans no range
        if parts[index] == "-" and (_CLASSES.match(parts[index - 1]) or _CLASSES.match(parts[index + 1])):
            parts[index] = r"\-"
    return place + 1, f"[{'^' if negated else ''}{''.join(parts)}]"
