"""Feast's online store on PostgreSQL: one table a view, one row a symbol, the newest wins.

Feast's own PostgreSQL store keeps a row for each single feature and lets whoever writes last win:
a nightly materialisation of yesterday's files would put the loop's last bar back. Here a row is
replaced by a newer one only (by event, then by creation), whoever brings it and in whatever order.
The tables can be read by people: schema = project, table = view, a column for each feature.

A view's time to live bounds the joins of training sets. Online, Feast itself passes over it and
hands out a row of any age. Here it holds where the configuration says ``expires: true``
(``python -m ml.feast_store serve --expire``): a row whose event is longer ago by the machine's
clock comes back as nulls, beside its event, so that a feed that stopped shows. A replay of old data
goes without: all of it is old.

Feast finds it by ``online_store: {type: ml.feast_store.online_store.NewestOnlineStore, url: ...}``.
"""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import psycopg
from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel
from psycopg import Connection, sql
from pydantic import SecretStr

from ml.errors import LearningError
from ml.feature_files import CREATED, EVENT, SYMBOL
from realtime.clock import WallClock

#: What Feast hands over to be written: key, features, event, creation.
Row = tuple[EntityKey, Mapping[str, Value], datetime, datetime | None]
#: What Feast wants back for a key: event and features, or nothing.
Answer = tuple[datetime | None, dict[str, Value] | None]

_TIMEOUT_S = 5
_Result = TypeVar("_Result")


class OnlineStoreRefused(LearningError):
    """The online store cannot be reached, or a view is not of a kind that it keeps."""


class NewestOnlineStoreConfig(FeastConfigBaseModel):
    """``online_store`` of the configuration.

    Attributes:
        type: how Feast finds the class.
        url: ``postgresql://user:password@host:port/database``; never shown.
        expires: whether rows older than their view's time to live come back as nulls.
    """

    type: str = "ml.feast_store.online_store.NewestOnlineStore"
    url: SecretStr
    expires: bool = False


def lived(answers: list[Answer], config: RepoConfig, table: FeatureView) -> list[Answer]:
    """Return answers with nulls for features that outlived their view, where these expire."""
    if not cast("Any", config.online_store).expires or not table.ttl:
        return answers
    now = datetime.fromtimestamp(WallClock().now_ns() / 1e9, UTC)
    return [
        (event, {name: Value() for name in values})
        if event is not None and values is not None and _utc(event) < now - table.ttl
        else (event, values)
        for event, values in answers
    ]


class Connections:
    """A few connections, handed to whichever thread needs one; survives a server's restart."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[Connection[Any]] = []
        self._lock = threading.Lock()

    def run(self, work: Callable[[Connection[Any]], _Result]) -> _Result:
        """Do something that may be done twice with a connection of one's own.

        Raises:
            OnlineStoreRefused: the server cannot be reached.
            psycopg.Error: it refuses.
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._used(connection, work)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.close()  # the server went away: the other idle ones are dead too
        return self._used(self.connect(), work)

    def _used(
        self, connection: Connection[Any], work: Callable[[Connection[Any]], _Result]
    ) -> _Result:
        try:
            result = work(connection)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return result

    def connect(self) -> Connection[Any]:
        """Return a new connection, which the caller closes.

        Raises:
            OnlineStoreRefused: the server cannot be reached.
        """
        try:
            return psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=_TIMEOUT_S,
                application_name="aitrading feast",
            )
        except psycopg.OperationalError as error:
            text = str(error).strip().splitlines()[0]
            msg = f"Feast's online store cannot be reached: {text}; start the servers (make up)"
            raise OnlineStoreRefused(msg) from error

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class NewestOnlineStore(OnlineStore):
    """Keeps the newest row of each symbol."""

    def __init__(self) -> None:
        self._connections: Connections | None = None

    def _of(self, config: RepoConfig) -> Connections:
        if self._connections is None:
            online = cast("NewestOnlineStoreConfig", config.online_store)
            self._connections = Connections(online.url.get_secret_value())
        return self._connections

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows that are newer than what is there; all or none.

        Raises:
            OnlineStoreRefused: the server cannot be reached.
            psycopg.Error: it refuses.
        """
        columns = _columns(table)
        rows = [
            (_symbol(key), _utc(event), _utc(created or event), *(_number(v, c) for c in columns))
            for key, v, event, created in data
        ]
        statement = _upsert(config.project, table.name, columns)

        def write(connection: Connection[Any]) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(statement, rows)

        self._of(config).run(write)
        if progress is not None:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: Sequence[EntityKey],
        requested_features: Sequence[str] | None = None,
    ) -> list[Answer]:
        """Return event and features of each symbol, in the order asked.

        Raises:
            OnlineStoreRefused: the server cannot be reached.
            psycopg.Error: it refuses.
        """
        columns = list(requested_features or _columns(table))
        symbols = [_symbol(key) for key in entity_keys]
        query = sql.SQL("SELECT {} FROM {} WHERE {} = ANY(%s)").format(
            _identifiers((SYMBOL, EVENT, *columns)),
            sql.Identifier(config.project, table.name),
            sql.Identifier(SYMBOL),
        )

        def read(connection: Connection[Any]) -> list[tuple[Any, ...]]:
            return connection.execute(query, (symbols,)).fetchall()

        found = {row[0]: row[1:] for row in self._of(config).run(read)}
        answers = [_answer(found.get(symbol), columns) for symbol in symbols]
        return lived(answers, config, table)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,  # noqa: FBT001 (Feast's signature)
    ) -> None:
        """Make tables that are missing; drop those of views that are no more.

        Raises:
            OnlineStoreRefused: a view has features that are not numbers, or the server is away.
        """
        del entities_to_delete, entities_to_keep, partial
        statements = [_drop(config.project, view.name) for view in tables_to_delete]
        statements += [_create(config.project, view) for view in tables_to_keep]

        def change(connection: Connection[Any]) -> None:
            with connection.transaction():
                # Two processes that apply at once would race for the names.
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('aitrading.feast'))")
                schema = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}")
                connection.execute(schema.format(sql.Identifier(config.project)))
                for statement in statements:
                    connection.execute(statement)

        self._of(config).run(change)

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        """Drop the tables of views."""
        self.update(config, tables, (), entities, (), partial=False)

    @contextmanager
    def alone(self, config: RepoConfig) -> Generator[None]:
        """Hold what only one process at a time may hold, of all that use the database.

        Raises:
            OnlineStoreRefused: the server cannot be reached.
        """
        with closing(self._of(config).connect()) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext('aitrading.feast.apply'))")
            yield

    def close_connections(self) -> None:
        """Close what is idle."""
        if self._connections is not None:
            self._connections.close()

    async def close(self) -> None:
        """Close what is idle, when Feast's server ends."""
        self.close_connections()


