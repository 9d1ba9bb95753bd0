"""What no statement may ask of the local Flink: to load code that is not ours, into the process that runs as this user.

Flink takes jars from any address (``pipeline.jars``, ``pipeline.classpaths``, ``ADD JAR``), and Kafka's clients load the classes that their
properties name. Both are found by the tokens of a statement, its hints included.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator

from clickreel.sql_tokens import SqlDialect, SqlToken, tokenize

_OPTIONS = frozenset(
    {"pipeline.jars", "pipeline.classpaths", "user.artifacts.raw-http-headers", "user.artifacts.base-dir"}
)
_OPTION_STARTS = ("classloader.", "env.java.", "plugin.", "containerized.")
# Settings of Kafka's clients whose value is a class to load, or a file to read secrets from.
_KAFKA_CLASSES = re.compile(
    r"properties\..*(\.|^)?(class|classes|reporters|providers|deserializer|serializer|strategy)|properties\.config\.providers.*",
    re.IGNORECASE,
)
_LOGIN_MODULES = re.compile(
    r"\s*org\.apache\.kafka\.common\.security\."
    r"(plain\.PlainLoginModule|scram\.ScramLoginModule|oauthbearer\.OAuthBearerLoginModule)\s+\w+"
    r"""(\s+[\w.]+\s*=\s*("(\\.|[^"\\])*"|'(\\.|[^'\\])*'|[^\s;"']+))*\s*;\s*\Z""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6})|\\)")


def find_forbidden_option(path: str, body: bytes) -> str | None:
    """Say why a request may not reach the gateway, in the gateway's form of an error; ``None`` when it may.

    Args:
        path: The request's path.
        body: Its JSON: a statement, or the properties of a session.
    """
    del path
    if not body:
        return None
    try:
        content = json.loads(body)
    except ValueError:
        return _refusal("the request is not JSON")
    if not isinstance(content, dict):
        return _refusal("the request is not a JSON object")
    texts = [str(key) for key in content.get("properties") or {}] if isinstance(content.get("properties"), dict) else []
    problem = _find_in(texts)
    statement = content.get("statement")
    if problem is None and isinstance(statement, str):
        problem = find_in_statement(statement)
    return None if problem is None else _refusal(problem)


def find_in_statement(sql: str) -> str | None:
    """Say what of a statement is refused; ``None`` when nothing is."""
    tokens = list(_with_hints(sql))
    words = [token.upper for token in tokens]
    for at, word in enumerate(words):
        if word == "JAR" and at and words[at - 1] in ("ADD", "USING", "REMOVE", ","):
            return f"{words[at - 1]} JAR loads code into the local Flink"
        if word == "ARTIFACT" and at and words[at - 1] == "USING":
            return "USING ARTIFACT loads code into the local Flink"
        if word == "UESCAPE":
            return "UESCAPE is not taken by the local Flink"
    literals = [_value(tokens, at) for at, token in enumerate(tokens) if token.kind in ("string", "name")]
    problem = _find_in([*literals, *_spelled(tokens)])
    if problem is not None:
        return problem
    for name, value in itertools.pairwise(literals):
        if name.lower() == "properties.sasl.jaas.config" and not _LOGIN_MODULES.match(value):
            return "properties.sasl.jaas.config names a login module that is not Kafka's"
    return None


def _spelled(tokens: list[SqlToken]) -> list[str]:
    """Names written without quotes, such as ``SET pipeline.jars = ...``: what stands together without a blank."""
    names = [""]
    end = 0
    for token in tokens:
        if token.kind == "word" or token.text in (".", "-"):
            names[-1:] = [names[-1] + token.text] if token.start == end else [names[-1], token.text]
            end = token.end
    return names


def _find_in(names: Iterable[str]) -> str | None:
    for name in names:
        lower = name.strip().lower()
        if lower in _OPTIONS or lower.startswith(_OPTION_STARTS) or _KAFKA_CLASSES.fullmatch(lower):
            return f"{name.strip()} loads code into the local Flink"
    return None


def _with_hints(sql: str) -> Iterator[SqlToken]:
    for token in tokenize(sql, SqlDialect.FLINK):
        if token.kind == "hint":
            yield from tokenize(token.text[3:-2], SqlDialect.FLINK)
        else:
            yield token


def _value(tokens: list[SqlToken], at: int) -> str:
    """The text that a literal or a quoted name writes, escapes of ``U&'...'`` included."""
    quote = tokens[at].text[0]
    text = tokens[at].text[1:-1].replace(quote * 2, quote)
    if at > 1 and tokens[at - 1].text == "&" and tokens[at - 2].upper == "U":
        text = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)) if found[1] or found[2] else "\\", text)
    return text


def _refusal(problem: str) -> str:
    return json.dumps(
        {"errors": ["Refused by clickreel's guard.", f"{problem}; the guard of the local gateway refuses it"]}
    )
