"""The database of tests/ingest."""

from tests.ingest.conftest import client, profile

__all__ = ["client", "profile"]
