"""Who comes when, once more, slow and readable; see :mod:`tests.simulate.oracle`: one person, one day, one session, one film at a time, in plain Python.

It shares with the product the numbers (shares, means, tables, which films stand in which pool) and none of the logic: no arrays of sessions, no
repeats, no cumulative sums. Single precision is kept where the product keeps it, so that both agree to the last bit.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from clickreel.simulate import (
    interactions,
    pauses,
    people,
    population,
    traffic,
)
from clickreel.simulate import rhythm as rhythms
from clickreel.simulate.draws import Purpose, bell1, child1, root, uniform1, weibull_ms
from clickreel.simulate.people import SessionStream
from clickreel.simulate.population import PersonStream
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

DAY_MS = 86_400_000
MINUTE_MS = 60_000
WEIBULL = weibull_ms(interactions.DWELL_SHAPE)
f32 = np.float32

Event = tuple[int, int, int, int, int, int, int, int, int, int]


def draw(key: int, n: int) -> float:
    """A uniform number below a key."""
    return uniform1(child1(key, n))


def find(cumulative: np.ndarray, u: float) -> int:
    """The first place at which a cumulative distribution has reached ``u``."""
    for place, reached in enumerate(cumulative):
        if reached >= u:
            return place
    return len(cumulative) - 1


@dataclass
class Episode:
    """An episode as the oracle sees it."""

    user: int
    start_ms: int
    of_day: int
    key: int
    person: int
    bot: int
    monster: bool
    device: int
    pace: np.float32
    wanted: int
    lists: list[int] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    bound_ms: int = 0


def wants(world: World, user: int, day: int) -> float | None:
    """How much somebody wants to come on a day; ``None`` for who is no member."""
    settings, people_count = world.settings, world.users
    since = float(abs(day - population.OPENED_DAY))
    key = child1(root(settings.seed, Purpose.USER), user)
    stay_days = 30.0 / settings.churn if settings.churn else math.inf
    founder = user <= people_count
    joins = world.population.joins_per_day
    if founder:
        joined = -1e9
    elif joins == 0:
        return None
    else:
        joined = (user - people_count) / joins
    tries = not founder and draw(key, PersonStream.KIND) < population.TRIERS
    mean = population.TRIER_DAYS if tries else stay_days
    length = min(-float(np.log(draw(key, PersonStream.STAY))), population.STAY_MAX)
    stay = max((population.STAY_MAX if user <= population.FIRST_FEW else length) * mean, 1.0)
    if not (joined <= since < (0.0 if founder else joined) + stay):
        return None
    if is_bot(settings, user):
        wish = population.BOT_WANTS * math.exp(0.5 * settings.activity_sigma**2)
    else:
        offset = int(draw(key, PersonStream.OFFSET) * (population.SHORT_PHASE_DAYS * population.LONG_PHASE_DAYS))
        short = bell1(child1(child1(key, PersonStream.SHORT), (day + offset) // population.SHORT_PHASE_DAYS))
        long = bell1(child1(child1(key, PersonStream.LONG), (day + offset) // population.LONG_PHASE_DAYS))
        weekday = (day + 3) % 7
        log = settings.activity_sigma * bell1(child1(key, PersonStream.ACTIVITY))
        log += population.SHORT_PHASE * short + population.LONG_PHASE * long
        log += population.WEEKDAY_HABIT * bell1(child1(child1(key, PersonStream.WEEKDAY), weekday))
        log += population.WEEKEND_HABIT * bell1(child1(key, PersonStream.WEEKEND)) * (1.0 if weekday >= 5 else -0.4)
        wish = float(np.exp(log))
    age = since - joined
    if age < 8 * population.CURIOUS_DAYS:
        wish *= 1.0 + population.CURIOUS * float(np.exp(-age / population.CURIOUS_DAYS))
    return wish


def means(world: World, day: int) -> dict[int, float]:
    """Mean number of candidate episodes of each member on a day."""
    last = world.users + int(abs(day - population.OPENED_DAY) * world.population.joins_per_day)
    wish = {user: w for user in range(1, last + 1) if (w := wants(world, user, day)) is not None}
    total = min(
        world.audience.episodes_per_day * world.traffic.rhythm.day_factor(day) * world.users,
        0.9 * traffic.EPISODES_PER_USER_DAY_MAX * len(wish),
    )
    scale = total / sum(wish.values())
    mean = {user: w * scale for user, w in wish.items()}
    for _ in range(20):
        mean = {user: min(m, traffic.EPISODES_PER_USER_DAY_MAX) for user, m in mean.items()}
        missing = total / sum(mean.values())
        if missing < 1.0005:
            break
        mean = {user: m * missing for user, m in mean.items()}
    return mean


def zone(world: World, person: int) -> int:
    """The time zone of a person, as a place among the zones."""
    return find(np.cumsum([share for _, share in world.settings.zones]), draw(person, PersonStream.ZONE))


def local_hour(world: World, person: int, ts_ms: int) -> int:
    """The hour on a person's clock."""
    ahead = world.settings.zones[zone(world, person)][0] + world.settings.time_zone_h
    return int((ts_ms / 3_600_000 + ahead) % 24)


