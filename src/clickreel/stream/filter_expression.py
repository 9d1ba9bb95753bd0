"""A small, safe language over the fields of a message: ``event_type == 'view' and position <= 3 or user_id in ('u_1', 'u_2')``.

The syntax is Python's expressions, cut down to comparisons, ``and``, ``or``, ``not``, ``in``, arithmetic and a few functions of texts. It is
parsed by Python's own parser and run over the tree: no name that is not a field, no attribute, no call of anything else.

A field that a message does not have is ``None``; a comparison that makes no sense for a message's values (a text below a number)
is false for that message, as in SQL.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable
from typing import Any, Protocol

from clickreel.errors import UsageError


class Message(Protocol):
    """What a filter asks: a mapping of fields, or a :class:`~clickreel.stream.record_view.RecordView`."""

    def get(self, name: str, /) -> Any:
        """The value under a name; None where the message has none."""


Predicate = Callable[[Message], bool]

# What can be asked of a message beside the fields of its value.
RECORD_FIELDS = ("partition", "offset", "timestamp", "key", "value", "valid")
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "startswith": (2, str.startswith),
    "endswith": (2, str.endswith),
    "contains": (2, lambda text, part: part in text),
    "lower": (1, str.lower),
    "length": (1, len),
}
_LITERALS = {"true": True, "false": False, "null": None}
_SENSELESS = (TypeError, ValueError, AttributeError, ArithmeticError)
_LENGTH_MAX = 2_000
_DEPTH_MAX = 50
_HINT = "write it as: event_type == 'view' and position <= 3"


def compile_filter(text: str, fields: tuple[str, ...]) -> Predicate:
    """Compile an expression.

    Args:
        text: The expression.
        fields: The value's fields by name; :data:`RECORD_FIELDS` are known too.

    Returns:
        A function that tells whether a message (field by name) is wanted.

    Raises:
        UsageError: The expression is none, or holds something that is not allowed; the message says what.
    """
    if len(text) > _LENGTH_MAX:
        raise UsageError(f"--where is {len(text):,} characters long", hint=f"allowed: {_LENGTH_MAX:,}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        said = getattr(exc, "msg", None) or str(exc)
        raise UsageError(f"--where {text!r} is no expression: {said}", hint=_HINT) from None
    node = _compiled(tree.body, frozenset(fields) | frozenset(RECORD_FIELDS), 0)

    def wanted(message: Message) -> bool:
        try:
            return bool(node(message))
        except _SENSELESS:
            return False

    return wanted


_Node = Callable[[Message], Any]
_Inner = Callable[[ast.expr], _Node]


def _compiled(node: ast.expr, names: frozenset[str], depth: int) -> _Node:
    """The function that evaluates a node."""
    if depth > _DEPTH_MAX:
        raise UsageError("--where is nested too deeply", hint=f"allowed: {_DEPTH_MAX} levels")

    def inner(child: ast.expr) -> _Node:
        return _compiled(child, names, depth + 1)

    if isinstance(node, ast.Name):
        return _name(node.id, names)
    for form in (_constant, _logic, _arithmetic, _comparison, _collection, _call):
        found = form(node, inner)
        if found is not None:
            return found
    raise UsageError(
        f"--where: {ast.unparse(node)!r} is not allowed",
        hint=f"allowed: fields, texts, numbers, comparisons, and, or, not, in, + - %, {', '.join(_FUNCTIONS)}()",
    )


def _constant(node: ast.expr, _inner: _Inner) -> _Node | None:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str | int | float | bool | None):
        return None
    value = node.value
    return lambda _: value


def _logic(node: ast.expr, inner: _Inner) -> _Node | None:
    if isinstance(node, ast.BoolOp):
        parts = [inner(value) for value in node.values]
        combine = all if isinstance(node.op, ast.And) else any
        return lambda m: combine(_soft(part, m) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        part = inner(node.operand)
        return lambda m: not _soft(part, m)
    return None


def _arithmetic(node: ast.expr, inner: _Inner) -> _Node | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        part = inner(node.operand)
        return lambda m: -part(m)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        function, left, right = _ARITHMETIC[type(node.op)], inner(node.left), inner(node.right)
        return lambda m: function(left(m), right(m))
    return None


def _comparison(node: ast.expr, inner: _Inner) -> _Node | None:
    if not isinstance(node, ast.Compare) or not all(type(op) in _COMPARE for op in node.ops):
        return None
    parts = [inner(part) for part in (node.left, *node.comparators)]
    functions = [_COMPARE[type(op)] for op in node.ops]

    def compare(message: Message) -> bool:
        values = [part(message) for part in parts]
        return all(f(a, b) for f, a, b in zip(functions, values, values[1:], strict=False))

    return compare


def _collection(node: ast.expr, inner: _Inner) -> _Node | None:
    if not isinstance(node, ast.Tuple | ast.List | ast.Set):
        return None
    parts = [inner(element) for element in node.elts]
    return lambda m: tuple(part(m) for part in parts)


def _call(node: ast.expr, inner: _Inner) -> _Node | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        return None
    if node.func.id not in _FUNCTIONS:
        return None
    wanted, function = _FUNCTIONS[node.func.id]
    if len(node.args) != wanted:
        raise UsageError(f"--where: {node.func.id}() takes {wanted} values, not {len(node.args)}", hint=_HINT)
    parts = [inner(argument) for argument in node.args]
    return lambda m: function(*(part(m) for part in parts))


def _name(name: str, names: frozenset[str]) -> _Node:
    if name in names:
        return lambda m: m.get(name)
    if name.lower() in _LITERALS:
        literal = _LITERALS[name.lower()]
        return lambda _: literal
    near = difflib.get_close_matches(name, sorted(names), n=1)
    raise UsageError(
        f"--where: there is no field {name!r}" + (f", did you mean {near[0]!r}?" if near else ""),
        hint=f"fields: {', '.join(sorted(names))}; a text stands in quotes: '{name}'",
    )


def _soft(part: _Node, message: Message) -> Any:
    """The value of a part; a comparison without sense is false there and does not spoil the whole."""
    try:
        return part(message)
    except _SENSELESS:
        return False
