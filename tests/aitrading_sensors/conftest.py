"""Settings of the tests' own servers."""

from tests.aitrading_assets.conftest import built_lake, instance, runs, settings
from tests.fixtures.servers import nats_server, postgres, stack_settings

__all__ = [
    "built_lake",
    "instance",
    "nats_server",
    "postgres",
    "runs",
    "settings",
    "stack_settings",
]