def candidates(world: World, user: int, day: int, mean: float) -> list[Episode]:
    """The candidate episodes of a person's day, in order of start."""
    settings = world.settings
    person = child1(root(settings.seed, Purpose.USER), user)
    key = child1(person, day + 16)
    u, count, term = uniform1(key), 0, float(np.exp(-mean))
    reached = term
    while u > reached and count < 8:
        count += 1
        term = term * mean / count
        reached += term
    starts = []
    for number in range(count):
        u = draw(child1(key, number), SessionStream.START)
        if settings.flat:
            starts.append(int(u * DAY_MS))
        else:
            cumulative = world.traffic.rhythm._profiles[(day + 3) % 7][zone(world, person)][0]
            at = np.interp(u, cumulative, np.linspace(0, DAY_MS, 97))
            habit = bell1(child1(person, PersonStream.HABIT)) * (rhythms.HABIT_H * 3_600_000)
            starts.append(int(at + habit) % DAY_MS)
    return [
        episode(world, user, day, (number, start), child1(key, number)) for number, start in enumerate(sorted(starts))
    ]


def episode(world: World, user: int, day: int, at: tuple[int, int], key: int) -> Episode:
    """What is fixed for an episode, whose number of the day and start are given, before anything happens in it."""
    settings = world.settings
    number, start = at
    person = child1(root(settings.seed, Purpose.USER), user)
    u = draw(person, PersonStream.BOT)
    bot = 1 + min(find(people._BOT_KIND_CUMULATIVE, u), 2) if is_bot(settings, user) else 0
    monster = draw(key, SessionStream.MONSTER) < settings.monsters
    pace = people.PERSON_PACE * bell1(child1(person, PersonStream.PACE))
    pace += people.SESSION_PACE * bell1(child1(key, SessionStream.PACE))
    pace = float(np.exp(pace)) * settings.dwell_factor * (people.BOT_PACE if bot else 1.0)
    kind = draw(person, PersonStream.DEVICE)
    hour = local_hour(world, person, day * DAY_MS + start)
    chance = people.PHONE_CHANCE[0 if kind < people._PHONE_PEOPLE else 1, hour]
    device = people.MOBILE if draw(key, SessionStream.DEVICE) < chance else people.WEB
    if kind > 1 - people._TABLET_PEOPLE and draw(key, SessionStream.TABLET) < people._ON_THE_TABLET:
        device = people.TABLET
    sigma, part = settings.visits_sigma, traffic.LASTING_VISITS
    z = part**0.5 * bell1(child1(person, PersonStream.VISITS)) + (1 - part) ** 0.5 * bell1(
        child1(key, SessionStream.VISITS)
    )
    wanted = 1.0 + float(np.exp(sigma * z)) * ((settings.visits_mean - 1.0) * float(np.exp(-0.5 * sigma**2)))
    wanted = float(np.floor(wanted + draw(key, SessionStream.VISIT)))
    if monster:
        wanted = 120 + 40 * wanted
    if bot:
        wanted = 12 * wanted
    made = Episode(
        user,
        day * DAY_MS + start,
        number,
        key,
        person,
        bot,
        monster,
        people.WEB if bot else device,
        f32(pace),
        int(min(wanted, 1500)),
    )
    _split(world, made)
    return made


