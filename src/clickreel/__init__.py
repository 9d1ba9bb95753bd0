"""clickreel: the streaming data source of a DVD rental platform.

The folders of this package are the path the data takes: ``simulate`` makes the events, ``contract`` turns them into bytes,
``stream`` brings them to Kafka, ``ingest`` from there to ClickHouse (``warehouse``), ``insight`` and ``flink`` answer questions,
``audit`` proves that nothing was lost or doubled. ``local`` is the stack on your own machine, ``cli`` the command line.
"""

from importlib.metadata import version as _version

__version__: str = _version("clickreel")

__all__ = ["__version__"]
