from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from clickreel.contract.schema_registry import HttpRegistry

if TYPE_CHECKING:
    from tests.conftest import Registry


# No deadline: an example's time says more of the machine's other work than of the code.
settings.register_profile("contract", deadline=None)
settings.load_profile("contract")


@pytest.fixture(scope="session")
def apicurio(registry: "Registry") -> Iterator[HttpRegistry]:
    """The run's real registry, as the contract reaches it."""
    with HttpRegistry(registry.url) as held:
        yield held
