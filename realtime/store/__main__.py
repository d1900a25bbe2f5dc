"""``python -m realtime.store migrate|status``: the schema of the database."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from realtime.declarations import SettingsError
from realtime.settings import load_settings
from realtime.store.connection import OWNER, READER, connect, one_line, where
from realtime.store.errors import StoreError
from realtime.store.migrate import migrate, state
from realtime.store.status import status_lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 = done, 1 = migrations are pending, 2 = refused, with one line."""
    parser = argparse.ArgumentParser(prog="python -m realtime.store", description=__doc__)
    parser.add_argument("action", choices=("migrate", "status"))
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="store: %(message)s", stream=sys.stderr)
    try:
        settings = load_settings(asked.config)
        if asked.action == "migrate":
            with connect(settings, OWNER) as connection:
                done = migrate(connection)
            print(f"{where(settings)}: {len(done)} migration(s) applied, up to date")
            return 0
        with connect(settings, READER) as connection:
            pending = state(connection).pending
            print(*status_lines(connection, pending), sep="\n")
            return 1 if pending else 0
    except (SettingsError, StoreError) as error:
        print(f"store: {error}", file=sys.stderr)
    except psycopg.Error as error:
        print(f"store: {one_line(error)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
