"""Servers shared by the tests of the cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from benchmarks.redis_servers import BINARY, Server, cluster, single


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The real server's binary; without it a test is skipped by that name."""
    found = shutil.which(BINARY)
    if found is None:
        pytest.skip(f"needs {BINARY} (Debian: apt-get install redis-server)")
    return found


@pytest.fixture(scope="module")
def server(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis of this module's own."""
    with single(tmp_path_factory.mktemp("redis")) as one:
        yield one


@pytest.fixture(scope="module")
def servers(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """A Redis cluster of this module's own: six nodes."""
    with cluster(tmp_path_factory.mktemp("cluster")) as six:
        yield six
