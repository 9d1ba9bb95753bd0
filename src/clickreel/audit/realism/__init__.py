"""Does the stream look like people? 24 tests against published figures."""

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismResult, RealismTest
from clickreel.audit.realism.columns import Columns, EventTable, timeline
from clickreel.audit.realism.ledger_reader import Ledger
from clickreel.audit.realism.suite import TESTS, MinimumSize, Scorecard, evidence, judge, score

__all__ = [
    "TESTS",
    "Band",
    "Columns",
    "EventTable",
    "Evidence",
    "Ledger",
    "Measurement",
    "MinimumSize",
    "RealismResult",
    "RealismTest",
    "Scorecard",
    "evidence",
    "judge",
    "score",
    "timeline",
]
