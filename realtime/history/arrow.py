"""pyarrow, which ships no types: whatever comes from it is `Any`, said here once."""

from importlib import import_module
from typing import Any

pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")
