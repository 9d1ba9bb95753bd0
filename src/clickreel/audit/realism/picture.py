"""Six curves of a stream in one picture, PNG or SVG by the file's suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clickreel.audit.realism import popularity as films
from clickreel.audit.realism import sessions, traffic_rhythm
from clickreel.audit.realism.bands import Evidence
from clickreel.audit.realism.columns import EventTable
from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.errors import ClickreelError, UsageError
from clickreel.quantities import quantity

FORMATS = (".png", ".svg")
INK, PALE, WARM = "#1f3a5f", "#9db4cf", "#d1495b"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _session_lengths(axes: Any, evidence: Evidence) -> None:
    counts = sessions.lengths(evidence.timeline)
    last = int(np.percentile(counts, 99)) if len(counts) else 2
    axes.hist(counts.clip(max=last), bins=np.arange(2, last + 2) - 0.5, color=PALE, edgecolor="white", density=True)
    if len(counts):
        axes.axvline(counts.mean(), color=WARM, label=f"mean {counts.mean():.1f}")
        axes.legend(frameon=False)
    axes.set(title="Session length", xlabel="interactions (sessions with at least 2)", ylabel="share of sessions")


def _popularity(axes: Any, evidence: Evidence) -> None:
    counts = films.popularity(evidence.timeline)
    opened = counts[counts > 0]
    axes.loglog(np.arange(1, len(opened) + 1), opened, color=INK)
    axes.axvspan(*films.RANKS, color=PALE, alpha=0.3, lw=0)
    slope = films.rank_slope(counts, *films.RANKS)
    axes.set(title=f"Popularity (slope {slope:.2f} in ranks 10-300)", xlabel="rank of the film", ylabel="detail views")


def _position(axes: Any, evidence: Evidence) -> None:
    ranks = np.arange(1, films.PLACES + 1)
    curves = [("all lists", INK, films.click_through(evidence.timeline))]
    if evidence.ledger is not None and len(evidence.ledger.list_session):
        rows = evidence.ledger.random_rows(evidence.timeline)
        curves.append(("lists in random order", WARM, films.click_through(evidence.timeline, rows)))
    for name, colour, rates in curves:
        axes.loglog(
            ranks,
            np.where(rates > 0, rates, np.nan),
            "o-",
            ms=3,
            color=colour,
            label=f"{name}, slope {films.click_slope(rates):.2f}",
        )
    axes.legend(frameon=False)
    axes.set(title="Position", xlabel="rank in the list", ylabel="detail views / views")


def _week(axes: Any, evidence: Evidence) -> None:
    grid = traffic_rhythm.hour_by_weekday(evidence.timeline)
    shown = axes.imshow(grid, aspect="auto", cmap="Blues", origin="upper")
    axes.set(title="Hour by weekday", xlabel="hour, UTC", xticks=range(0, 24, 3))
    axes.set_yticks(range(7), DAYS)
    axes.figure.colorbar(shown, ax=axes, label="events an hour")


def _funnel(axes: Any, evidence: Evidence) -> None:
    counts = films.funnel_counts(evidence.timeline)
    bars = axes.barh(EVENT_TYPES[::-1], counts[::-1].clip(min=1), color=[WARM, PALE, PALE, INK])
    axes.bar_label(bars, [f"{count:,}" for count in counts[::-1]], padding=3)
    axes.set(title="Funnel", xlabel="events, log scale", xscale="log")
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    axes.margins(x=0.35)


def _gaps(axes: Any, evidence: Evidence) -> None:
    gaps = sessions.gaps_s(evidence.timeline)
    if len(gaps):
        axes.hist(np.log10(gaps), bins=120, color=PALE, density=True)
        valley, _ = sessions.valley_minutes(gaps)
        if np.isfinite(valley):
            axes.axvline(np.log10(valley * 60), color=WARM, label=f"valley {valley:.0f} min")
            axes.legend(frameon=False)
    ticks = {"1 s": 1, "1 min": 60, "1 h": 3600, "1 day": 86_400}
    axes.set_xticks(np.log10(list(ticks.values())), list(ticks))
    axes.set(title="Gaps between a user's interactions", ylabel="density")


PANELS: tuple[Callable[[Any, Evidence], None], ...] = (_session_lengths, _popularity, _position, _week, _funnel, _gaps)


def checked(path: Path) -> Path:
    """The path itself, if a picture can be written there.

    Raises:
        UsageError: The suffix is neither .png nor .svg.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot draw a picture as {path.name}", hint=f"name it with one of: {', '.join(FORMATS)}")
    return path


def draw(evidence: Evidence, path: Path) -> None:
    """Draw the six panels.

    Args:
        evidence: The stream.
        path: Where to; ``.png`` or ``.svg``.

    Raises:
        UsageError: The suffix is neither.
        ClickreelError: The file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    checked(path)
    # A figure of its own: no pyplot, no window, no state. Constant ids and no date: the same stream gives the same bytes.
    with mpl.rc_context(
        {"svg.hashsalt": "clickreel", "axes.spines.top": False, "axes.spines.right": False, "font.size": 8}
    ):
        figure = Figure(figsize=(12, 7), layout="constrained")
        for axes, panel in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
            panel(axes, evidence)
        figure.suptitle(_caption(evidence.timeline))
        try:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as exc:
            raise ClickreelError(f"cannot write {path}: {exc.strerror}", hint="choose a folder that exists") from exc


def _caption(timeline: EventTable) -> str:
    return (
        f"{quantity(len(timeline), 'event')}, {quantity(len(timeline.users), 'user')}, {quantity(len(timeline.sessions), 'session')}, "
        f"{quantity(len(timeline.films), 'film')}, {timeline.days:.0f} days"
    )
