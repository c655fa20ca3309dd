"""Servers shared by the tests of the cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cache.servers import Server, cluster, single


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis of this module's own."""
    with single(tmp_path_factory.mktemp("redis")) as one:
        yield one


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """A Redis cluster of this module's own: six nodes."""
    with cluster(tmp_path_factory.mktemp("cluster")) as six:
        yield six
