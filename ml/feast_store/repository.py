"""Feast's store as the settings say it: where it keeps what, and what is done with it.

With PostgreSQL (a password of the role ``feast`` in ``paths.secrets``, or a user in the url of
``[database]``), registry and online store are in the database ``feast``. Without, both are files
under ``<paths.var>/feast``: enough to try things, for one process at a time.

feast takes seconds to import, so these functions do it, not this module.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import yaml

from ml.feature_files import EVENT, read_features, stored_months, stored_symbols
from realtime.history.lake import Lake
from realtime.settings import Settings

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

PROJECT = "aitrading"
ROLE = "feast"
_OFFLINE = "ml.feast_store.offline_store.LakeOfflineStore"
_NEWEST = "ml.feast_store.online_store.NewestOnlineStore"
_NEWEST_SQLITE = "ml.feast_store.online_store.NewestSqliteOnlineStore"
_REGISTRY_SECONDS = 5  # after which a reader notices what another process applied


def configuration(settings: Settings, *, expires: bool = False) -> dict[str, Any]:
    """Return what would stand in ``feature_store.yaml``, with the password: never show it.

    Args:
        settings: of paths and database.
        expires: whether online rows older than their view's time to live come back as nulls.

    Raises:
        OSError: the password cannot be read.
    """
    folder = (settings.paths.var / "feast").absolute()
    url = database_url(settings)
    if url:
        path = url.replace("postgresql://", "postgresql+psycopg://", 1)
        registry: dict[str, Any] = {
            "registry_type": "sql",
            "path": path,
            # a restart of the server is noticed before a query, not by it
            "sqlalchemy_config_kwargs": {"echo": False, "pool_pre_ping": True},
        }
        online: dict[str, Any] = {"type": _NEWEST, "url": url}
    else:
        registry = {"registry_type": "file", "path": str(folder / "registry.db")}
        online = {"type": _NEWEST_SQLITE, "path": str(folder / "online.db")}
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {**registry, "cache_ttl_seconds": _REGISTRY_SECONDS},
        "offline_store": {"type": _OFFLINE, "lake": str(settings.paths.lake.absolute())},
        "online_store": {**online, "expires": expires},
        "entity_key_serialization_version": 3,
        "materialization": {"pull_latest_features": True},
    }


def database_url(settings: Settings) -> str:
    """Return the url of Feast's database, with user and password; empty: there is none.

    Raises:
        OSError: the password cannot be read.
    """
    parts = urlsplit(settings.database.url)
    if parts.username is not None:
        return urlunsplit(parts._replace(path=f"/{ROLE}"))
    kept = settings.paths.secrets / f"postgres-{ROLE}"
    if not kept.exists():
        return ""
    password = quote(kept.read_text(encoding="utf-8").strip(), safe="")
    place = f"{parts.hostname}:{parts.port or 5432}"
    return urlunsplit(parts._replace(netloc=f"{ROLE}:{password}@{place}", path=f"/{ROLE}"))


def feature_store(settings: Settings, *, expires: bool = False) -> FeatureStore:
    """Return Feast's store; `close` it, or use `opened`. Arguments as of `configuration`.

    Raises:
        OSError: the password cannot be read.
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    from feast import FeatureStore, RepoConfig  # noqa: PLC0415 (takes seconds)

    if not database_url(settings):
        (settings.paths.var / "feast").mkdir(parents=True, exist_ok=True)
    config: RepoConfig = RepoConfig(
        repo_path=Path.cwd(), **configuration(settings, expires=expires)
    )
    return FeatureStore(config=config)


@contextmanager
def opened(settings: Settings, *, expires: bool = False) -> Generator[FeatureStore]:
    """Give Feast's store for a while; see `feature_store`."""
    store = feature_store(settings, expires=expires)
    try:
        yield store
    finally:
        close(store)


def close(store: FeatureStore) -> None:
    """Close the connections of a store, which Feast itself would leave to the garbage collector."""
    for part in (store.provider, store.registry):
        for name in ("online_store", "write_engine", "read_engine"):
            held: Any = getattr(part, name, None)
            if name == "online_store" and hasattr(held, "close_connections"):
                held.close_connections()
            elif hasattr(held, "dispose"):
                held.dispose()


def apply(store: FeatureStore, declared: Sequence[Any]) -> None:
    """Register declarations and make the tables that they need online.

    What is no longer declared stays: the champion may have been trained on it, and the loop goes
    on pushing it.

    Args:
        store: see `feature_store`.
        declared: entities, sources, feature views, services.
    """
    with _alone(store):
        store.apply(list(declared))


@contextmanager
def _alone(store: FeatureStore) -> Generator[None]:
    """Wait for others who register: Feast numbers versions as if there were none."""
    online: Any = getattr(store.provider, "online_store", None)
    if hasattr(online, "alone"):
        with online.alone(store.config):
            yield
        return
    config: Any = store.config
    path = Path(config.registry.path).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store.refresh_registry()
        yield


def materialize(store: FeatureStore, views: Iterable[str] = ()) -> dict[str, datetime]:
    """Bring the newest stored row of each symbol into the online store.

    Unlike Feast's incremental materialisation this also brings a symbol whose files came later
    than a newer symbol's, and costs the same however long the history: only the newest month of
    each symbol is read. Rows that are newer online stay (see `ml.feast_store.online_store`).

    Args:
        store: see `feature_store`.
        views: names; none = all that are stored.

    Returns:
        By view, the newest stored moment; views without rows are left out.
    """
    lake = Lake(_lake(store))
    done: dict[str, datetime] = {}
    for name in list(views) or [view.name for view in store.list_feature_views()]:
        span = stored_span(lake, name)
        if span is not None:
            store.materialize(*span, feature_views=[name])
            done[name] = span[1]
    return done


def forget(store: FeatureStore) -> None:
    """Empty the online store: for a replay that starts over, whose rows would all be too old."""
    views = store.list_feature_views()
    online: Any = getattr(store.provider, "online_store", None)
    for gone, kept in ((views, []), ([], views)):
        online.update(store.config, gone, kept, [], [], partial=True)


def stored_span(lake: Lake, view: str) -> tuple[datetime, datetime] | None:
    """Return the start of the first stored month of a view, and its newest moment."""
    starts: list[datetime] = []
    ends: list[datetime] = []
    for symbol in stored_symbols(lake, view):
        months = stored_months(lake, view, symbol)
        if months:
            starts.append(datetime(months[0].year, months[0].month, 1, tzinfo=UTC))
            newest = read_features(lake, view, symbol, months=months[-1:], columns=())
            ends += newest[EVENT].tail(1).to_list()
    return (min(starts), max(ends)) if ends else None


def _lake(store: FeatureStore) -> str:
    offline: Any = store.config.offline_store
    return offline.lake


def write_configuration(settings: Settings) -> Path:
    """Write ``<paths.var>/feast/feature_store.yaml`` for Feast's own command line.

    It holds the password, so only its owner can read it.

    Raises:
        OSError: it cannot be written.
    """
    path = settings.paths.var / "feast" / "feature_store.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        yaml.safe_dump(configuration(settings), stream, sort_keys=False)
    partial.replace(path)
    return path
