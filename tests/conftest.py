"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

from tests.fixtures.servers import nats_server, postgres, stack_settings

__all__ = ["nats_server", "postgres", "stack_settings"]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data beside the checkout; the test skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real market data in ../shared/data, absent on this machine")
    return SHARED_DATA
