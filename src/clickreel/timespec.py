"""Times and spans as people write them: ``14d``, ``90m``, ``2026-01-31``, ``2026-01-31 18:30``, ``now``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from clickreel.errors import UsageError

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_EPOCH_MS_FROM = (
    10**11
)  # a whole number this large is milliseconds since 1970 (1973 on); seconds would be the year 5138
_SPAN_MAX_MS = 36_525 * 86_400_000
_INSTANT_MAX_MS = 253_402_300_799_999
_FORMS = "14d, 36h, 90m (ago), 2026-01-31, 2026-01-31T18:30 (UTC), or now"


def span_ms(text: str, what: str = "the span") -> int:
    """Milliseconds of a span such as ``90m``, ``1.5h`` or ``1d12h``.

    Args:
        text: One or more numbers with a unit: ms, s, m, h, d or w.
        what: What the value is called where it was given, for the message.

    Raises:
        UsageError: The text is no span, or a span of nothing.
    """
    bare = text.strip().lower()
    parts = _SPAN.findall(bare)
    exact = sum(float(number) * _UNITS_MS[unit] for number, unit in parts)
    total = round(min(exact, 2.0 * _SPAN_MAX_MS))
    if not parts or _SPAN.sub("", bare).strip() or total <= 0:
        raise UsageError(
            f"{what} is {text!r}, which is no span of time", hint="write it as 30s, 90m, 36h, 14d, 2w or 1d12h"
        )
    if total > _SPAN_MAX_MS:
        raise UsageError(f"{what} is {text!r}, longer than 100 years", hint="allowed: up to 36525d")
    return total


def instant_ms(text: str, now_ms: int, what: str = "the time") -> int:
    """Milliseconds since 1970 of a time, absolute or as a span before now.

    Args:
        text: A span (``14d`` is fourteen days ago), an ISO 8601 date or time (UTC unless it says otherwise), milliseconds since
            1970, or ``now``.
        now_ms: The present, for the relative forms.
        what: What the value is called where it was given, for the message.

    Raises:
        UsageError: The text is no time.
    """
    bare = text.strip()
    instant = _parsed_instant(bare, text, now_ms, what)
    if not 0 <= instant <= _INSTANT_MAX_MS:
        raise UsageError(f"{what} is {text!r}, outside the years 1970 to 9999", hint=f"write it as {_FORMS}")
    return instant


def _parsed_instant(bare: str, text: str, now_ms: int, what: str) -> int:
    if bare.lower() == "now":
        return now_ms
    if _SPAN.match(bare.lower()) and not _SPAN.sub("", bare.lower()).strip():
        return now_ms - span_ms(bare, what)
    if bare.isdigit() and int(bare) >= _EPOCH_MS_FROM:
        return int(bare)
    try:
        moment = datetime.fromisoformat(bare)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(f"{what} is {text!r}, which is no time", hint=f"write it as {_FORMS}") from None


def format_instant(instant: int) -> str:
    """An instant as people read it: ``2026-01-31 18:30:00.250`` (UTC); one beyond the year 9999 as the number that it is."""
    try:
        moment = datetime.fromtimestamp(instant // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(instant)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{instant % 1000:03d}"


def format_duration(duration_ms: float) -> str:
    """A span as people read it: ``3.2 s``, ``14 min``, ``6.5 h``, ``14 d``."""
    for limit, unit, name in ((120_000, 1_000, "s"), (7_200_000, 60_000, "min"), (172_800_000, 3_600_000, "h")):
        if duration_ms < limit:
            return f"{duration_ms / unit:.3g} {name}"
    return f"{duration_ms / 86_400_000:.3g} d"
