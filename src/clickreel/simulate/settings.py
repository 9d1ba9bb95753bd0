"""The settings of a world: one frozen dataclass, checked when a world is made; and what identifies a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass

from clickreel.errors import UsageError
from clickreel.settings import setting
from clickreel.simulate.delivery_flaws import FlawRates, parse
from clickreel.simulate.intervention import parse_change

# The next number is due whenever the same settings begin to give other events; runs are named after it too.
MODEL_VERSION = 3
USERS_MAX = 20_000_000
# Nothing given: some seven thousand people, each of whom comes more than once a day, so that sessions can be watched. In five minutes
# of messages (600) some seventy sessions are seen, most of them from several events.
MEAN_RATE_DEFAULT = 2.0
USERS_DEFAULT = 7_000


@dataclass(frozen=True)
class WorldSettings:
    """Settings of a simulated world. Together with the catalogue they fix every event.

    How many people there are, and how often they come, follows from what is given:

    * ``rate``: a flat day, evenly spaced; ``mean_rate``: the rhythm of day and week, with this mean. The audience is made to fit;
    * ``users`` with one of the two: so many people, who come as often as the rate needs;
    * ``users`` alone: so many people, ``events_per_user`` a day each;
    * none: ``mean_rate = 2`` and ``users = 7000``.

    A rate alone means ``events_per_user`` a person and day: at its 9.2, 20 events a second are 188,000 people.

    Raises:
        UsageError: Values that cannot go together.
    """

    seed: int = setting(1, "Seed: the same seed and settings give the same events.", minimum=0, maximum=2**63 - 1)
    run: str | None = setting(None, "Name of the run, in every event id; by default made from seed and settings.")
    scenario: str | None = setting(None, "Named scenario whose values stand below flags, environment and project file.")
    users: int | None = setting(
        None, "People on the platform at any time; by default as many as the rate needs.", minimum=1, maximum=USERS_MAX
    )
    films: int = setting(1000, "Invented films in the catalogue.", minimum=1, maximum=100_000)
    films_csv: str | None = setting(
        None, "CSV file with your own films (film_id,film_title), instead of invented ones."
    )
    rate: float | None = setting(
        None, "Events a second, on a flat day and evenly spaced.", minimum=0.001, maximum=1_000_000
    )
    mean_rate: float | None = setting(
        None, "Events a second on the mean, with the rhythm of day and week.", minimum=0.001, maximum=1_000_000
    )
    events_per_user: float = setting(
        9.2,
        "Events a person makes a day, unless people and a rate are both given: 5 M events in 28 days for 20,000 people.",
        minimum=0.01,
        maximum=500.0,
    )
    activity_sigma: float = setting(
        2.4, "Spread of people's lasting activity: sigma of a log-normal; phases come on top of it.",
        minimum=0.0, maximum=2.5,
    )  # fmt: skip
    churn: float = setting(
        0.05,
        "Share of the people who are replaced by new ones in 30 days, before short stays.",
        minimum=0.0,
        maximum=2.0,
    )
    session_cap_min: int = setting(
        180,
        "Nobody browses for much longer than this many minutes without a break.",
        minimum=5,
        maximum=360,
    )
    visits_mean: float = setting(
        2.45, "Mean number of lists a person means to look at when coming.", minimum=1.0, maximum=200.0
    )
    visits_sigma: float = setting(1.45, "Spread of that number: sigma of a log-normal.", minimum=0.0, maximum=2.0)
    click_factor: float = setting(
        1.0, "Scales the probability that a film in a list is opened.", minimum=0.0, maximum=5.0
    )
    dwell_factor: float = setting(1.0, "Scales the time people stay on what they see.", minimum=0.01, maximum=5.0)
    distractions: float = setting(
        0.15, "Share of the pauses between two lists that are distractions: minutes to hours.", minimum=0.0, maximum=0.6
    )
    page_again: float = setting(
        0.22, "Chance that after a film's page it, or one opened before, is opened again.", minimum=0.0, maximum=0.9
    )
    interest_lasts: float = setting(
        0.68,
        "Chance that the next list serves the same interest: the lower, the faster it drifts.",
        minimum=0.0,
        maximum=0.98,
    )
    popularity: float = setting(
        1.0,
        "Scales the exponents by which popularity falls with rank: 0 is none, 2 is steep.",
        minimum=0.0,
        maximum=3.0,
    )
    day_swing: float = setting(
        1.0, "Scales the rhythm of the day, on the logarithm: 0 is flat, 2 doubles it.", minimum=0.0, maximum=2.0
    )
    week_swing: float = setting(
        1.0, "Scales the rhythm of the week, on the logarithm; below 0 weekends are quieter.", minimum=-5.0, maximum=5.0
    )
    time_zone_h: float = setting(0.0, "Hours by which the people's clock is ahead of UTC.", minimum=-12.0, maximum=14.0)
    time_zones: str = setting(
        "0=70%,1=20%,-5=10%", "Where people live: hours ahead of their common clock, and how many of them."
    )
    weather: float = setting(
        0.05,
        "Spread of what makes whole days busy or quiet for everybody: weather, events. 0 is none.",
        minimum=0.0,
        maximum=0.5,
    )
    weekly: bool = setting(True, "Whether weekends are busier.")
    holidays: bool = setting(False, "Whether year's end, New Year and 1 May are busier days.")
    growth: float = setting(
        0.0, "Growth of the traffic per year (0.2 is 20 %), around 2026-01-01.", minimum=-0.9, maximum=5.0
    )
    evening_factor: float = setting(
        1.0, "Scales Friday evenings (18-24 h, the people's clock).", minimum=1.0, maximum=20.0
    )
    ranker: float = setting(
        0.9, "Correlation of the ranker's order with true taste: 1 is perfect, 0 is noise.", minimum=0.0, maximum=1.0
    )
    random_lists: float = setting(
        0.03, "Share of the lists shown in random order, for unbiased evaluation.", minimum=0.0, maximum=1.0
    )
    bursts_per_week: float = setting(
        6.0, "Films that go viral per week, most of them in a small way.", minimum=0.0, maximum=50.0
    )
    burst_peak: float = setting(
        0.4, "Share of the lists that the largest of them are in, at their peak.", minimum=0.0, maximum=0.8
    )
    small_bursts: float = setting(0.75, "Share of the bursts that stay small.", minimum=0.0, maximum=1.0)
    launches_per_week: float = setting(2.0, "Films that enter the catalogue late, per week.", minimum=0.0, maximum=20.0)
    removals_per_week: float = setting(0.25, "Films that leave the catalogue, per week.", minimum=0.0, maximum=20.0)
    bots: float = setting(0.03, "Share of the events that bots make, about.", minimum=0.0, maximum=0.9)
    monsters: float = setting(
        0.0, "Share of the sessions that go on and on (100 lists and more).", minimum=0.0, maximum=1.0
    )
    round_the_clock: bool = setting(False, "Whether people come all day long, session after session (tiny worlds).")
    change: str = setting(
        "", "One thing changed, all else equal: ranker=0.5, place=FILM,RANK, burst=FILM,TIME,PEAK, outage=TIME,HOURS."
    )
    flaws: str = setting(
        "", "Deliberate defects, as late=2%,late_batch=1%,out_of_order=1%,duplicate=0.5%,malformed=0.1%."
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot go together."""
        if self.rate is not None and self.mean_rate is not None:
            raise UsageError(
                f"both --rate {self.rate:g} and --mean-rate {self.mean_rate:g}",
                hint="--rate is a flat day, --mean-rate keeps the rhythm of day and week: give one of them",
            )
        for name in ("rate", "mean_rate"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"--{name.replace('_', '-')} is {value:g}", hint="allowed: a number above 0")
        if self.run is not None and not self.run.strip():
            raise UsageError("the run's name is empty", hint="leave --run out to name the run after seed and settings")
        parse(self.flaws)
        if parse_change(self.change).kind == "outage" and self.flat:
            raise UsageError("an outage with --rate", hint="a flat rate has no outage: give --mean-rate or --users")
        parse_time_zones(self.time_zones)

    @property
    def flat(self) -> bool:
        """Whether the day is flat: asked for by ``rate``."""
        return self.rate is not None

    @property
    def flaw_rates(self) -> FlawRates:
        """What goes wrong on the way, as shares of the events."""
        return parse(self.flaws)

    @property
    def target_rate(self) -> float | None:
        """Events a second asked for; ``None`` when only the number of people is given."""
        if self.nothing_given:
            return MEAN_RATE_DEFAULT
        return self.rate if self.rate is not None else self.mean_rate

    @property
    def nothing_given(self) -> bool:
        """Whether neither a rate nor a number of people was asked for."""
        return self.rate is None and self.mean_rate is None and self.users is None

    @property
    def zones(self) -> tuple[tuple[float, float], ...]:
        """Time zones as (hours, share), the shares adding up to 1."""
        return parse_time_zones(self.time_zones)

    def identity(self) -> dict[str, object]:
        """What the settings mean, as far as it changes an event: every setting that is not its default, in one spelling.

        A setting that is added later does not change it, nor does another way to write a value: ``late=2%`` is ``late=0.02``.
        """
        out: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # The run's own name, and where values came from, change no event.
            if field.name in {"run", "scenario", "films_csv"} or value == field.default:
                continue
            if field.name == "flaws":
                rates = {name: share for name, share in dataclasses.asdict(self.flaw_rates).items() if share}
                out |= {"flaws": rates} if rates else {}
            else:
                # A number is written as the field's type writes it: the flag gives 5.0 where the project file gives 5.
                out[field.name] = float(value) if "float" in str(field.type) else value
        return out

    def digest(self, catalogue: str) -> str:
        """16 hex digits that change with whatever changes an event.

        Args:
            catalogue: Digest of the films.
        """
        meaning = {"model": MODEL_VERSION, "films": catalogue, "settings": self.identity()}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def parse_time_zones(text: str) -> tuple[tuple[float, float], ...]:
    """Read ``0=70%,1=20%,-5=10%``: hours ahead of the common clock, and shares, scaled to add up to 1.

    Raises:
        UsageError: Not an hour from -14 to 14, not a share, or an hour twice.
    """
    zones: dict[float, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        hours, _, share = (piece.strip() for piece in part.partition("="))
        try:
            hour = float(hours)
            weight = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)
        except ValueError:
            hour = weight = math.nan
        if not (-14 <= hour <= 14 and 0 < weight <= 1) or hour in zones:
            raise UsageError(f"--time-zones has {part!r}", hint="give HOURS=SHARE once for each, as 0=70%,1=20%,-5=10%")
        zones[hour] = weight
    if not zones:
        raise UsageError("the time zones are empty", hint="give at least one, as 0=100%")
    total = sum(zones.values())
    return tuple((hour, weight / total) for hour, weight in zones.items())
