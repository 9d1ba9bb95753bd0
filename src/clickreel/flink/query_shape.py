"""What a query's plan says about its rows: whether they are final, and when there can be no more of them.

A streaming query over a topic runs for ever, also behind a ``LIMIT``: Flink's limit lets no more rows through, and the job goes on.
Whoever shows the rows must therefore know when they are complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PLAN = re.compile(r"== Optimized Physical Plan ==\n(?P<plan>.*?)(?:\n\n|\Z)", re.DOTALL)
_NODE = re.compile(r"(?P<branch>[ :+|-]*)(?P<name>\w+)\((?P<text>.*)\)\s*\Z", re.DOTALL)
_MODE = re.compile(r"changelogMode=\[(?P<mode>[\w,]*)\]")
_LIMIT = re.compile(r"offset=\[(?P<offset>\d+)\], fetch=\[(?P<fetch>\d+)\]")
_SOURCES = ("TableSourceScan", "DataStreamScan", "LegacyTableSourceScan")


@dataclass(frozen=True)
class QueryShape:
    """What is known of a query before it runs.

    Attributes:
        append_only: Whether each row is final when it comes.
        row_limit: Rows after which no more can come; None when it does not follow from the query.
        limits: What each limit lets in before it is full, where every source stands behind a limit; empty otherwise.
    """

    append_only: bool
    row_limit: int | None = None
    limits: tuple[int, ...] = ()


@dataclass
class _PlanNode:
    """An operator of a plan, with its inputs."""

    name: str
    text: str
    inputs: list[_PlanNode] = field(default_factory=list)


def read_plan(explained: str) -> QueryShape:
    """Read the answer to ``EXPLAIN CHANGELOG_MODE``.

    Args:
        explained: The whole answer.
    """
    root = _tree(explained)
    if root is None:
        return QueryShape(append_only=False)
    mode = _MODE.search(root.text)
    append_only = mode is not None and set(mode["mode"].split(",")) <= {"I", "NONE"}
    limits: list[int] = []
    bounded = _collect_limits(root, limits)
    return QueryShape(append_only, _count(root), tuple(limits) if bounded else ())


def _tree(explained: str) -> _PlanNode | None:
    found = _PLAN.search(explained)
    path: list[tuple[int, _PlanNode]] = []
    root = None
    for line in found["plan"].splitlines() if found else ():
        match = _NODE.match(line)
        if match is None:
            continue
        depth, node = len(match["branch"]), _PlanNode(match["name"], match["text"])
        while path and path[-1][0] >= depth:
            path.pop()
        if path:
            path[-1][1].inputs.append(node)
        elif root is None:
            root = node
        path.append((depth, node))
    return root


def _count(node: _PlanNode) -> int | None:
    """How many rows an operator gives before it gives no more; None when that cannot be known."""
    inputs = [_count(each) for each in node.inputs]
    limit = _LIMIT.search(node.text) if node.name == "Limit" else None
    if limit is not None:
        most, offset = int(limit["fetch"]), int(limit["offset"])
        return most if inputs[0] is None else max(0, min(most, inputs[0] - offset))
    if node.name == "Values":
        return node.text.count("{ ")
    if node.name == "Union":
        return None if None in inputs else sum(count for count in inputs if count is not None)
    if node.name == "Exchange" or (node.name == "Calc" and "where=[" not in node.text):
        return inputs[0]
    return None


def _collect_limits(node: _PlanNode, limits: list[int]) -> bool:
    """Whether every source below stands behind a limit; collects what each of these limits lets in."""
    limit = _LIMIT.search(node.text) if node.name == "Limit" else None
    if limit is not None:
        limits.append(int(limit["offset"]) + int(limit["fetch"]))
        return True
    if node.name.endswith(_SOURCES):
        return False
    bounded = [_collect_limits(each, limits) for each in node.inputs]  # all of them: every limit is collected
    return all(bounded)
