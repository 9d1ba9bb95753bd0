"""The same split given to RecTools, in an environment of its own, and its figures beside ours: a check that ours are not ours alone.

Shared are POP, item-kNN by the cosine of the last item, EASE, and iALS by ``implicit``, which RecTools wraps. POP and item-kNN agree to the third digit. EASE
differs for a reason: RecTools 0.19 multiplies a session by the transposed matrix of weights, so each vote is divided by the wrong item's diagonal; ours
transposed reaches what RecTools reaches. iALS is drawn at random and has one penalty in ``implicit``, where ours grows with what a row holds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from clickreel.errors import MissingError
from clickreel.insight.recommenders import rectools_script
from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, NextItemSplit, SessionSoFar
from clickreel.insight.recommenders.item_pairs import CoVisitation
from clickreel.insight.recommenders.matrix_models import Ease, ImplicitAls
from clickreel.insight.recommenders.popular_items import Popularity
from clickreel.insight.recommenders.protocol import F64, Recommender

REQUIREMENT = "rectools==0.19.0"
AGREE = 0.02
_MINUTES_MAX = 15


class CosineNeighbours(CoVisitation):
    """Item-kNN by the cosine: sessions shared over the root of the sessions of both."""

    name = "item-kNN"

    def fit(self, clicks: ClickSessions) -> Self:
        """Count sessions that share two items, and those of each."""
        super().fit(clicks)
        visits = np.unique(clicks.session * max(1, clicks.items) + clicks.item)
        self.visits = np.bincount(visits % max(1, clicks.items), minlength=clicks.items)
        return self

    def score(self, session: SessionSoFar) -> F64:
        """The root of the last item's own sessions is the same for all."""
        last = int(session.opened[-1])
        second, shared = self.pairs.row(last)
        score = np.zeros(self.items)
        score[second] = shared / np.sqrt(self.visits[second])
        score[last] = 0.0
        return score


class TransposedEase(Ease):
    """EASE as RecTools applies it."""

    name = "EASE transposed"

    def fit(self, clicks: ClickSessions) -> Self:
        """See :class:`Ease`."""
        super().fit(clicks)
        self.weights = self.weights.T.copy()
        return self


@dataclass(frozen=True)
class Judgement:
    """A measure by both.

    Attributes:
        method: The method.
        measure: ``mrr_20``, ``hit_rate_10`` or ``hit_rate_20``.
        ours: Our figure.
        theirs: The framework's.
        reason: Why they are further apart than :data:`AGREE`, where that is known.
    """

    method: str
    measure: str
    ours: float
    theirs: float
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """Whether both are within :data:`AGREE` of each other."""
        return abs(self.ours - self.theirs) <= AGREE * max(self.ours, self.theirs)


@dataclass(frozen=True)
class JudgedSplit:
    """What both reached on one split.

    Attributes:
        framework: Name and version.
        questions: Questions asked: those whose last item was learnt.
        judgements: All measures.
    """

    framework: str
    questions: int
    judgements: tuple[Judgement, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        found = dataclasses.asdict(self)
        found["judgements"] = [{**dataclasses.asdict(one), "agrees": one.agrees} for one in self.judgements]
        return found


# Ours, what the framework calls it, and why they may differ.
_METHODS: tuple[tuple[Callable[[], Recommender], str, str], ...] = (
    (Popularity, "POP", ""),
    (CosineNeighbours, "item-kNN", ""),
    (Ease, "EASE", "RecTools multiplies by the transposed weights"),
    (TransposedEase, "EASE", ""),
    (ImplicitAls, "iALS", "implicit has one penalty for all rows; vectors are drawn at random"),
)


def judge(
    split: NextItemSplit, folder: Path, ranks_of: Callable[[NextItemSplit, Recommender], tuple[I64, int]]
) -> JudgedSplit:
    """Ask the framework and ours the same questions.

    Args:
        split: The split; questions whose last item was not learnt are left out, for the framework refuses them.
        folder: Where the framework's environment is made at first use.
        ranks_of: How our methods are ranked.

    Raises:
        MissingError: The environment cannot be made.
    """
    split = dataclasses.replace(split, asked=split.asked[np.isin(split.clicks.item[split.asked], split.train.item)])
    theirs = _ask(split, _environment(folder))
    judgements = []
    for make, name, reason in _METHODS:
        method = make()
        ranks = ranks_of(split, method)[0]
        ours = {
            "mrr_20": float(np.where(ranks <= rectools_script.DEPTH, 1.0 / ranks, 0.0).mean()),
            "hit_rate_10": float((ranks <= 10).mean()),
            "hit_rate_20": float((ranks <= rectools_script.DEPTH).mean()),
        }
        for measure, value in ours.items():
            one = Judgement(method.name, measure, value, float(theirs["methods"][name][measure]))
            judgements.append(one if one.agrees else dataclasses.replace(one, reason=reason))
    return JudgedSplit(theirs["framework"], len(split.asked), tuple(judgements))


def _environment(folder: Path) -> Path:
    """The Python of the framework's environment, which is made where it is not."""
    home = folder / REQUIREMENT.replace("==", "-")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = home / "complete"
    if done.exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    if uv := shutil.which("uv"):
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "--quiet", "--python", str(python), REQUIREMENT],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", REQUIREMENT],
        ]
    for step in steps:
        _run(step, "the environment of the judge could not be made")
    done.touch()
    return python


def _ask(split: NextItemSplit, python: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write(folder / "train.csv", "user_id,item_id", np.stack([split.train.session, split.train.item], axis=1))
        given = [split.given(question).opened for question in range(len(split.asked))]
        size = np.array([len(items) for items in given])
        question = np.repeat(np.arange(len(given)), size)
        is_last = np.zeros(len(question), np.int64)
        is_last[np.cumsum(size) - 1] = 1
        rows = np.stack([question, np.concatenate(given), is_last], axis=1)
        _write(folder / "given.csv", "user_id,item_id,last", rows)
        _write(folder / "wanted.csv", "user_id,item_id", np.stack([np.arange(len(split.asked)), split.wanted], axis=1))
        _run([str(python), str(Path(rectools_script.__file__)), place], "the judge stopped")
        found: dict[str, Any] = json.loads((folder / "scores.json").read_text())
        return found


def _write(path: Path, names: str, rows: I64) -> None:
    np.savetxt(path, rows, "%d", ",", header=names, comments="")


def _run(command: list[str], what: str) -> None:
    """Run a step; its last line of trouble is told."""
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_MINUTES_MAX * 60, env=alone
        )
    except subprocess.TimeoutExpired as exc:
        raise MissingError(
            f"{what}: not done in {_MINUTES_MAX} minutes", hint="try again, or leave out --judge"
        ) from exc
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no word of why"]
        raise MissingError(f"{what}: {lines[-1]}", hint="pip must reach a package index; or leave out --judge")
