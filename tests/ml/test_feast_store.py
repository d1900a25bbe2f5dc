"""Feast over the lake: a brute-force search and Feast's own Dask store are the oracles."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pytest
from feast import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RepoConfig,
    ValueType,
)
from feast.data_source import DataSource, PushMode
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64
from hypothesis import given
from hypothesis import strategies as st

from ml.feast_store.asof import NEVER, newest_rows
from ml.feast_store.repository import apply, close, feature_store, forget, materialize, opened
from ml.feast_store.source import FeatureParquetSource
from ml.feature_files import CREATED, EVENT, MOMENT, FeatureFilesError, append_features, partition
from realtime.settings import PathSettings, Settings
from tests.fixtures.servers import Postgres, running_postgres

START = datetime(2017, 1, 28, tzinfo=UTC)
SYMBOLS = ("EURUSD", "GBPUSD", "XAUUSD")
TTL = timedelta(hours=30)
# view: columns, time to live
VIEWS = {"fast": (("a", "b"), TTL), "slow": (("c",), timedelta(0))}
SYMBOL = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)

# --- the search -------------------------------------------------------------------------------


def brute_force(events, created, asked, ttl, *, known_only):
    """Look at every row for every moment, as the definition reads."""
    found = []
    for moment in asked:
        best = -1
        for i, (event, made) in enumerate(zip(events, created, strict=True)):
            if event > moment or (ttl is not None and event < moment - ttl):
                continue
            if known_only and (made == NEVER or made > moment):
                continue
            if best < 0 or (event, made) >= (events[best], created[best]):
                best = i
        found.append(best)
    return found


times = st.integers(-20, 20)


@given(
    rows=st.lists(st.tuples(times, st.one_of(times, st.just(int(NEVER)))), max_size=25),
    asked=st.lists(times, max_size=25),
    ttl=st.one_of(st.none(), st.integers(0, 15)),
    known_only=st.booleans(),
)
def test_the_newest_row_is_what_a_search_of_all_rows_finds(rows, asked, ttl, known_only):
    events = np.array([row[0] for row in rows], np.int64)
    created = np.array([row[1] for row in rows], np.int64)
    moments = np.array(asked, np.int64)
    found = newest_rows(events, created, moments, ttl_us=ttl, known_only=known_only)
    expected = brute_force(events.tolist(), created.tolist(), asked, ttl, known_only=known_only)
    assert found.tolist() == expected


def test_a_row_without_a_creation_is_not_known_even_at_the_end_of_time():
    end = np.array([np.iinfo(np.int64).max])
    rows = np.array([1, 2]), np.array([1, NEVER])
    assert newest_rows(*rows, end, known_only=True).tolist() == [0]
    assert newest_rows(*rows, end).tolist() == [1]


# --- stores -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stores:
    lake: FeatureStore
    stock: FeatureStore
    settings: Settings
    rows: dict[str, pd.DataFrame]


def stored_rows(seed: int, columns: tuple[str, ...], *, ties: bool = True) -> pd.DataFrame:
    """Rows of three symbols over two months: gaps, late rows, NaN, in no order.

    With ties a late row corrects one that was there in time; without, there was none.
    """
    random = np.random.default_rng(seed)
    parts = []
    for symbol in SYMBOLS:
        hours = np.sort(random.choice(24 * 9, 120, replace=False))
        event = pd.to_datetime(START) + pd.to_timedelta(hours, unit="h")
        part = pd.DataFrame({EVENT: event, CREATED: event, "symbol": symbol})
        late = part.sample(40, random_state=seed)
        wait = pd.to_timedelta(random.integers(1, 60, len(late)), unit="h")
        late = late.assign(**{CREATED: late[CREATED] + wait})
        parts += [part if ties else part[~part.index.isin(late.index)], late]
    rows = pd.concat(parts, ignore_index=True)
    for column in columns:
        rows[column] = random.normal(size=len(rows))
        rows.loc[random.choice(len(rows), 20, replace=False), column] = np.nan
    return rows.sample(frac=1.0, random_state=seed).reset_index(drop=True)


def views_over(source_of: Any) -> list[Any]:
    found: list[Any] = [SYMBOL]
    for name, (columns, ttl) in VIEWS.items():
        push = PushSource(name=f"{name}_push", batch_source=source_of(name, columns))
        fields = [Field(name=column, dtype=Float64) for column in columns]
        found += [
            push,
            FeatureView(name=name, entities=[SYMBOL], ttl=ttl, schema=fields, source=push),
        ]
    return found


def settings_in(folder: Path) -> Settings:
    paths = PathSettings(var=folder / "var", lake=folder / "lake", secrets=folder / "secrets")
    return Settings(paths=paths)


def lake_store(folder: Path, rows: dict[str, pd.DataFrame]) -> FeatureStore:
    settings = settings_in(folder)
    for name, frame in rows.items():
        for symbol, part in frame.groupby("symbol"):
            given = pl.from_pandas(part).with_columns(pl.col(EVENT, CREATED).cast(MOMENT))
            append_features(settings.paths.lake, name, str(symbol), given)
    store = feature_store(settings)
    apply(store, declared_views())
    return store


def declared_views() -> list[Any]:
    return views_over(lambda name, columns: FeatureParquetSource(view=name, columns=columns))


def stock_store(folder: Path, rows: dict[str, pd.DataFrame]) -> FeatureStore:
    folder.mkdir()

    def source(name: str, columns: tuple[str, ...]) -> DataSource:
        path = folder / f"{name}.parquet"
        rows[name].to_parquet(path, index=False, coerce_timestamps="us")
        return FileSource(
            name=f"{name}_file",
            path=str(path),
            timestamp_field=EVENT,
            created_timestamp_column=CREATED,
        )

    config = RepoConfig(
        project="stock",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "dask"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    apply(store, views_over(source))
    return store


def both_stores(folder: Path, *, ties: bool) -> Stores:
    rows = {
        name: stored_rows(i, columns, ties=ties)
        for i, (name, (columns, _)) in enumerate(VIEWS.items())
    }
    return Stores(
        lake=lake_store(folder, rows),
        stock=stock_store(folder / "stock", rows),
        settings=settings_in(folder),
        rows=rows,
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return both_stores(tmp_path_factory.mktemp("stores"), ties=True)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return both_stores(tmp_path_factory.mktemp("untied"), ties=False)


def entity_rows(count: int, seed: int = 5) -> pd.DataFrame:
    """Moments in no order: on rows, between them, before, long after; an unknown symbol too."""
    random = np.random.default_rng(seed)
    minutes = random.integers(-48 * 60, 13 * 24 * 60, count)
    minutes[: count // 2] -= minutes[: count // 2] % 60  # on the hour: exactly on rows
    return pd.DataFrame(
        {
            EVENT: pd.to_datetime(START) + pd.to_timedelta(minutes, unit="m"),
            "symbol": random.choice([*SYMBOLS, "UNKNOWN"], count),
            "label": random.normal(size=count),
        }
    )


ALL = ["fast:b", "slow:c", "fast:a"]


def ordered(frame: Any) -> Any:
    """Rows and columns in an order of their own, times in one unit."""
    frame = frame.astype({EVENT: "datetime64[us, UTC]"})
    return frame.sort_values([EVENT, "symbol"]).reset_index(drop=True)[sorted(frame.columns)]


def joined(stores: Stores, asked: pd.DataFrame, **options: Any) -> tuple[Any, Any]:
    """What Feast's own store answers, and ours for the same rows.

    Its Dask store drops entity rows that one of the views has nothing for: they are left out of
    ours too, after a look that nothing was found for them.
    """
    theirs = stores.stock.get_historical_features(entity_df=asked, features=ALL, **options).to_df()
    job: Any = stores.lake.get_historical_features(entity_df=asked, features=ALL, **options)
    ours = job.to_df()
    answered = pd.MultiIndex.from_frame(ordered(theirs)[[EVENT, "symbol"]])
    kept = pd.MultiIndex.from_frame(ours.astype({EVENT: "datetime64[us, UTC]"})[[EVENT, "symbol"]])
    kept = kept.isin(answered)
    complete = job.found["fast"].there & job.found["slow"].there
    assert not (complete & ~kept).any()
    assert set(ours[~complete & kept]["symbol"]) <= {"UNKNOWN", *late_symbols(options)}
    return ordered(theirs), ordered(ours[kept])


def late_symbols(options: dict[str, Any]) -> tuple[str, ...]:
    """Rows that are there but not yet known keep the entity row, with nothing in it."""
    return SYMBOLS if options.get("filter_by_created_timestamp") else ()


@pytest.mark.parametrize("known_only", [False, True])
@pytest.mark.parametrize("full_names", [False, True])
def test_a_thousand_rows_equal_those_of_feasts_own_store(
    untied: Stores, known_only: bool, full_names: bool
):
    asked = entity_rows(1_200).drop_duplicates([EVENT, "symbol"])
    options = {"full_feature_names": full_names, "filter_by_created_timestamp": known_only}
    theirs, ours = joined(untied, asked, **options)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    # what makes the comparison worth something: enough of it, and late rows that matter
    assert len(asked) > 1_000
    assert len(theirs) > 700
    names = ["fast__b", "fast__a", "slow__c"] if full_names else ["b", "a", "c"]
    other = {**options, "filter_by_created_timestamp": not known_only}
    assert not joined(untied, asked, **other)[1][names].equals(ours[names])


@pytest.mark.parametrize("known_only", [False, True])
def test_of_corrections_the_newest_counts_where_feasts_own_store_takes_any(
    stores: Stores, known_only: bool
):
    asked = entity_rows(1_200).drop_duplicates([EVENT, "symbol"])
    theirs, ours = joined(stores, asked, filter_by_created_timestamp=known_only)
    differing = ~((ours["a"] == theirs["a"]) | (ours["a"].isna() & theirs["a"].isna()))
    for i in np.flatnonzero(differing):
        # pandas sorts unstably: theirs is another version of the same moment
        versions = eligible(stores, ours[EVENT][i], ours["symbol"][i], known_only=known_only)
        versions = versions[versions[EVENT] == versions[EVENT].max()].sort_values(CREATED)
        assert len(versions) > 1
        np.testing.assert_array_equal(ours["a"][i], versions["a"].iloc[-1])
        assert np.isin(theirs["a"][i], versions["a"]) or np.isnan(theirs["a"][i])
    assert differing.mean() < 0.3


def eligible(stores: Stores, moment: Any, symbol: str, *, known_only: bool) -> Any:
    """The rows of view `fast` that may be the answer, by the definition."""
    rows = stores.rows["fast"]
    mine = rows[(rows["symbol"] == symbol) & (rows[EVENT] <= moment)]
    mine = mine[mine[EVENT] >= moment - TTL]
    return mine[mine[CREATED] <= moment] if known_only else mine


@given(data=st.data())
def test_every_row_is_the_one_that_a_search_of_all_rows_finds(stores: Stores, data):
    hours = st.integers(-30, 24 * 12)
    picked = st.lists(st.tuples(hours, st.sampled_from([*SYMBOLS, "UNKNOWN"])), min_size=1)
    asked = data.draw(picked)
    known_only = data.draw(st.booleans())
    frame = pd.DataFrame(
        {
            EVENT: [pd.Timestamp(START) + pd.Timedelta(hours=hour) for hour, _ in asked],
            "symbol": [symbol for _, symbol in asked],
        }
    )
    found = stores.lake.get_historical_features(
        entity_df=frame, features=["fast:a"], filter_by_created_timestamp=known_only
    ).to_df()
    pd.testing.assert_frame_equal(found[[EVENT, "symbol"]], frame)
    for i, (moment, symbol) in enumerate(zip(frame[EVENT], frame["symbol"], strict=True)):
        mine = eligible(stores, moment, symbol, known_only=known_only)
        best = mine.sort_values([EVENT, CREATED])["a"].tail(1).tolist() or [np.nan]
        np.testing.assert_array_equal(found["a"][i], best[0])


def test_entity_rows_keep_their_order_their_columns_and_their_repetitions(stores: Stores):
    asked = entity_rows(200)
    asked = pd.concat([asked, asked.head(50).assign(label=-1.0)], ignore_index=True)
    found = stores.lake.get_historical_features(entity_df=asked, features=ALL).to_df()
    assert list(found.columns) == [*asked.columns, "b", "a", "c"]
    pd.testing.assert_frame_equal(found[asked.columns.tolist()], asked, check_dtype=False)
    assert found["a"].tail(50).reset_index(drop=True).equals(found["a"].head(50))
    assert found.dtypes[["a", "b", "c"]].tolist() == [np.float64] * 3


def test_moments_without_a_zone_are_utc_and_those_of_another_are_converted(stores: Stores):
    asked = entity_rows(100)
    expected = stores.lake.get_historical_features(entity_df=asked, features=ALL).to_df()
    naive = asked.assign(**{EVENT: asked[EVENT].dt.tz_localize(None)})
    tokyo = asked.assign(**{EVENT: asked[EVENT].dt.tz_convert("Asia/Tokyo")})
    for other in (naive, tokyo):
        found = stores.lake.get_historical_features(entity_df=other, features=ALL).to_df()
        pd.testing.assert_frame_equal(found, expected)


def test_the_moment_may_have_another_name(stores: Stores, capsys: pytest.CaptureFixture[str]):
    asked = entity_rows(50)
    expected = stores.lake.get_historical_features(entity_df=asked, features=ALL).to_df()
    renamed = asked.rename(columns={EVENT: "decided_at"})
    found = stores.lake.get_historical_features(entity_df=renamed, features=ALL).to_df()
    pd.testing.assert_frame_equal(found.rename(columns={"decided_at": EVENT}), expected)
    assert "Using decided_at" in capsys.readouterr().out


def test_a_feature_that_is_nan_is_not_a_row_that_is_missing(stores: Stores):
    rows = stores.rows["fast"]
    warm = rows[rows["a"].isna() & (rows[CREATED] == rows[EVENT])].head(1)
    asked = pd.DataFrame({EVENT: [*warm[EVENT], pd.Timestamp("2010-01-01", tz=UTC)]})
    asked["symbol"] = [*warm["symbol"]] * 2
    job: Any = stores.lake.get_historical_features(
        entity_df=asked, features=["fast:a"], filter_by_created_timestamp=True
    )
    values = job.to_arrow().column("a")
    assert values.null_count == 1
    assert np.isnan(values[0].as_py())
    assert job.found["fast"].there.tolist() == [True, False]


def test_only_the_months_that_can_matter_are_read(stores: Stores):
    first = pd.Timestamp("2017-02-03", tz=UTC)
    asked = pd.DataFrame({EVENT: [first, first], "symbol": ["EURUSD", "UNKNOWN"]})
    job: Any = stores.lake.get_historical_features(entity_df=asked, features=ALL)
    job.to_arrow()
    read = {name: job.found[name].partitions for name in ("fast", "slow")}
    assert [(each.symbol, each.month) for each in read["fast"]] == [("EURUSD", "2017-02")]
    # without a time to live the row may be anywhere before
    assert [each.month for each in read["slow"]] == ["2017-01", "2017-02"]
    lake = stores.settings.paths.lake
    assert read["slow"][0] == partition(lake, "slow", "EURUSD", "2017-01")


def test_a_view_can_be_joined_under_other_names(stores: Stores):
    view: Any = stores.lake.get_feature_view("fast")
    base = view.with_name("base").with_join_key_map({"symbol": "base_symbol"})
    quote = view.with_name("quote").with_join_key_map({"symbol": "quote_symbol"})
    from feast import FeatureService

    service = FeatureService(name="pair", features=[base[["a"]], quote[["a"]]])
    stores.lake.apply([service])
    moment = stores.rows["fast"][EVENT].max()
    asked = pd.DataFrame({EVENT: [moment], "base_symbol": ["EURUSD"], "quote_symbol": ["GBPUSD"]})
    found = stores.lake.get_historical_features(
        entity_df=asked, features=service, full_feature_names=True
    ).to_df()
    for name, symbol in (("base", "EURUSD"), ("quote", "GBPUSD")):
        alone = pd.DataFrame({EVENT: [moment], "symbol": [symbol]})
        expected = stores.lake.get_historical_features(entity_df=alone, features=["fast:a"]).to_df()
        np.testing.assert_array_equal(found[f"{name}__a"], expected["a"])


def test_without_entity_rows_every_symbol_is_returned_as_of_the_end(stores: Stores):
    end = START + timedelta(days=4)
    found = stores.lake.get_historical_features(features=["fast:a"], end_date=end).to_df()
    assert sorted(found["symbol"]) == sorted(SYMBOLS)
    asked = pd.DataFrame({EVENT: [pd.Timestamp(end)] * 3, "symbol": sorted(SYMBOLS)})
    expected = stores.lake.get_historical_features(entity_df=asked, features=["fast:a"]).to_df()
    pd.testing.assert_frame_equal(found[expected.columns.tolist()], expected)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("SELECT * FROM labels", "must be a pandas DataFrame"),
        (entity_rows(5).drop(columns="symbol"), "no column symbol, which feature view fast needs"),
        (entity_rows(5).assign(event_timestamp=pd.NaT), "event_timestamp is missing in 5"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(stores: Stores, asked, words: str):
    with pytest.raises(FeatureFilesError, match=words) as refused:
        stores.lake.get_historical_features(entity_df=asked, features=["fast:a"]).to_df()
    assert "\n" not in str(refused.value)


def test_a_view_over_something_else_is_refused(stores: Stores, tmp_path: Path):
    file = FileSource(name="f", path=str(tmp_path / "f.parquet"), timestamp_field=EVENT)
    fields = [Field(name="a", dtype=Float64)]
    view = FeatureView(name="other", entities=[SYMBOL], schema=fields, source=file)
    store = feature_store(settings_in(tmp_path))
    apply(store, [SYMBOL, view])
    with pytest.raises(FeatureFilesError, match="reads FeatureParquetSource only"):
        store.get_historical_features(entity_df=entity_rows(3), features=["other:a"])


# --- ranges: what materialising reads ---------------------------------------------------------


def pulled(store: FeatureStore, latest: bool, start: datetime, end: datetime) -> Any:
    view: Any = store.get_feature_view("fast")
    offline = store._get_provider().offline_store
    pull = (
        offline.pull_latest_from_table_or_query if latest else offline.pull_all_from_table_or_query
    )
    job = pull(
        config=store.config,
        data_source=view.batch_source,
        join_key_columns=["symbol"],
        feature_name_columns=["a", "b"],
        timestamp_field=EVENT,
        created_timestamp_column=CREATED,
        start_date=start,
        end_date=end,
    )
    frame = job.to_df().astype({EVENT: "datetime64[us, UTC]", CREATED: "datetime64[us, UTC]"})
    return frame.sort_values(["symbol", EVENT, CREATED]).reset_index(drop=True)[
        ["symbol", EVENT, CREATED, "a", "b"]
    ]


@pytest.mark.parametrize("latest", [True, False])
@pytest.mark.parametrize("days", [(0, 40), (2, 5), (3.5, 3.75), (-9, -8)])
def test_rows_of_a_range_equal_those_of_feasts_own_store(untied: Stores, latest: bool, days):
    start, end = (START + timedelta(days=day) for day in days)
    ours, theirs = (pulled(store, latest, start, end) for store in (untied.lake, untied.stock))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert (len(ours) == 0) == (days[0] < 0)


def test_the_ends_of_a_range_belong_to_it(stores: Stores):
    moment = stores.rows["fast"][EVENT].min().to_pydatetime()
    assert set(pulled(stores.lake, False, moment, moment)[EVENT]) == {pd.Timestamp(moment)}


# --- sources, saved datasets, writing ---------------------------------------------------------


def test_a_source_comes_back_from_the_registry_as_it_was():
    source = FeatureParquetSource(
        view="h1_0123abcd", columns=("a", "b"), description="d", tags={"k": "v"}, owner="o"
    )
    again = DataSource.from_proto(source.to_proto())
    assert again == source
    assert isinstance(again, FeatureParquetSource)
    assert (again.view, again.columns, again.owner) == ("h1_0123abcd", ("a", "b"), "o")
    assert again != FeatureParquetSource(view="h1_0123abcd", columns=("b", "a"))
    assert hash(again) == hash(source)


def test_a_source_whose_files_lack_a_column_is_refused(stores: Stores):
    good = FeatureParquetSource(view="fast", columns=("a", "b"))
    good.validate(stores.lake.config)
    FeatureParquetSource(view="not_built_yet", columns=("a",)).validate(stores.lake.config)
    with pytest.raises(FeatureFilesError, match="no column z"):
        FeatureParquetSource(view="fast", columns=("a", "z")).validate(stores.lake.config)


@pytest.mark.filterwarnings("ignore:Saving dataset is an experimental feature:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Retrieving datasets is an experimental:RuntimeWarning")
def test_a_saved_dataset_is_read_back_as_it_was(stores: Stores, tmp_path: Path):
    asked = entity_rows(100)
    job: Any = stores.lake.get_historical_features(entity_df=asked, features=ALL)
    expected = job.to_df()
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))
    stores.lake.create_saved_dataset(job, "saved", storage)
    found = stores.lake.get_saved_dataset("saved").to_df()
    pd.testing.assert_frame_equal(
        ordered(found), ordered(expected), check_like=True, check_exact=True
    )
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    with pytest.raises(FeatureFilesError, match="as Parquet files on a disk only"):
        job.persist(SavedDatasetFileStorage(path="s3://bucket/saved.parquet"))


def test_rows_that_are_pushed_offline_are_found_when_they_were_known(tmp_path: Path):
    rows = {name: stored_rows(7, columns) for name, (columns, _) in VIEWS.items()}
    store = lake_store(tmp_path, rows)
    event = rows["fast"][EVENT].max() + pd.Timedelta(hours=1)
    late = event + pd.Timedelta(hours=2)
    for created, value in ((event, 1.0), (late, 2.0)):
        pushed = pd.DataFrame(
            {"a": [value], EVENT: [event], "b": [np.nan], CREATED: [created], "symbol": ["EURUSD"]}
        )
        store.push("fast_push", pushed, to=PushMode.OFFLINE)
    asked = pd.DataFrame({EVENT: [event, late], "symbol": ["EURUSD"] * 2})
    found = store.get_historical_features(
        entity_df=asked, features=["fast:a"], filter_by_created_timestamp=True
    ).to_df()
    assert found["a"].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="do not match the batch source columns"):
        store.push("fast_push", pushed.drop(columns="b"), to=PushMode.OFFLINE)


def test_feature_logging_is_refused_with_where_to_look(stores: Stores):
    offline: Any = stores.lake._get_provider().offline_store
    with pytest.raises(NotImplementedError, match="the recorder writes them"):
        offline.write_logged_features(None, None, None, None, None)


# --- online -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of these tests' own: one of them kills it."""
    with running_postgres(tmp_path_factory.mktemp("feast_postgres")) as running:
        yield running


