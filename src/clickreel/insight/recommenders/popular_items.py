"""The two that everything else has to beat."""

from __future__ import annotations

from typing import Self

import numpy as np

from clickreel.insight.recommenders.click_sessions import ClickSessions, SessionSoFar
from clickreel.insight.recommenders.protocol import F64, ScoringRecommender


class Popularity(ScoringRecommender):
    """POP: the items that are opened most."""

    name = "POP"

    def fit(self, clicks: ClickSessions) -> Self:
        """See :class:`~clickreel.insight.recommenders.protocol.Recommender`."""
        self._count(clicks)
        return self

    def score(self, session: SessionSoFar) -> F64:
        """The same for everybody."""
        del session
        return self.popularity


class SessionPopularity(Popularity):
    """S-POP: the items of this session first, by how often they were opened in it, then the popular ones."""

    name = "S-POP"

    def score(self, session: SessionSoFar) -> F64:
        """A click in the session counts more than all others."""
        return self.popularity + np.bincount(session.opened, minlength=self.items)
