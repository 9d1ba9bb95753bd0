"""Runs in an environment of its own, with RecTools in it and without clickreel: fits RecTools' models to a split, scores them by RecTools' own metrics.

``python rectools_script.py FOLDER`` reads ``train.csv`` (session, item), ``given.csv`` (question, item, last) and ``wanted.csv`` (question, item) there, and
writes ``scores.json``. Frameworks are loaded by name, so that this file can be read where they are not.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

DEPTH = 20
FACTORS, ROUNDS, ALS_WEIGHT, ALS_PENALTY = 32, 15, 21.0, 5.0
NEIGHBOURS = 100_000  # all: what is compared is the measure, not where a list is cut


def main(folder: Path) -> None:
    """Fit, ask, score."""
    pandas, dataset = import_module("pandas"), import_module("rectools.dataset")
    train, given, wanted = (pandas.read_csv(folder / f"{name}.csv") for name in ("train", "given", "wanted"))
    once = train.drop_duplicates()
    known = set(once["item_id"])
    given = given[given["item_id"].isin(known)]
    learnt, counted = (dataset.Dataset.construct(_dated(rows, pandas)) for rows in (once, train))
    sessions = given.drop_duplicates(["user_id", "item_id"])
    last = given[given["last"] == 1]
    models = import_module("rectools.models")
    neighbours = import_module("implicit.nearest_neighbours")
    asked = wanted["user_id"].to_numpy()
    lists = {
        "POP": models.PopularModel(popularity="n_interactions")
        .fit(counted)
        .recommend(
            asked,
            _asked(dataset, counted, sessions, pandas),
            DEPTH,
            filter_viewed=False,
            on_unsupported_targets="ignore",
        ),
        "EASE": models.EASEModel(regularization=100.0)
        .fit(learnt)
        .recommend(asked, _asked(dataset, learnt, sessions, pandas), DEPTH, filter_viewed=False),
        "item-kNN": models.ImplicitItemKNNWrapperModel(neighbours.CosineRecommender(K=NEIGHBOURS))
        .fit(learnt)
        .recommend(asked, _asked(dataset, learnt, last, pandas), DEPTH, filter_viewed=True),
        "iALS": _als(learnt, _asked(dataset, learnt, sessions, pandas), asked, pandas),
    }
    metrics = import_module("rectools.metrics")
    measures = {
        "mrr_20": metrics.MRR(k=DEPTH),
        "hit_rate_10": metrics.HitRate(k=10),
        "hit_rate_20": metrics.HitRate(k=DEPTH),
    }
    scores = {name: metrics.calc_metrics(measures, reco=rows, interactions=wanted) for name, rows in lists.items()}
    found = {"framework": f"RecTools {version('rectools')}", "questions": len(asked), "methods": scores}
    (folder / "scores.json").write_text(json.dumps(found, default=float))


def _dated(rows: Any, pandas: Any) -> Any:
    return rows.assign(weight=1.0, datetime=pandas.Timestamp("2026-01-01"))


def _asked(dataset: Any, learnt: Any, rows: Any, pandas: Any) -> Any:
    """A data set whose users are the questions, with the items of what was learnt from."""
    # Somebody who has all items, and is not asked: RecTools makes a matrix as wide as the last item that anybody has.
    everything = pandas.DataFrame({"user_id": -1, "item_id": learnt.item_id_map.external_ids})
    dated = _dated(pandas.concat([rows[["user_id", "item_id"]], everything]), pandas)
    users = dataset.IdMap.from_values(dated["user_id"].to_numpy())
    return dataset.Dataset(users, learnt.item_id_map, dataset.Interactions.from_raw(dated, users, learnt.item_id_map))


def _als(learnt: Any, questions: Any, asked: Any, pandas: Any) -> Any:
    """The iALS of ``implicit``, which RecTools wraps: new sessions are folded in, which the wrapper cannot."""
    als = import_module("implicit.als")
    model = als.AlternatingLeastSquares(
        factors=FACTORS, iterations=ROUNDS, regularization=ALS_PENALTY, random_state=0, use_gpu=False, num_threads=1
    )
    model.fit(learnt.get_user_item_matrix(include_weights=True) * ALS_WEIGHT, show_progress=False)
    users = questions.user_id_map.convert_to_internal(asked)
    rows = (questions.get_user_item_matrix(include_weights=True) * ALS_WEIGHT).tocsr()[users]
    items, score = model.recommend(users, rows, N=DEPTH, filter_already_liked_items=False, recalculate_user=True)
    depth = items.shape[1]
    return pandas.DataFrame(
        {
            "user_id": asked.repeat(depth),
            "item_id": learnt.item_id_map.convert_to_external(items.ravel()),
            "score": score.ravel(),
            "rank": list(range(1, depth + 1)) * len(asked),
        }
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
