"""Does the stream look like people? Thirteen figures against published ones."""

from clickreel.audit.realism.bands import Band, Evidence, Found, Result, Test
from clickreel.audit.realism.columns import Columns, Timeline, timeline
from clickreel.audit.realism.ledger import Ledger
from clickreel.audit.realism.suite import TESTS, Floor, Report, evidence, judge, score

__all__ = [
    "TESTS",
    "Band",
    "Columns",
    "Evidence",
    "Floor",
    "Found",
    "Ledger",
    "Report",
    "Result",
    "Test",
    "Timeline",
    "evidence",
    "judge",
    "score",
    "timeline",
]
