"""What went wrong in Flink, in words: Java's chains of exceptions read once, here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.flink.contract_sql import REFUSED

_CAUSE = re.compile(r"^(?:Caused by: )?(?P<type>(?:[a-z_][\w$]*\.){2,}[A-Z][\w$]*)(?:: (?P<text>.*))?$")
_NOISE = re.compile(
    r"^\s+(?:at |\.\.\. \d+ (?:more|common))|^End of exception on server side>|^<Exception on server side:"
)
_FROM_TO = re.compile(
    r"From line (?P<line>\d+), column (?P<column>\d+) to line (?P<line2>\d+), column (?P<column2>\d+): (?P<text>.*)",
    re.DOTALL,
)
_AT = re.compile(r"(?P<text>.*?) ?at line (?P<line>\d+), column (?P<column>\d+)\.?(?P<rest>.*)", re.DOTALL)
_ENCOUNTERED = re.compile(r'Encountered "(?P<token>.*?)"', re.DOTALL)
_EXPECTED = re.compile(r'^\s*"([A-Z_]+)" \.\.\.', re.MULTILINE)
_SHOWN = 8
_WRONG = {"ValidationException", "TableException", "CatalogException", "TableNotExistException"}


_RECORD = re.compile(r"Failed to deserialize JSON '(?P<text>.*)'\.?\Z", re.DOTALL)
_TRY = {
    "NumberFormatException": "TRY_CAST gives NULL where CAST fails",
    "DateTimeException": "TRY_CAST gives NULL where CAST fails",
}
# What the planner refuses, and the way round it.
_WAYS = (
    (
        "Sort on a non-time-attribute",
        "a stream has no end to sort at: add LIMIT n, and the first n are kept up to date",
    ),
    ("time attribute", "use `$rowtime`, the time attribute of every topic"),
    ("timecol", "use `$rowtime`, the time attribute of every topic"),
    (
        "consuming update",
        "the target takes no changes: give it PRIMARY KEY (...) NOT ENFORCED, or aggregate in windows",
    ),
)


class FlinkError(ClickreelError):
    """Flink could not carry out a statement.

    Args:
        message: What happened.
        hint: What fixes it.
        trace: The Java exceptions, for ``--debug``.
    """

    def __init__(self, message: str, *, hint: str = "", trace: str = "") -> None:
        super().__init__(message, hint=hint)
        self.trace = trace


class SqlError(FlinkError, UsageError):
    """The SQL is wrong.

    Args:
        message: What is wrong.
        line: Where it is wrong, from 1; 0 when Flink does not say.
        column: Where in the line, from 1.
        token: The offending token as written, or empty; ``expected`` then holds the words that could stand there.
        hint: What fixes it.
        trace: The Java exceptions, for ``--debug``.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, line: int = 0, column: int = 0, token: str = "", hint: str = "", trace: str = ""
    ) -> None:
        super().__init__(message, hint=hint, trace=trace)
        self.line, self.column, self.token = line, column, token
        self.expected: tuple[str, ...] = ()


class UnreadableError(FlinkError):
    """A record could not be read as its table's format says, and the statement ended.

    Args:
        text: The record, as far as Flink shows it.
        field: The field at fault, or empty.
        trace: The Java exceptions.
    """

    exit_code = 5

    def __init__(self, text: str, field: str, trace: str) -> None:
        what = f"field {field}" if field else "the whole of it"
        super().__init__(f"a record could not be read ({what}): {text[:200]}", trace=trace)
        self.text, self.field = text, field


class RefusedRecordError(FlinkError):
    """A record breaks the contract, and the statement ended.

    Args:
        partition: Its partition.
        offset: Its offset.
        trace: The Java exceptions.
    """

    exit_code = 5

    def __init__(self, partition: int, offset: int, trace: str) -> None:
        super().__init__(f"the record at partition {partition}, offset {offset} breaks the contract", trace=trace)
        self.partition, self.offset = partition, offset


