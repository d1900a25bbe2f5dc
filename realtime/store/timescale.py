"""What TimescaleDB adds, feature by feature: used where it is, said by name where it is not.

Its Apache edition lacks compression, continuous aggregates and policies; plain PostgreSQL has none
of it. The record is complete without: ticks then lie in partitions of a month.
"""

import logging
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import Connection

from realtime.store.connection import Row, one_line

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature.

    Attributes:
        name: for the log.
        without: what it is like without it.
        present: a query that returns a row if the feature is in use.
        statements: that put it to use.
        transactional: whether the statements may run inside a transaction.
    """

    name: str
    without: str
    present: LiteralString
    statements: tuple[LiteralString, ...]
    transactional: bool = True


FEATURES = (
    Feature(
        name="clock of ticks",
        without="policies of ticks cannot tell their age",
        present="SELECT FROM pg_proc WHERE proname = 'ticks_now_ns'",
        statements=(
            """CREATE FUNCTION ticks_now_ns() RETURNS bigint LANGUAGE sql STABLE
               AS 'SELECT (extract(epoch FROM now()) * 1000000000)::bigint'""",
            "SELECT set_integer_now_func('ticks', 'ticks_now_ns')",
        ),
    ),
    Feature(
        name="compression",
        without="ticks stay uncompressed",
        present=(
            "SELECT FROM timescaledb_information.compression_settings"
            " WHERE hypertable_name = 'ticks' LIMIT 1"
        ),
        statements=(
            """ALTER TABLE ticks SET (timescaledb.compress,
               timescaledb.compress_segmentby = 'account_id, symbol_id',
               timescaledb.compress_orderby = 'feed_seq')""",
        ),
    ),
    Feature(
        name="compression policy",
        without="compress chunks of ticks by hand",
        present=(
            "SELECT FROM timescaledb_information.jobs"
            " WHERE hypertable_name = 'ticks' AND proc_name IN"
            " ('policy_compression', 'policy_columnstore')"
        ),
        statements=("SELECT add_compression_policy('ticks', 1209600000000000)",),
    ),
    Feature(
        name="continuous aggregates",
        without="minutes of ticks are not kept ready",
        present=(
            "SELECT FROM timescaledb_information.continuous_aggregates"
            " WHERE view_name = 'tick_minutes'"
        ),
        statements=(
            """CREATE MATERIALIZED VIEW readable.tick_minutes WITH (timescaledb.continuous) AS
               SELECT account_id, symbol_id, time_bucket(60000000000, time_ns) AS minute_ns,
                      count(*) AS ticks, first(bid, feed_seq) AS open, max(bid) AS high,
                      min(bid) AS low, last(bid, feed_seq) AS close, avg(ask - bid) AS spread_mean
               FROM ticks GROUP BY account_id, symbol_id, minute_ns WITH NO DATA""",
        ),
        transactional=False,
    ),
    Feature(
        name="refresh policy",
        without="refresh readable.tick_minutes by hand",
        present=(
            "SELECT FROM timescaledb_information.jobs"
            " WHERE proc_name = 'policy_refresh_continuous_aggregate'"
        ),
        statements=(
            """SELECT add_continuous_aggregate_policy('readable.tick_minutes',
               start_offset => 259200000000000::bigint, end_offset => 60000000000::bigint,
               schedule_interval => interval '5 minutes')""",
        ),
    ),
)


def add_extension(connection: Connection[Row]) -> None:
    """Create the extension where the server has it and the role may."""
    row = connection.execute(
        "SELECT installed_version FROM pg_available_extensions WHERE name = 'timescaledb'"
    ).fetchone()
    if row is None or row[0] is not None:
        return
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION timescaledb")
    except psycopg.Error as error:
        _log.info("timescaledb is on this server but not in this database: %s", one_line(error))


def use_features(connection: Connection[Row]) -> tuple[str, ...]:
    """Put every feature to use that is there; returns the names of those in use."""
    if not _exists(connection, "SELECT FROM pg_extension WHERE extname = 'timescaledb'"):
        _log.info("timescaledb is not there: ticks are in partitions of a month, uncompressed")
        return ()
    hypertable = "SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'ticks'"
    if not _exists(connection, hypertable):
        _log.info("ticks was made before timescaledb was there: it stays in partitions of a month")
        return ()
    used = ["hypertable", *(each.name for each in FEATURES if _use(connection, each))]
    _follow_retention(connection)
    _log.info("timescaledb: %s", ", ".join(used))
    return tuple(used)


def _use(connection: Connection[Row], feature: Feature) -> bool:
    try:
        if _exists(connection, feature.present):
            return True
        if feature.transactional:
            with connection.transaction():
                for statement in feature.statements:
                    connection.execute(statement)
        else:
            for statement in feature.statements:
                connection.execute(statement)
    except psycopg.Error as error:
        if connection.closed:
            raise
        _log.info("timescaledb lacks %s (%s): %s", feature.name, one_line(error), feature.without)
        return False
    return True


def _follow_retention(connection: Connection[Row]) -> None:
    """Hand the table `retention` to the server's own policy, it needs no recorder."""
    row = connection.execute(
        "SELECT keep_days FROM retention WHERE table_name = 'ticks'"
    ).fetchone()
    try:
        with connection.transaction():
            connection.execute("SELECT remove_retention_policy('ticks', if_exists => true)")
            if row is not None:
                keep_ns = int(row[0]) * 86_400_000_000_000
                connection.execute("SELECT add_retention_policy('ticks', %s::bigint)", (keep_ns,))
    except psycopg.Error as error:
        if connection.closed:
            raise
        _log.info("timescaledb lacks retention (%s): the recorder drops old ticks", one_line(error))


def _exists(connection: Connection[Row], query: LiteralString) -> bool:
    return connection.execute(query).fetchone() is not None
