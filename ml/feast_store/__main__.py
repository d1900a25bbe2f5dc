"""``python -m ml.feast_store serve|materialize|forget|yaml``: Feast as the settings say it."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType

from ml.errors import LearningError
from ml.feast_store import repository, serving
from realtime.declarations import SettingsError
from realtime.history.errors import HistoryError
from realtime.settings import Settings, load_settings

_ACTIONS = {
    "serve": "answer for online features, take pushes",
    "materialize": "bring the newest stored rows online",
    "forget": "empty the online store, before a replay that starts over",
    "yaml": "write feature_store.yaml for Feast's own command line",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 = done or stopped, 2 = refused, with one line."""
    parser = argparse.ArgumentParser(prog="python -m ml.feast_store", description=__doc__)
    parser.add_argument(
        "action", choices=_ACTIONS, help="; ".join(map(": ".join, _ACTIONS.items()))
    )
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    parser.add_argument("--host", default=serving.HOST, help="to serve on")
    parser.add_argument("--port", type=int, default=serving.PORT, help="to serve on")
    parser.add_argument(
        "--expire",
        action="store_true",
        help="serve nulls for rows past their view's time to live; not for replays of old data",
    )
    asked = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    # It warns that nobody has to log in: on the loopback, on purpose.
    logging.getLogger("feast.permissions").setLevel(logging.ERROR)
    try:
        _act(asked, load_settings(asked.config))
    except (SettingsError, LearningError, HistoryError, OSError) as error:
        print(f"feast: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if type(error).__name__ != "OperationalError":  # SQLAlchemy's: the database is away
            raise
        reason = str(error).splitlines()[0]
        print(f"feast: the database cannot be used: {reason}", file=sys.stderr)
        return 2
    return 0


def _act(asked: argparse.Namespace, settings: Settings) -> None:
    if asked.action == "yaml":
        print(repository.write_configuration(settings))
        return
    if asked.action == "forget":
        with repository.opened(settings) as store:
            repository.forget(store)
        return
    if asked.action == "materialize":
        with repository.opened(settings) as store:
            for view, newest in repository.materialize(store).items():
                print(f"{view}: online up to {newest:%Y-%m-%d %H:%M:%S} UTC")
        return
    with (
        closing(serving.listening(asked.host, asked.port)) as bound,
        repository.opened(settings, expires=asked.expire) as store,
    ):
        serving.serve(store, bound)


def _stop(number: int, frame: FrameType | None) -> None:
    """End at once and in order; while it serves, the server catches the signal first."""
    del number, frame
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
