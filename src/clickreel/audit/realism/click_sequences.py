"""R15, R23 and R24's floor: what the sequence of clicks in a session looks like, item and time alone."""

from __future__ import annotations

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.click_log import ClickLog, longest_gap_s, own_pace, successive_correlation
from clickreel.audit.realism.session_recommenders import NextItemTask, drift_curve, scores

_RSC15 = "RSC15 (Hidasi et al.; one log)"


def drift(evidence: Evidence) -> Measurement:
    """R15: does an interest fade from click to click, and does it pay to know that?"""
    task = NextItemTask.from_log(ClickLog.from_timeline(evidence.timeline))
    if task is None:
        return Measurement({}, "fewer than 50 next films to foretell: not measured")
    curve = drift_curve(task)
    reached = scores(task, ("SKNN", "V-SkNN", "VSTAN"))
    values = {
        "hit@20 lag 1 / lag 6": ratio(curve[0], curve[-1]),
        "VSTAN / SKNN MRR@20": ratio(reached["VSTAN"], reached["SKNN"]),
    }
    ranks = ", ".join(f"{name} {value:.3f}" for name, value in reached.items())
    return Measurement(values, f"hit@20 at lag 1 to 6: {' '.join(f'{hit:.2f}' for hit in curve)}; MRR@20: {ranks}")


def gaps(evidence: Evidence) -> Measurement:
    """R23: gaps between clicks, and clicks that repeat a film."""
    log = ClickLog.from_timeline(evidence.timeline)
    values = {
        "successive gaps": successive_correlation(log),
        "own pace": own_pace(log),
        "longest gap p95 (s)": longest_gap_s(log, 95),
        "repeats": float(log.repeats.mean()) if len(log) else float("nan"),
    }
    return Measurement(values, "detail views of sessions with two; logarithms of seconds")


TESTS = (
    RealismTest(
        "R15",
        "drift",
        (Band("hit@20 lag 1 / lag 6", 1.6, 6.0), Band("VSTAN / SKNN MRR@20", 1.0)),
        f"{_RSC15} .51 .37 .33 .27 .25 .22; Ludewig, Jannach, UMUAI 2018; Garg et al., SIGIR 2019",
        drift,
    ),
    RealismTest(
        "R23",
        "gaps",
        (
            Band("successive gaps", 0.12, 0.26),
            Band("own pace", 0.5, 0.9),
            Band("longest gap p95 (s)", 800, 1700),
            Band("repeats", 0.12, 0.26),
        ),
        f"{_RSC15}: .19, .70, 1,177 s, .26",
        gaps,
    ),
)
