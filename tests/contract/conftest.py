from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from clickreel.contract.registry import HttpRegistry

if TYPE_CHECKING:
    from tests.conftest import Registry


@pytest.fixture(scope="session")
def apicurio(registry: "Registry") -> Iterator[HttpRegistry]:
    """The run's real registry, as the contract reaches it."""
    with HttpRegistry(registry.url) as held:
        yield held
