"""Which cluster a command talks to: the profile given, else the local stack of this home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clickreel.profile import Profile
    from clickreel.stream.broker import Broker

ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", help="A client.properties file. [default: the local stack]", envvar="CLICKREEL_PROFILE"),
]
TopicName = Annotated[
    str | None,
    typer.Option("--topic", help="Topic. [default: the project file's, else dvd_clicks]", envvar="CLICKREEL_TOPIC"),
]


def profile(path: Path | None) -> Profile:
    """The profile that a command works with.

    Raises:
        UsageError: The file is no profile.
        UnreachableError: None was given and the local stack's Kafka does not run.
    """
    if path is not None:
        from clickreel.stream.kafka_clients import read_profile

        return read_profile(path)
    from clickreel.local.home import Home
    from clickreel.local.local_profile import profile as local_profile

    return local_profile(Home.default())


def broker(path: Path | None) -> Broker:
    """The Kafka that a command works with."""
    from clickreel.stream.cluster import Cluster

    return Cluster(profile(path))


def topic_name(given: str | None) -> str:
    """The topic that a command works with: flag, environment, project file, ``dvd_clicks``."""
    from clickreel import settings
    from clickreel.stream.topic_settings import TopicSettings

    return settings.load(TopicSettings, "topic", flags={"name": given}).name
