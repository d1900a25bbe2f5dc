"""Servers and stacks for the gateway's tests."""

import pytest

from tests.fixtures.gateway import Rig
from tests.fixtures.servers import nats_server

__all__ = ["nats_server", "rigs"]


@pytest.fixture
def rigs(tmp_path, nats_server):
    """Make stacks on an emptied NATS server; their processes end with the test."""
    nats_server.empty()
    made = []

    def make(ticks, *, nats=nats_server, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Rig(folder, nats, ticks, **settings))
        return made[-1]

    yield make
    for rig in made:
        rig.close()