def _columns(view: FeatureView) -> list[str]:
    return [field.name for field in view.features]


def _create(schema: str, view: FeatureView) -> sql.Composed:
    wrong = [field.name for field in view.features if str(field.dtype) != "Float64"]
    if wrong:
        msg = f"feature view {view.name}: only Float64 is kept online, not {', '.join(wrong)}"
        raise OnlineStoreRefused(msg)
    features = [sql.SQL("{} double precision").format(sql.Identifier(c)) for c in _columns(view)]
    return sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} ({} text PRIMARY KEY, {} timestamptz NOT NULL,"
        " {} timestamptz NOT NULL, {}) WITH (fillfactor = 50)"  # room for updates in place
    ).format(
        sql.Identifier(schema, view.name),
        *map(sql.Identifier, (SYMBOL, EVENT, CREATED)),
        sql.SQL(", ").join(features),
    )


def _drop(schema: str, table: str) -> sql.Composed:
    return sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, table))


def _upsert(schema: str, table: str, columns: Sequence[str]) -> sql.Composed:
    names = (SYMBOL, EVENT, CREATED, *columns)
    assign = sql.SQL("{0} = EXCLUDED.{0}")
    return sql.SQL(
        "INSERT INTO {table} AS old ({names}) VALUES ({values}) ON CONFLICT ({symbol}) DO UPDATE"
        " SET {assigned} WHERE (EXCLUDED.{event}, EXCLUDED.{created}) >= (old.{event},"
        " old.{created})"
    ).format(
        table=sql.Identifier(schema, table),
        names=_identifiers(names),
        values=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        symbol=sql.Identifier(SYMBOL),
        event=sql.Identifier(EVENT),
        created=sql.Identifier(CREATED),
        assigned=sql.SQL(", ").join(assign.format(sql.Identifier(name)) for name in names[1:]),
    )


def _identifiers(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _symbol(key: EntityKey) -> str:
    return str(cast("Any", key).entity_values[0].string_val)


def _number(values: Mapping[str, Value], column: str) -> float | None:
    value = values.get(column)
    if value is None or value.WhichOneof("val") is None:
        return None
    return float(getattr(value, cast("str", value.WhichOneof("val"))))


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _answer(row: tuple[Any, ...] | None, columns: Sequence[str]) -> Answer:
    if row is None:
        return None, None
    values = zip(columns, row[1:], strict=True)
    return row[0], {c: Value() if v is None else Value(double_val=v) for c, v in values}


class NewestSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """``online_store`` of the configuration, where there is no server.

    Attributes:
        type: how Feast finds the class.
        expires: whether rows older than their view's time to live come back as nulls.
    """

    type: str = "ml.feast_store.online_store.NewestSqliteOnlineStore"  # pyright: ignore[reportIncompatibleVariableOverride] (Feast's own says "sqlite")
    expires: bool = False


class NewestSqliteOnlineStore(SqliteOnlineStore):
    """Feast's store in a file, for one process at a time; the newest wins here too."""

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Answer]:
        """Return event and features of each symbol, in the order asked."""
        answers = super().online_read(config, table, entity_keys, requested_features)
        return lived(answers, config, table)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows that are not older than what is there, the newest last."""
        there = super().online_read(config, table, [row[0] for row in data])
        newer = [
            row
            for row, (event, _) in zip(data, there, strict=True)
            if event is None or _utc(row[2]) >= _utc(event)
        ]
        newer.sort(key=lambda row: (_utc(row[2]), _utc(row[3] or row[2])))
        super().online_write_batch(config, table, cast("Any", newer), progress)
