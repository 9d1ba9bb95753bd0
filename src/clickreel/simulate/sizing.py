"""How many people a world needs, and how often they must come, for the rate that was asked for.

Three numbers are worked out when a world is made: events per episode, from a pilot of some thousand episodes of this very world; the share of
candidate episodes that do not meet an earlier one of their person, by integration over the day's profile, the length of episodes and how
differently people come; and from these the mean number of candidates that gives the rate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UsageError
from clickreel.simulate.draws import F64
from clickreel.simulate.list_visits import looks
from clickreel.simulate.population import Population, bot_people
from clickreel.simulate.rhythm import DAY_MS, Rhythm
from clickreel.simulate.settings import MEAN_RATE_DEFAULT, USERS_DEFAULT, USERS_MAX, WorldSettings
from clickreel.simulate.timeline import WorldModel
from clickreel.simulate.traffic import (
    BOT_VISITS,
    CANDIDATES_MAX,
    MONSTER_VISITS,
    Episodes,
    FlatQuota,
    Traffic,
    apart_ms,
    capped_to,
    lists_chances,
    slots_per_day,
)

_DAY_S = 86_400
# Above this many people, each comes more often instead: two million are a second of work a day.
_PEOPLE_WANTED_MAX = 2_000_000
# A person whose mean is above this would be on the site half of the day.
_EPISODES_MEAN_MAX = 2.5
_PILOT_DAY = 20_513  # 2026-03-01, a Sunday: any day would do
_PILOT_PEOPLE = 12_000
_PILOT_PER_DAY = 0.5
_LISTS_VARIATION = 2.5  # mean square of the number of lists over the square of its mean
# Episodes of alike length: the first groups are single numbers of lists, the last is all above.
_GROUPS = np.array([2, 3, 4, 5, 6, 8, 11, 16, 26, 50])
_QUARTERS = 60  # how far back episodes can meet, in quarter hours


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a pilot tells about episodes.

    Attributes:
        events: Mean number of events.
        days: For each kind of day, and each of its 96 quarter hours: share of the day's candidates, and of those that can be met then.
        wants: How much people want to come, mean 1, over people and days (float64[m]).
        bots: Share of the people who are bots.
        bot_wants: How much a bot wants to come, on the scale of ``wants``.
        bot_extra: Events of a bot's episode beyond those of a person's.
        bot_share: Share of the episodes that are bots', as it is counted in ``events``; None for their share of the people.
    """

    events: float
    days: list[tuple[F64, F64]]
    wants: F64
    bots: float = 0.0
    bot_wants: float = 1.0
    bot_extra: float = 0.0
    bot_share: float | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """The size of a world.

    Attributes:
        people: Number of members at any time.
        episodes_per_day: Mean number of candidate episodes a person and day.
        kept: Mean number of episodes a person and day.
        events_per_episode: Mean.
        rate: Mean number of events a second that comes of it.
        quota: For a flat rate, what is let in each day; the candidates are somewhat more.
    """

    people: int
    episodes_per_day: float
    kept: float
    events_per_episode: float
    rate: float
    quota: FlatQuota | None = None


def audience(model: WorldModel) -> Audience:
    """The audience of a world.

    Raises:
        UsageError: So few people cannot make so many events.
    """
    settings = model.settings
    if settings.round_the_clock:
        return _round_the_clock(model)
    pilot = run_pilot(model)
    most = kept_episodes(pilot, _EPISODES_MEAN_MAX) * pilot.events  # events a person and day
    people, per_day = _people(settings, most)
    for _ in range(_BOT_ROUNDS if pilot.bots else 0):
        pilot = _weigh_bots(pilot, _candidates_for(pilot, per_day / pilot.events))
    kept = per_day / pilot.events
    if settings.flat:
        # So many more that a day whose chance is four deviations low still fills the quota.
        more = min(4 * (_LISTS_VARIATION / (people * kept)) ** 0.5, 0.25)
        wanted = min(kept * (1 + more), kept_episodes(pilot, _EPISODES_MEAN_MAX))
        quota = FlatQuota(people * per_day / _events_per_look(model), looks)
        candidates = _candidates_for(pilot, wanted)
        return Audience(people, candidates, kept, pilot.events, people * per_day / _DAY_S, quota)
    candidates = _candidates_for(pilot, kept)
    kept = kept_episodes(pilot, candidates)
    return Audience(people, candidates, kept, pilot.events, people * kept * pilot.events / _DAY_S)


