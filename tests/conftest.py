"""Fixtures that every test may ask for."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from bridge.embedded import EmbeddedServers, Servers

# A busy machine is no failure. CI repeats what is known; new examples are found at a desk, where somebody can look.
settings.register_profile(
    "lrs-bridge", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("lrs-bridge")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Real PostgreSQL and Valkey of the test session's own; DATABASE_URL and REDIS_URL are never looked at."""
    with EmbeddedServers(tmp_path_factory.mktemp("servers"), durable=False) as running:
        yield running
