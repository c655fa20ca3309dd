"""One desk process for all tests of its addresses: each test publishes what it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.known import DeskProcess, KnownTrader, desk_of_known_trader


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KnownTrader, DeskProcess]]:
    """A trader that publishes known values, and the desk beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERCEL_HOME", str(tmp_path_factory.mktemp("home")))
        with desk_of_known_trader() as both:
            yield both


@pytest.fixture
def trader(known: tuple[KnownTrader, DeskProcess]) -> KnownTrader:
    """The trader whose values the desk shows, freshly published."""
    known[0].publish()
    return known[0]


@pytest.fixture
def desk(known: tuple[KnownTrader, DeskProcess]) -> DeskProcess:
    """The desk process."""
    return known[1]