def _people(settings: WorldSettings, most: float) -> tuple[int, float]:
    """Number of people, and events of each a day.

    Args:
        settings: What was asked for.
        most: Events that a person can make a day.
    """
    target = settings.target_rate
    people = settings.users
    # Of a small catalogue people make fewer events: then as many people as the default rate takes.
    if settings.nothing_given and most * USERS_DEFAULT >= MEAN_RATE_DEFAULT * _DAY_S:
        people = USERS_DEFAULT
    if people is not None:
        per_day = settings.events_per_user if target is None else target * _DAY_S / people
        if per_day > most:
            raise UsageError(
                f"{people} users cannot make {target:g} events a second (at most {people * most / _DAY_S:.3g})",
                hint=f"--users {int(per_day * people / most) + 1}, or leave --users out",
            )
        return people, per_day
    assert target is not None
    people = max(1, round(target * _DAY_S / min(settings.events_per_user, most)))
    if people > _PEOPLE_WANTED_MAX:
        people = max(_PEOPLE_WANTED_MAX, round(target * _DAY_S / (0.8 * most)))
    if people > USERS_MAX:
        raise UsageError(
            f"{target:g} events a second would take {people:,} people (at most {USERS_MAX:,})",
            hint=f"allowed: up to {USERS_MAX * 0.8 * most / _DAY_S:,.0f} events a second",
        )
    return people, target * _DAY_S / people


def _round_the_clock(model: WorldModel) -> Audience:
    settings = model.settings
    # With few people it matters who they are: the pilot is they themselves.
    episodes, events = _pilot(model, settings, min(settings.users or 64, 256))
    per_session = int(events.sum()) / len(episodes)
    sessions = slots_per_day(settings)
    per_person = sessions * per_session / _DAY_S
    target = settings.target_rate
    people = settings.users or max(1, round((target or 1.0) / per_person))
    if settings.users is not None and target is not None:
        raise UsageError(
            f"{people} users who come round the clock make {people * per_person:.3g} events a second, not {target:g}",
            hint="give --users or a rate, not both, or another --scenario",
        )
    return Audience(people, float(sessions), float(sessions), per_session, people * per_person)


