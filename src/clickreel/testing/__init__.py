"""For other people's tests: pytest fixtures with a real Kafka and a seeded stream, and the broker in memory with its faults.

In a ``conftest.py``::

    pytest_plugins = ["clickreel.testing.fixtures"]

``click_stack`` is a local stack for the whole test run, ``click_topic`` a topic of the test's own on it, ``click_stream`` the same topic
with 1,000 events of a known seed. :class:`MemoryBroker` needs no process at all: it speaks the protocol of :mod:`clickreel.stream.broker`
and can crash a writer, lose old records, forget a member or go away.
"""

from clickreel.stream.memory import MemoryBroker

__all__ = ["MemoryBroker"]
