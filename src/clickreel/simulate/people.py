"""What a person is like in a session: bot or not, pace, device."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.simulate.draws import F64, U64, Purpose, bell, child, draw, root
from clickreel.simulate.population import PersonStream, are_bots, bot_people
from clickreel.simulate.rhythm import local_hour
from clickreel.simulate.settings import WorldSettings

BOT_KINDS = ("", "crawler", "poller", "scraper")
# A crawler opens nothing and reads all, a poller asks for one list again and again, a scraper opens what it finds. Cumulative.
_BOT_KIND_CUMULATIVE = np.cumsum([0.4, 0.3, 0.3])
BOT_PACE = 0.02

# Spread of the logarithm of the pace, over people and over one's sessions: together .7 (RSC15's sessions).
PERSON_PACE, SESSION_PACE = 0.34, 0.62

WEB, MOBILE, TABLET = (vocabulary.DEVICES.index(name) for name in ("web", "mobile", "tablet"))
# Kinds of people by their device: share, and chance of a phone at noon. 56 mobile, 42 web, 2 tablet (StatCounter 2021).
_PHONE_PEOPLE, _TABLET_PEOPLE = 0.56, 0.025
_ON_THE_PHONE = np.array([0.90, 0.13])
_ON_THE_TABLET = 0.75
# Logit by which the hour of a person's clock favours the phone: in the morning, on the way, and at night.
HOUR_LOGIT = np.array(
    [0.7, 0.8, 0.8, 0.7, 0.6, 0.7, 0.9, 0.9, 0.5, -0.2, -0.4, -0.3,
     0.1, -0.2, -0.4, -0.3, 0.1, 0.3, 0.0, -0.1, -0.1, 0.0, 0.3, 0.6]
)  # fmt: skip
_logit = np.log(_ON_THE_PHONE / (1 - _ON_THE_PHONE))
PHONE_CHANCE = 1 / (1 + np.exp(-(_logit[:, None] + HOUR_LOGIT)))


class SessionStream:
    """Numbers of the draws below a session's key. Never reuse one; lists are below ``VISIT_KEY + number``."""

    (START, VISITS, MONSTER, DEVICE, DEVICE_ELSE, ENTRY, LANDING, ANCHOR, ANCHOR_ELSE, PACE, VISIT, LIMIT, RETURN, SECOND, SCREEN,
     TABLET, APPETITE, SOON) = range(18)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Habits:
    """What is fixed for an episode before anything happens in it.

    Attributes:
        bot: Kind of bot, a place in :data:`BOT_KINDS` (uint8).
        monster: Whether it goes on and on (bool).
        steady: Whether nothing distracts (bool).
        pace: Factor of all dwell times (float32).
        device: Code (uint8).
    """

    bot: NDArray[np.uint8]
    monster: NDArray[np.bool_]
    steady: NDArray[np.bool_]
    pace: NDArray[np.float32]
    device: NDArray[np.uint8]

    def take(self, rows: NDArray[np.intp]) -> Habits:
        """The chosen rows."""
        return Habits(*(getattr(self, field.name)[rows] for field in fields(self)))


def habits(
    user: NDArray[np.int64], person: U64, key: U64, start_ms: NDArray[np.int64], settings: WorldSettings
) -> Habits:
    """What each episode is like.

    Args:
        user: Number of its person.
        person: Key of its person.
        key: Its own key.
        start_ms: When it starts: the hour has a say in the device.
        settings: Shares of bots and of endless sessions.
    """
    bot = np.zeros(len(key), np.uint8)
    rows = np.flatnonzero(are_bots(user, root(settings.seed, Purpose.USER), bot_people(settings)))
    bot[rows] = 1 + np.minimum(np.searchsorted(_BOT_KIND_CUMULATIVE, draw(person[rows], PersonStream.BOT)), 2)
    monster = draw(key, SessionStream.MONSTER) < settings.monsters
    pace = PERSON_PACE * bell(child(person, PersonStream.PACE)) + SESSION_PACE * bell(child(key, SessionStream.PACE))
    pace = np.exp(pace) * settings.dwell_factor
    pace[rows] *= BOT_PACE
    return Habits(
        bot=bot,
        monster=monster,
        steady=monster | (bot > 0) | settings.round_the_clock,
        pace=pace.astype(np.float32),
        device=_devices(person, key, start_ms, settings, bot),
    )


def _devices(
    person: U64, key: U64, start_ms: NDArray[np.int64], settings: WorldSettings, bot: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    kind = draw(person, PersonStream.DEVICE)
    hour = local_hour(settings, person, start_ms)
    chance: F64 = PHONE_CHANCE[np.where(kind < _PHONE_PEOPLE, 0, 1), hour]
    u = draw(key, SessionStream.DEVICE)
    device = np.where(u < chance, MOBILE, WEB)
    # Who has a tablet stands at the end of those who are no phone people.
    device = np.where((kind > 1 - _TABLET_PEOPLE) & (draw(key, SessionStream.TABLET) < _ON_THE_TABLET), TABLET, device)
    return np.where(bot > 0, WEB, device).astype(np.uint8)