def online(store: FeatureStore, symbol: str = "EURUSD") -> list[Any]:
    rows = [{"symbol": symbol}]
    found = store.get_online_features(features=["fast:a", "fast:b"], entity_rows=rows).to_dict()
    return [found["a"][0], found["b"][0]]


def pushed_row(event: datetime, a: float, created: datetime | None = None) -> pd.DataFrame:
    moments = {EVENT: [event], CREATED: [created or event]}
    return pd.DataFrame({**moments, "symbol": ["EURUSD"], "a": [a], "b": [np.nan]})


def slow_row(event: datetime, c: float) -> pd.DataFrame:
    return pd.DataFrame({EVENT: [event], CREATED: [event], "symbol": ["EURUSD"], "c": [c]})


def feast_url(server: Postgres) -> str:
    return server.conninfo("feast").replace("/aitrading?", "/feast?")


@pytest.fixture(params=["sqlite", "postgres"])
def online_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureStore]:
    rows = {name: stored_rows(9, columns) for name, (columns, _) in VIEWS.items()}
    local = lake_store(tmp_path, rows)
    if request.param == "sqlite":
        yield local
        return
    server = request.getfixturevalue("server")
    server.start()
    base = settings_in(tmp_path)
    secrets = server.settings.paths.secrets
    paths = replace(base.paths, secrets=secrets)
    settings = replace(base, database=server.settings.database, paths=paths)
    with psycopg.connect(feast_url(server), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS aitrading CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with opened(settings) as store:
        apply(store, declared_views())
        yield store
        assert type(store.provider.online_store) is not type(local.provider.online_store)


def test_materialising_brings_the_newest_row_of_every_symbol(online_store: FeatureStore):
    done = materialize(online_store)
    rows = stored_rows(9, VIEWS["fast"][0])
    assert done["fast"] == rows[EVENT].max()
    for symbol in SYMBOLS:
        mine: Any = rows[rows["symbol"] == symbol]
        newest = mine.sort_values([EVENT, CREATED]).tail(1)
        np.testing.assert_array_equal(
            np.array(online(online_store, symbol), float), newest[["a", "b"]].to_numpy()[0]
        )
    assert online(online_store, "UNKNOWN") == [None, None]


def test_incremental_materialising_goes_on_from_where_it_was(online_store: FeatureStore):
    middle = START + timedelta(days=4)
    online_store.materialize(START, middle)
    before = online(online_store)
    online_store.materialize_incremental(START + timedelta(days=40))
    after = online(online_store)
    assert before != after
    materialize(online_store)
    np.testing.assert_array_equal(np.array(online(online_store), float), np.array(after, float))


def test_an_older_row_never_replaces_a_newer_one(online_store: FeatureStore):
    newest = datetime(2017, 3, 1, tzinfo=UTC)
    online_store.push("fast_push", pushed_row(newest, 1.0))
    online_store.push("fast_push", pushed_row(newest - timedelta(hours=1), 2.0))
    assert online(online_store)[0] == 1.0
    materialize(online_store)  # the lake ends in February
    assert online(online_store)[0] == 1.0
    online_store.push("fast_push", pushed_row(newest, 3.0, newest + timedelta(hours=5)))
    assert online(online_store)[0] == 3.0
    online_store.push("fast_push", pushed_row(newest + timedelta(hours=1), 4.0))
    assert online(online_store)[0] == 4.0


def test_a_row_that_outlived_its_view_comes_back_as_nulls_where_rows_expire(
    online_store: FeatureStore,
):
    """Feast hands out a row of any age: a feed that had stopped for days looked alive."""
    now = datetime.now(UTC)
    expiring: Any = online_store.config.online_store
    online_store.push("fast_push", pushed_row(now - TTL - timedelta(minutes=1), 7.0))
    assert online(online_store)[0] == 7.0
    expiring.expires = True
    rows = [{"symbol": "EURUSD"}]
    asked = online_store.get_online_features(features=["fast:a"], entity_rows=rows)
    assert asked.to_dict()["a"] == [None]
    online_store.push("fast_push", pushed_row(now - TTL + timedelta(minutes=5), 8.0))
    assert online(online_store)[0] == 8.0
    online_store.push("slow_push", slow_row(now - timedelta(days=4_000), 9.0))  # lives for ever
    slow = online_store.get_online_features(features=["slow:c"], entity_rows=rows)
    assert slow.to_dict()["c"] == [9.0]


def test_every_bit_of_a_number_comes_back(online_store: FeatureStore):
    event = datetime(2017, 3, 1, tzinfo=UTC)
    for i, value in enumerate((0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308, 1 / 3)):
        online_store.push("fast_push", pushed_row(event + timedelta(hours=i), value))
        found = online(online_store)
        assert np.float64(found[0]).tobytes() == np.float64(value).tobytes()
        assert found[1] is None or np.isnan(found[1])


@pytest.mark.parametrize("online_store", ["postgres"], indirect=True)
def test_a_restart_of_the_server_is_survived(online_store: FeatureStore, server: Postgres):
    materialize(online_store)
    before = online(online_store)
    server.kill9()
    with pytest.raises(ValueError, match="online store cannot be reached") as refused:
        online(online_store)
    assert "\n" not in str(refused.value)
    server.start()
    np.testing.assert_array_equal(np.array(online(online_store), float), np.array(before, float))


@pytest.mark.parametrize("online_store", ["postgres"], indirect=True)
def test_people_can_read_the_online_tables(online_store: FeatureStore, server: Postgres):
    online_store.push("fast_push", pushed_row(datetime(2017, 3, 1, tzinfo=UTC), 1.5))
    with psycopg.connect(feast_url(server)) as connection:
        [row] = connection.execute('SELECT symbol, a FROM aitrading."fast"').fetchall()
    assert row == ("EURUSD", 1.5)


@pytest.mark.parametrize("online_store", ["postgres"], indirect=True)
def test_only_numbers_are_kept_online(online_store: FeatureStore):
    from feast.types import String

    view = FeatureView(
        name="texts",
        entities=[SYMBOL],
        schema=[Field(name="word", dtype=String)],
        source=FeatureParquetSource(view="texts", columns=("word",)),
    )
    with pytest.raises(ValueError, match="only Float64 is kept online, not word"):
        apply(online_store, [SYMBOL, view])


def test_registering_again_or_at_once_changes_nothing(online_store: FeatureStore):
    """Feast alone numbers a view's first version twice when two processes register it."""
    store, again = online_store, FeatureStore(config=online_store.config)
    names = {view.name: view.features for view in store.list_feature_views()}
    with ThreadPoolExecutor(2) as several:
        list(
            several.map(lambda each: apply(each, [*declared_views(), extra_view()]), (store, again))
        )
    close(again)
    store.refresh_registry()
    found = {view.name: view.features for view in store.list_feature_views()}
    assert found == {**names, "extra": extra_view().features}


def extra_view() -> FeatureView:
    source = FeatureParquetSource(view="extra", columns=("x",))
    fields = [Field(name="x", dtype=Float64)]
    return FeatureView(name="extra", entities=[SYMBOL], schema=fields, source=source)


def test_a_replay_that_starts_over_forgets_first(online_store: FeatureStore):
    online_store.push("fast_push", pushed_row(datetime(2017, 3, 1, tzinfo=UTC), 1.0))
    forget(online_store)
    assert online(online_store) == [None, None]
    online_store.push("fast_push", pushed_row(datetime(2016, 3, 1, tzinfo=UTC), 2.0))
    assert online(online_store)[0] == 2.0


def test_tearing_down_drops_the_tables(online_store: FeatureStore):
    online_store.push("fast_push", pushed_row(datetime(2017, 3, 1, tzinfo=UTC), 1.0))
    view = online_store.get_feature_view("fast")
    provider = online_store.provider
    key = EntityKey(join_keys=["symbol"], entity_values=[Value(string_val="EURUSD")])
    read: Any = partial(provider.online_read, online_store.config, view, [key], ["a"])
    assert read()[0][1]["a"].double_val == 1.0
    online_store.teardown()
    with pytest.raises((psycopg.errors.UndefinedTable, sqlite3.OperationalError)):
        read()