def run_pilot(model: WorldModel) -> Pilot:
    """Measure on pilots of this world: people, bots, and sessions that go on and on."""
    settings = model.settings
    usual = dataclasses.replace(settings, bots=0.0, monsters=0.0)
    mean, bound = _stratified(model, usual, _PILOT_PEOPLE, (0, 1))
    if settings.monsters:
        endless = dataclasses.replace(usual, monsters=1.0)
        mean += settings.monsters * (_stratified(model, endless, _PILOT_PEOPLE // 10, MONSTER_VISITS)[0] - mean)
    bots = bot_extra = 0.0
    if settings.bots:
        swarm = dataclasses.replace(usual, bots=_ALL_BOTS)
        bots = bot_people(settings)
        bot_extra = _stratified(model, swarm, _PILOT_PEOPLE // 20, (0, BOT_VISITS))[0] - mean
        mean += bots * bot_extra
    apart = np.sort(bound + apart_ms(settings))
    steps = np.arange(_QUARTERS) * (DAY_MS // 96)
    crowd = Population(settings, _PILOT_PEOPLE)
    wants = np.concatenate([crowd.members(_PILOT_DAY + 30 * month).wants for month in range(3)])
    longer = 1 - np.searchsorted(apart, steps) / len(apart)
    days = [(share, _met(share, longer)) for share in Rhythm(settings).by_quarter_hour()]
    scale = 1 / wants.mean()
    return Pilot(mean, days, np.sort(wants)[:: len(wants) // 512] * scale, bots, crowd.bot_wants * scale, bot_extra)


def _weigh_bots(pilot: Pilot, candidates: float) -> Pilot:
    """The pilot with bots counted by their share of the episodes, which depends on how often everybody comes.

    A bot comes as often as somebody on the mean. Those who come most meet their own earlier episodes, so that the mean person keeps fewer
    than the bot does.
    """
    mean = capped_to(pilot.wants, candidates * len(pilot.wants))
    bot_mean = min(float(mean[0] / pilot.wants[0]) * pilot.bot_wants, float(mean.max()))
    kept = float(np.mean([(bot_mean * share * np.exp(-bot_mean * before)).sum() for share, before in pilot.days]))
    now = pilot.bots * kept / kept_episodes(pilot, candidates)
    before_now = pilot.bot_share if pilot.bot_share is not None else pilot.bots
    return dataclasses.replace(pilot, events=pilot.events + (now - before_now) * pilot.bot_extra, bot_share=now)


_ALL_BOTS = 1.0  # everybody
_BOT_ROUNDS = (
    3  # how often everybody comes follows from the bots' share, and it from that; three rounds settle it to 1e-4
)


def _pilot(model: WorldModel, settings: WorldSettings, people: int) -> tuple[Episodes, NDArray[np.int64]]:
    """A day's episodes of a crowd, and the number of events of each."""
    flat = dataclasses.replace(settings, rate=None, mean_rate=None, users=people) if settings.flat else settings
    episodes = Traffic(settings, Population(flat, people), _PILOT_PER_DAY).episodes(_PILOT_DAY)
    counts = []
    for made in model.expand(episodes):
        episode = made.context.episode[made.visits.session[made.visit]]
        counts.append(np.bincount(episode, minlength=len(made.episodes)))
    return episodes, np.concatenate(counts)


def _events_per_look(model: WorldModel) -> float:
    """Events for each film that people mean to look at: less than one, since many lists are left before, more for clicks."""
    episodes, events = _pilot(model, model.settings, 4 * _PILOT_PEOPLE)
    return int(events.sum()) / int(looks(episodes).sum())


def _stratified(
    model: WorldModel, settings: WorldSettings, people: int, line: tuple[int, int]
) -> tuple[float, NDArray[np.int64]]:
    """Events per episode of a pilot, weighted so that its episodes are as long as episodes are; and their bounds.

    The pilot measures events per wanted list, apart for short and long episodes; how many episodes are how long is known exactly, and
    carries most of the spread.

    Args:
        model: What events are made from.
        settings: What the pilot's people are like.
        people: How many.
        line: How their number of lists follows from the usual one: so many, and so many for each.
    """
    episodes, events = _pilot(model, settings, people)
    usual = (episodes.wanted - line[0]) // line[1]
    chance = lists_chances(settings, int(usual.max()))
    group = np.searchsorted(_GROUPS, np.arange(len(chance)), side="right")
    lists = np.bincount(group, chance * (line[0] + line[1] * np.arange(len(chance))))
    seen = np.bincount(group[usual], line[0] + line[1] * usual, len(lists))
    made = np.bincount(group[usual], events, len(lists))
    return float((lists * made / np.maximum(seen, 1)).sum()), episodes.bound_ms


def kept_episodes(pilot: Pilot, candidates: float) -> float:
    """Mean number of episodes a person and day that do not meet an earlier one, for a mean number of candidates.

    A candidate survives when no earlier one lasts up to its start: for a person with mean ``m`` that is ``exp(-m * sum over the time before of
    the share of the day's candidates that start then and last that long)``, averaged over the day, people and days.
    """
    mean = _drawn(capped_to(pilot.wants, candidates * len(pilot.wants)))
    days = [
        (mean[:, None] * share * np.exp(-mean[:, None] * before)).sum(axis=1).mean() for share, before in pilot.days
    ]
    return float(np.mean(days))


def _drawn(mean: F64) -> F64:
    """Mean number of candidates that are drawn: Poisson numbers, cut at the most that a day has room for."""
    counts = np.arange(CANDIDATES_MAX + 1)
    log_factorial = np.cumsum(np.log(np.maximum(counts, 1)))
    chance = np.exp(counts * np.log(mean)[:, None] - mean[:, None] - log_factorial)
    drawn: F64 = CANDIDATES_MAX - ((CANDIDATES_MAX - counts) * chance).sum(axis=1)
    return drawn


def _met(share: F64, longer: F64) -> F64:
    """For a candidate of each quarter hour: the share of the day's candidates that start before and last up to it."""
    # A candidate of the same quarter hour is earlier half of the time.
    weights = longer.copy()
    weights[0] *= 0.5
    return np.sum([weight * np.roll(share, lag) for lag, weight in enumerate(weights)], axis=0)  # type: ignore[no-any-return]


def _candidates_for(pilot: Pilot, kept: float) -> float:
    low, high = kept, _EPISODES_MEAN_MAX * 1.5
    for _ in range(30):
        middle = (low + high) / 2
        if kept_episodes(pilot, middle) < kept:
            low = middle
        else:
            high = middle
    return (low + high) / 2
