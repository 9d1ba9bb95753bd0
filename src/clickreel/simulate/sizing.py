"""How many people a world needs, and how often they must come, for the rate that was asked for.

Three numbers are worked out when a world is made: events per session, from a pilot of some thousand sessions of this very world; the share of candidate
sessions that survive the pause between two sessions, by integration over the day's profile and the spread of activity; and from these
the mean number of candidate sessions that gives the rate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UsageError
from clickreel.simulate.list_visits import looks
from clickreel.simulate.normal import normal_quantile
from clickreel.simulate.population import SESSIONS_PER_USER_DAY_MAX, Population, capped_scale, population
from clickreel.simulate.settings import EVENTS_PER_USER_DAY, USERS_MAX, WorldSettings
from clickreel.simulate.traffic import (
    BOT_VISITS,
    DAY_MS,
    MONSTER_VISITS,
    Quota,
    Sessions,
    Traffic,
    days_by_quarter_hour,
    pause_ms,
    slots_per_day,
    span_hours,
    visits_chances,
)

if TYPE_CHECKING:
    from clickreel.simulate.timeline import WorldModel

_DAY_S = 86_400
# Above this many people, each comes more often instead: two million are a second of work a day.
_PEOPLE_WANTED_MAX = 2_000_000
# A person whose mean is above this would be on the site half of the day.
_SESSIONS_MEAN_MAX = 2.5
_PILOT_DAY = 20_513  # 2026-03-01, a Sunday: any day would do
_PILOT_PEOPLE = 12_000
_PILOT_SESSIONS_PER_DAY = 0.5
_LISTS_VARIATION = 2.5  # mean square of the number of lists over the square of its mean
# Sessions of alike length: the first groups are single numbers of lists, the last is all above.
_GROUPS = np.array([2, 3, 4, 5, 6, 8, 11, 16, 26, 50])


@dataclass(frozen=True, slots=True)
class Audience:
    """The size of a world.

    Attributes:
        people: Number of people on the platform at any time.
        sessions_per_day: Mean number of candidate sessions a person and day.
        kept: Mean number of sessions a person and day, after pauses.
        events_per_session: Mean.
        rate: Mean number of events a second that comes of it.
        quota: For a flat rate, what is let in each day; the candidates are somewhat more.
    """

    people: int
    sessions_per_day: float
    kept: float
    events_per_session: float
    rate: float
    quota: Quota | None = None


def audience(model: WorldModel) -> Audience:
    """The audience of a world.

    Raises:
        UsageError: So few people cannot make so many events.
    """
    settings = model.settings
    per_session = events_per_session(model)
    if settings.round_the_clock:
        return _round_the_clock(settings, per_session)
    target = settings.target_rate
    most = kept_sessions(settings, _SESSIONS_MEAN_MAX) * per_session  # events a person and day
    if settings.users is not None:
        people = settings.users
        per_day = EVENTS_PER_USER_DAY if target is None else target * _DAY_S / people
        if per_day > most:
            raise UsageError(
                f"{people} users cannot make {target:g} events a second (at most {people * most / _DAY_S:.3g})",
                hint=f"--users {int(per_day * people / most) + 1}, or leave --users out",
            )
    else:
        assert target is not None
        people = max(1, round(target * _DAY_S / min(EVENTS_PER_USER_DAY, most)))
        if people > _PEOPLE_WANTED_MAX:
            people = max(_PEOPLE_WANTED_MAX, round(target * _DAY_S / (0.8 * most)))
        if people > USERS_MAX:
            raise UsageError(
                f"{target:g} events a second would take {people:,} people (at most {USERS_MAX:,})",
                hint=f"allowed: up to {USERS_MAX * 0.8 * most / _DAY_S:,.0f} events a second",
            )
        per_day = target * _DAY_S / people
    kept = per_day / per_session
    if settings.flat:
        # So many more that a day whose chance is four deviations low still fills the quota.
        span_sessions = people * kept / (24 / span_hours(people))
        more = min(4 * (_LISTS_VARIATION / span_sessions) ** 0.5, 0.25)
        candidates = _candidates_for(settings, min(kept * (1 + more), kept_sessions(settings, _SESSIONS_MEAN_MAX)))
        quota = Quota(people * per_day / _events_per_look(model), looks)
        return Audience(people, candidates, kept, per_session, people * per_day / _DAY_S, quota)
    candidates = _candidates_for(settings, kept)
    kept = kept_sessions(settings, candidates)
    return Audience(people, candidates, kept, per_session, people * kept * per_session / _DAY_S)


def _events_per_look(model: WorldModel) -> float:
    """Events for each film that people mean to look at: less than one, since many lists are left before, more for clicks."""
    crowd = population(model.settings, 4 * _PILOT_PEOPLE, _PILOT_SESSIONS_PER_DAY)
    sessions, events = _pilot(model, model.settings, crowd)
    return int(events.sum()) / int(looks(sessions.key, sessions.visits).sum())


def _round_the_clock(settings: WorldSettings, per_session: float) -> Audience:
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


def events_per_session(model: WorldModel) -> float:
    """Mean number of events of a session, measured on pilots of this world: people, bots, and sessions that go on and on."""
    settings = model.settings
    if settings.round_the_clock:
        # With few people it matters who they are: the pilot is they themselves.
        crowd = population(settings, min(settings.users or 64, 256), _PILOT_SESSIONS_PER_DAY)
        sessions, events = _pilot(model, settings, crowd)
        return int(events.sum()) / len(sessions)
    usual = dataclasses.replace(settings, bots=0.0, monsters=0.0)
    mean = _stratified(model, usual, _PILOT_PEOPLE, (0, 1))
    if settings.monsters:
        endless = dataclasses.replace(usual, monsters=1.0)
        mean += settings.monsters * (_stratified(model, endless, _PILOT_PEOPLE // 10, MONSTER_VISITS) - mean)
    if settings.bots:
        swarm = dataclasses.replace(usual, bots=1.0)
        mean += settings.bots * (_stratified(model, swarm, _PILOT_PEOPLE // 6, (0, BOT_VISITS)) - mean)
    return mean


def _pilot(model: WorldModel, settings: WorldSettings, crowd: Population) -> tuple[Sessions, NDArray[np.int64]]:
    """A day's sessions of a crowd, and the number of events of each."""
    sessions = Traffic(settings, crowd).sessions(_PILOT_DAY)
    numbers = np.concatenate([part.session for part, _, _ in model.expand(sessions)])
    order = np.argsort(sessions.number)
    place = order[np.searchsorted(sessions.number, numbers, sorter=order)]
    return sessions, np.bincount(place, minlength=len(sessions))


