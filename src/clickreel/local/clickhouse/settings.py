"""Settings of the embedded ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass

from clickreel.settings import setting


@dataclass(frozen=True)
class ClickHouseSettings:
    """What a user may change about it: table ``[local_clickhouse]``, environment ``CLICKREEL_LOCAL_CLICKHOUSE_<FIELD>``."""

    user: str = setting("default", "Name of the user who may do everything; a server's own default.")
    password: str = setting(
        "",
        "The password of that user. In a local stack: the token of the home, taken over by `up` while nothing runs; without it a random one.",
    )
    reader: str = setting("", "Name of a second user who may only read; none by default.")
    reader_password: str = setting("", "The password of the reader.")
    memory_mb: int = setting(
        0, "Memory that all statements together may take, MB; 0 for half of the machine's, at most 4096.", minimum=0
    )
