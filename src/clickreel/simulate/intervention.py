"""One thing changed in a world, all else equal: another ranker, a film placed higher, a burst, an outage.

Every draw of a world is a hash of its address, so the same people come at the same times and look with the same eyes: what differs between the world and the
changed world is the effect, person by person. In a log of the changed world alone nobody can know it; here it is known (the potential
outcomes of Rubin, J. Educ. Psych. 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

from clickreel import timespec
from clickreel.errors import UsageError

FORMS = "ranker=0.5, place=FILM,RANK, burst=FILM,TIME,PEAK or outage=TIME,HOURS"


@dataclass(frozen=True, slots=True)
class Intervention:
    """What is changed.

    Attributes:
        kind: ``ranker``, ``place``, ``burst`` or ``outage``; empty for nothing.
        film_id: The film that is placed or bursts; 0 for none.
        value: Correlation of the ranker, rank of the film, peak of the burst (share of the lists), or hours of the outage.
        start_ms: When the burst or the outage begins.
    """

    kind: str = ""
    film_id: int = 0
    value: float = 0.0
    start_ms: int = 0

    @property
    def end_ms(self) -> int:
        """When an outage is over."""
        return self.start_ms + round(self.value * 3_600_000)


# Parts of each form after the equals sign, with the bounds of its value.
_PARTS = {
    "ranker": ("value",),
    "place": ("film", "value"),
    "burst": ("film", "time", "value"),
    "outage": ("time", "value"),
}
_BOUNDS = {"ranker": (0.0, 1.0), "place": (1.0, 20.0), "burst": (0.0, 0.8), "outage": (0.0, 72.0)}


def parse_change(text: str) -> Intervention:
    """Read ``ranker=0.5``, ``place=12,1``, ``burst=12,2026-01-10T20:00,0.3`` or ``outage=2026-01-10T20:00,2``.

    Raises:
        UsageError: It is none of these.
    """
    if not text:
        return Intervention()
    kind, _, rest = text.partition("=")
    parts = rest.split(",")
    if kind not in _PARTS or len(parts) != len(_PARTS[kind]):
        raise UsageError(f"--change is {text!r}", hint=f"give {FORMS}")
    given = dict(zip(_PARTS[kind], parts, strict=True))
    low, high = _BOUNDS[kind]
    try:
        value, film = float(given["value"]), int(given.get("film", "0"))
    except ValueError as exc:
        raise UsageError(f"--change is {text!r}", hint=f"give {FORMS}") from exc
    if not low <= value <= high or (kind == "place" and value != int(value)):
        raise UsageError(f"--change {kind} has {given['value']}", hint=f"allowed: from {low:g} to {high:g}")
    start_ms = timespec.instant_ms(given["time"], 0, "--change") if "time" in given else 0
    return Intervention(kind, film, value, start_ms)