class KafkaAwayError(FlinkError, UnreachableError):
    """Flink's own clients cannot reach or enter Kafka."""

    exit_code = 4


@dataclass(frozen=True)
class Cause:
    """One exception of a chain.

    Attributes:
        type: Its class without the package.
        text: Its message, lines included.
    """

    type: str
    text: str


def parse_causes(trace: str) -> list[Cause]:
    """The exceptions of a Java trace, outermost first, frames left out."""
    found: list[tuple[str, list[str]]] = []
    for line in trace.splitlines():
        if _NOISE.match(line):
            continue
        match = _CAUSE.match(line)
        if match:
            found.append((match["type"].rpartition(".")[2], [match["text"] or ""]))
        elif found:
            found[-1][1].append(line)
    return [Cause(kind, "\n".join(lines).strip()) for kind, lines in found]


def explain_trace(trace: str) -> FlinkError:
    """Turn a Java trace into an error with words, place and hint."""
    chain = parse_causes(trace)
    for rule in _RULES:
        error = rule(chain, trace)
        if error is not None:
            return error
    # The innermost exception is the reason; those around it say only which call failed.
    last = next((cause for cause in reversed(chain) if cause.text), None)
    if last is None:
        return FlinkError(_line(trace) or "Flink gave no reason", hint="clickreel logs flink", trace=trace)
    return FlinkError(_lowered(_line(last.text)), hint="clickreel --debug sql ... shows Flink's own trace", trace=trace)


def _parsed(chain: list[Cause], trace: str) -> FlinkError | None:
    """The parser did not understand."""
    cause = next(
        (c for c in reversed(chain) if c.type in {"SqlParserException", "SqlParserEOFException", "SqlParseException"}),
        None,
    )
    if cause is None:
        return None
    text = cause.text.removeprefix("SQL parse failed. ")
    token = _ENCOUNTERED.search(text)
    at = _AT.match(text)
    if token is None or at is None:
        return _placed(text, trace) or SqlError(_lowered(_line(text)), trace=trace)
    said = token["token"].replace("<EOF>", "").strip()
    wanted = sorted(set(_EXPECTED.findall(at["rest"])) | ({"end of the statement"} if "<EOF>" in at["rest"] else set()))
    shown = ", ".join(wanted[:_SHOWN]) + (", ..." if len(wanted) > _SHOWN else "")
    error = SqlError(
        f"did not expect {said!r}" if said else "the statement ends too early",
        line=int(at["line"]),
        column=int(at["column"]),
        token=said,
        hint=f"expected one of: {shown}" if shown else "look at the word before it",
        trace=trace,
    )
    error.expected = tuple(wanted)
    return error


def _validated(chain: list[Cause], trace: str) -> FlinkError | None:
    """The parser understood, but a name, type or function does not exist or does not fit."""
    for cause in reversed(chain):
        if cause.type in {"CalciteContextException", "ValidationException"}:
            placed = _placed(cause.text.removeprefix("SQL validation failed. "), trace)
            if placed is not None:
                return placed
    wrong = next((cause for cause in reversed(chain) if cause.type in _WRONG), None)
    if wrong is None:
        return None
    way = next((way for said, way in _WAYS if said in wrong.text), "")
    return SqlError(
        _lowered(_line(wrong.text.removeprefix("SQL validation failed. "))),
        hint=way or _lines_hint(wrong.text),
        trace=trace,
    )


def _placed(text: str, trace: str) -> SqlError | None:
    found = _FROM_TO.match(text)
    if found is None:
        before = re.match(r"At line (\d+), column (\d+): (.*)", text, re.DOTALL)
        if before is not None:
            quoted = re.search(r"'([^']+)'", before[3])
            return SqlError(
                _lowered(_line(before[3])),
                line=int(before[1]),
                column=int(before[2]),
                token=quoted[1] if quoted else "",
                trace=trace,
            )
        at = _AT.match(text)
        if at is None:
            return None
        return SqlError(_lowered(_line(at["text"])), line=int(at["line"]), column=int(at["column"]), trace=trace)
    quoted = re.search(r"'([^']+)'", found["text"])
    return SqlError(
        _lowered(_line(found["text"])),
        line=int(found["line"]),
        column=int(found["column"]),
        token=quoted[1] if quoted else "",
        trace=trace,
    )