def _stratified(model: WorldModel, settings: WorldSettings, people: int, line: tuple[int, int]) -> float:
    """Events per session of a pilot, weighted so that its sessions are as long as sessions are.

    The pilot measures events per list, apart for short and long sessions; how many sessions are how long is known exactly, and carries
    most of the spread.

    Args:
        model: What events are made from.
        settings: What the pilot's people are like.
        people: How many.
        line: How their number of lists follows from the usual one: so many, and so many for each.
    """
    sessions, events = _pilot(model, settings, population(settings, people, _PILOT_SESSIONS_PER_DAY))
    usual = (sessions.visits - line[0]) // line[1]
    chance = visits_chances(settings, int(usual.max()))
    group = np.searchsorted(_GROUPS, np.arange(len(chance)), side="right")
    lists = np.bincount(group, chance * (line[0] + line[1] * np.arange(len(chance))))
    seen = np.bincount(group[usual], line[0] + line[1] * usual, len(lists))
    made = np.bincount(group[usual], events, len(lists))
    return float((lists * made / np.maximum(seen, 1)).sum())


def kept_sessions(settings: WorldSettings, candidates: float) -> float:
    """Mean number of sessions a person and day that survive the pause, for a mean number of candidates.

    A candidate survives when no other started within the pause before it: for a person with mean ``m`` that is ``exp(-m * share of the day's
    candidates in that pause)``, averaged over the day and over people.
    """
    quantile = (np.arange(512) + 0.5) / 512
    scale = capped_scale(candidates, settings.activity_sigma)
    mean = np.minimum(
        candidates * scale * np.exp(settings.activity_sigma * normal_quantile(quantile)), SESSIONS_PER_USER_DAY_MAX
    )
    at = (np.arange(96, 192) + 0.5) * DAY_MS / 96
    edges = np.arange(3 * 96 + 1) * DAY_MS / 96
    days = []
    for share in days_by_quarter_hour(settings):
        cumulative = np.concatenate([[0.0], np.cumsum(np.tile(share, 3))])
        before = np.interp(at, edges, cumulative) - np.interp(at - pause_ms(settings), edges, cumulative)
        days.append((mean[:, None] * share * np.exp(-mean[:, None] * before)).sum(axis=1).mean())
    return float(np.mean(days))


def _candidates_for(settings: WorldSettings, kept: float) -> float:
    low, high = kept, _SESSIONS_MEAN_MAX * 1.5
    for _ in range(30):
        middle = (low + high) / 2
        if kept_sessions(settings, middle) < kept:
            low = middle
        else:
            high = middle
    return (low + high) / 2