def pause(world: World, made: Episode, visit_key: int) -> int:
    """Milliseconds from the last event of a list to the first of the next."""
    slack = 8 * MINUTE_MS if world.settings.flat else 0
    limit = 30 * MINUTE_MS - 2 * slack + (0 if slack else 1)
    place = child1(visit_key, pauses.PAUSE) & 0xFFFF
    table, distractions = pauses.pause_table(world.settings.distractions)
    if made.bot or made.monster:
        usual = place % (65_536 - distractions)
        return min(int(table[usual] * made.pace), limit // 3)
    pause_ms = int(table[place] * made.pace)
    return pause_ms + 4 * slack if pause_ms >= limit else pause_ms


def soon(world: World, made: Episode) -> int:
    """Milliseconds until somebody who had done comes back."""
    slack = 8 * MINUTE_MS if world.settings.flat else 0
    beyond = int(-float(np.log(draw(made.key, SessionStream.SOON))) * pauses.SOON_MS)
    return beyond + 30 * MINUTE_MS + 1 + 2 * slack


def is_bot(settings: WorldSettings, user: int) -> bool:
    """Whether a user is a bot: one of every so many in sequence."""
    share = population.bot_people(settings)
    if not 0 < share < 1:
        return share >= 1
    number = math.floor(user * share)
    first, after = math.ceil(number / share), math.ceil((number + 1) / share)
    at = math.floor(draw(child1(root(settings.seed, Purpose.USER), number), PersonStream.BOT) * (after - first))
    return user > population.FIRST_FEW and user == first + at


def session_key(made: Episode, second: int) -> int:
    """The key of the first or the second session of an episode."""
    return child1(made.key, SessionStream.SECOND) if second else made.key


def _split(world: World, made: Episode) -> None:
    """How an episode falls into sessions, and how long each can be."""
    slack = 8 * MINUTE_MS if world.settings.flat else 0
    limit = 30 * MINUTE_MS - 2 * slack + (0 if slack else 1)
    left, bound = made.wanted, 0
    for second in (0, 1):
        key = session_key(made, second)
        within, lists, broke = 0, 0, 0
        for number in range(left):
            lists += 1
            gap = pause(world, made, child1(key, number + pauses.VISIT_KEY))
            if gap >= limit:
                broke = gap
                break
            if number < left - 1:
                within += gap
        spread = float(np.exp(pauses.ALLOWANCE_SPREAD * bell1(child1(key, SessionStream.LIMIT))))
        room = (
            (pauses.ALLOWANCE_MIN + pauses.ALLOWANCE_LIST_MIN * lists) * spread * max(float(made.pace), float(f32(0.7)))
        )
        cap = world.settings.session_cap_min * spread
        made.lists.append(lists)
        made.limits.append(within + int((cap * -float(np.expm1(-room / cap))) * MINUTE_MS))
        bound += made.limits[-1]
        left -= lists
        if second:
            break
        steady = made.bot or made.monster or world.settings.round_the_clock
        if draw(made.key, SessionStream.RETURN) >= (
            pauses.COMES_BACK if left else 0.0 if steady else pauses.SOON_SHARE
        ):
            break
        if not left:
            left = 1 + int(draw(made.key, SessionStream.SECOND) * pauses.SOON_LISTS)
            broke = soon(world, made)
        bound += broke
    made.bound_ms = min(bound, pauses.EPISODE_MAX_MS)


def episodes(world: World, days: tuple[int, ...]) -> list[Episode]:
    """The episodes of some days in order of (start, user): candidates that do not meet one before them."""
    apart = 30 * MINUTE_MS + 1 + (2 * 20 * MINUTE_MS if world.settings.flat else 0)
    kept = []
    by_day = {
        day: {user: candidates(world, user, day, mean) for user, mean in means(world, day).items()}
        for day in range(min(days) - 1, max(days) + 1)
    }
    for day in days:
        for user, mine in by_day[day].items():
            yesterday = by_day[day - 1].get(user, [])
            busy = max([made.start_ms + made.bound_ms + apart for made in yesterday], default=0)
            # Who comes later than the longest episode can last after midnight cannot meet yesterday's.
            for made in mine:
                if made.start_ms >= busy:
                    kept.append(made)
                busy = max(busy, made.start_ms + made.bound_ms + apart)
    return sorted(kept, key=lambda made: (made.start_ms, made.user))
