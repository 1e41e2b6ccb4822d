"""What tests of several rooms share: the databases a directory runs on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import postgresql as server


@pytest.fixture(scope="session")
def postgresql_cluster() -> Iterator[server.Cluster]:
    """One cluster for all tests that want one."""
    if server.programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with server.cluster() as cluster:
        yield cluster


@pytest.fixture
def postgresql(postgresql_cluster: server.Cluster) -> server.Cluster:
    """The cluster with its database empty."""
    postgresql_cluster.emptied()
    return postgresql_cluster


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The URL of an empty PostgreSQL database, or None for SQLite in the state directory."""
    if request.param == "sqlite":
        return None
    cluster: server.Cluster = request.getfixturevalue("postgresql")
    return cluster.url()