def _refused(_chain: list[Cause], trace: str) -> FlinkError | None:
    """A record that the contract refuses, in a statement that ends at such a record."""
    found = REFUSED.search(trace)
    return RefusedRecordError(int(found["partition"]), int(found["offset"]), trace) if found else None


def _unreadable(chain: list[Cause], trace: str) -> FlinkError | None:
    """A record that the table's format cannot read, or one at which the query itself failed."""
    found = next((match for cause in chain if (match := _RECORD.match(cause.text))), None)
    if found is None:
        return None
    if any(cause.type == "ExceptionInChainedOperatorException" for cause in chain):
        # The query is chained to the source, so its failures come dressed as failures to read the record they happened at.
        why = _lowered(_line(chain[-1].text)) or chain[-1].type
        return FlinkError(f"{why}, at the record {found['text'][:200]}", hint=_TRY.get(chain[-1].type, ""), trace=trace)
    field = re.search(r"deserialize at field: (\w+)", chain[-1].text)
    return UnreadableError(found["text"], field[1] if field else "", trace)


def _kafka(chain: list[Cause], trace: str) -> FlinkError | None:
    types = {cause.type: cause for cause in chain}
    if "UnknownTopicOrPartitionException" in types:
        return FlinkError("the topic does not exist", hint="clickreel topic create", trace=trace)
    for kind in (
        "SaslAuthenticationException",
        "TopicAuthorizationException",
        "GroupAuthorizationException",
        "SslAuthenticationException",
    ):
        if kind in types:
            return KafkaAwayError(
                f"Kafka refuses Flink's login: {_lowered(_line(types[kind].text))}",
                hint="check the profile's credentials",
                trace=trace,
            )
    timed = next(
        (
            c
            for c in chain
            if c.type in {"TimeoutException", "KafkaException"}
            and re.search("node assignment|topic metadata|listTopics|describeTopics", c.text)
        ),
        None,
    )
    if timed is not None:
        return KafkaAwayError(
            "Flink cannot reach Kafka", hint="clickreel status, or check bootstrap.servers of the profile", trace=trace
        )
    return None


def _resources(chain: list[Cause], trace: str) -> FlinkError | None:
    if any(cause.type == "NoResourceAvailableException" for cause in chain):
        return FlinkError(
            "no slot is free: too many statements run",
            hint="clickreel statement list, then clickreel statement stop NAME",
            trace=trace,
        )
    if any(cause.type == "OutOfMemoryError" for cause in chain):
        return FlinkError(
            "Flink ran out of memory in this statement",
            hint="a smaller window or a WHERE needs less; more memory: CLICKREEL_LOCAL_FLINK_HEAP_MB=2048, then clickreel down and up",
            trace=trace,
        )
    return None


# The first that knows the chain wins; a job's failure is looked at before validation, because a failing record's trace can hold both.
_RULES = (_refused, _unreadable, _kafka, _resources, _parsed, _validated)


def _line(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split()).rstrip(".")[:300]


def _lowered(text: str) -> str:
    """Lower the first letter of a sentence, but not of a name such as ``JSON``."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _lines_hint(text: str) -> str:
    """What Flink lists after an error of a connector: the names it would have taken."""
    listed = re.search(r"Available factory identifiers are:\s+(.*)", text, re.DOTALL) or re.search(
        r"Supported options:\s+(.*)", text, re.DOTALL
    )
    return f"one of: {', '.join(listed[1].split())}"[:300] if listed else ""
