"""Fixtures that every test may ask for."""

from collections.abc import Iterator

import pytest

from bridge.embedded import EmbeddedServers, Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Real PostgreSQL and Valkey of the test session's own; DATABASE_URL and REDIS_URL are never looked at."""
    with EmbeddedServers(tmp_path_factory.mktemp("servers"), durable=False) as running:
        yield running
