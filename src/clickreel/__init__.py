"""clickreel: the streaming data source of a DVD rental platform.

The folders of this package are the path the data takes: ``simulate`` makes the events, ``contract`` turns them into bytes,
``stream`` brings them to Kafka, ``ingest`` from there to ClickHouse (``warehouse``), ``insight`` and ``flink`` answer questions,
``audit`` proves that nothing was lost or doubled. ``local`` is the stack on your own machine, ``cli`` the command line.
"""

from typing import Any

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    # Looked up at first use: importlib.metadata alone would be a quarter of the time of `clickreel --help`.
    if name == "__version__":
        from importlib.metadata import version

        return version("clickreel")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
