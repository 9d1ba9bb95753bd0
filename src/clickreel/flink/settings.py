"""Settings of Flink SQL: table ``[flink]`` of ``clickreel.toml``, variables ``CLICKREEL_FLINK_...``."""

from __future__ import annotations

from dataclasses import dataclass

from clickreel.settings import setting


@dataclass(frozen=True)
class FlinkSettings:
    """What can be set about Flink SQL."""

    gateway_url: str = setting(
        "",
        "SQL gateway of a Flink 2.x cluster, such as http://flink:8083; empty: the profile's, else the local stack's own.",
    )
    idle_stop_s: float = setting(
        900.0,
        "The local gateway is stopped after this many seconds without a statement, to give its memory back.",
        minimum=5,
    )
    slots: int = setting(
        16, "Statements of the local gateway that can run at once (each takes one slot).", minimum=2, maximum=256
    )
    start_from: str = setting("earliest", "Where statements begin to read a topic.", choices=("earliest", "latest"))
    until_now: bool = setting(
        False, "Read topics to their present end and finish, instead of waiting for what is still to come."
    )
    bad_records: str = setting(
        "fail",
        "What a record that breaks the contract does: fail ends the statement and names the record, skip leaves it out and says how many"
        " and which.",
        choices=("fail", "skip"),
    )
    watermark_s: float = setting(
        5.0,
        "How far the watermark stays behind the newest $rowtime, in seconds: how late an event may be delivered.",
        minimum=0,
    )
    idle_partition_s: float = setting(
        30.0,
        "A partition without records for so long no longer holds back the watermark; 0 waits for ever. Much less is dangerous: on a busy"
        " machine a partition can wait some seconds for its turn to be read, and windows then drop its records as late.",
        minimum=0,
    )
