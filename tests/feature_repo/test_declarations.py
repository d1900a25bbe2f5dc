"""What Feast is told: one view a feature set and clock, whoever shares it; names that stay."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from feast import FeatureService, FeatureView, PushSource
from feast.types import Float64

from feature_repo.declarations import LIFETIME, declared, service_name, symbol
from ml.config import TrainingConfig
from ml.feast_store.repository import apply, feature_store
from ml.feast_store.source import FeatureParquetSource
from ml.feature_files import view_name
from realtime.settings import PathSettings, Settings

ROOT = Path(__file__).resolve().parents[2]
EURUSD = TrainingConfig(symbol="EURUSD", clock="h1")


def views(objects: list) -> list[FeatureView]:
    return [each for each in objects if isinstance(each, FeatureView)]


def test_a_view_has_the_columns_of_its_feature_set_and_their_descriptions():
    [view] = views(declared([EURUSD]))
    assert view.name == view_name("h1", EURUSD.feature_set)
    assert {field.name for field in view.schema} == set(EURUSD.features)
    assert {str(field.dtype) for field in view.features} == {str(Float64)}
    described = {field.name: field for field in view.schema}
    assert "Wilder" in described["h1_rsi_14"].description
    assert described["h1_rsi_14"].tags["unit"] == "0..100"
    assert view.tags["feature_set"] == EURUSD.feature_set.identity
    assert view.entities == [symbol.name]


def test_a_view_reads_its_folder_of_the_lake_and_takes_pushes():
    [view] = views(declared([EURUSD]))
    assert isinstance(view.batch_source, FeatureParquetSource)
    assert (view.batch_source.view, view.batch_source.columns) == (view.name, EURUSD.features)
    assert isinstance(view.stream_source, PushSource)
    assert view.stream_source.name == f"{view.name}_push"


def test_symbols_of_one_feature_set_share_a_view_and_have_a_service_each():
    gold = replace(EURUSD, symbol="XAUUSD")
    other = TrainingConfig(symbol="EURUSD", clock="m5")
    objects = declared([EURUSD, gold, other])
    assert len(views(objects)) == 2
    assert views(objects)[0].tags["symbols"] == "EURUSD,XAUUSD"
    services = {each.name: each for each in objects if isinstance(each, FeatureService)}
    assert set(services) == {"EURUSD_h1", "XAUUSD_h1", "EURUSD_m5"}
    assert service_name("EURUSD", "h1") == "EURUSD_h1"
    read = [services[name].feature_view_projections[0].name for name in services]
    assert read == [views(objects)[0].name] * 2 + [views(objects)[1].name]


def test_rows_live_over_a_weekend_and_longer_on_slow_clocks():
    fast, slow = (
        views(declared([TrainingConfig(symbol="EURUSD", clock=clock)]))[0] for clock in ("m1", "d1")
    )
    assert fast.ttl == LIFETIME > timedelta(days=4)
    assert slow.ttl is not None
    assert slow.ttl >= timedelta(days=3)


def test_a_changed_feature_set_is_another_view_under_the_same_service(tmp_path: Path):
    paths = PathSettings(var=tmp_path / "var", lake=tmp_path / "lake", secrets=tmp_path / "s")
    store = feature_store(Settings(paths=paths))
    changed = replace(EURUSD, features=(*EURUSD.features, "h1_mfi_14"))
    apply(store, declared([EURUSD]))
    apply(store, declared([changed]))
    # what is still served by a champion stays
    assert {view.name for view in store.list_feature_views()} == {
        view_name("h1", each.feature_set) for each in (EURUSD, changed)
    }
    service = store.get_feature_service("EURUSD_h1")
    names = [feature.name for feature in service.feature_view_projections[0].features]
    assert names == list(changed.features)


def test_feasts_own_command_line_registers_the_same(tmp_path: Path):
    trade = "EURUSD,GBPUSD"
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AITRADING_TRADE": trade,
        "AITRADING_PATHS__VAR": str(tmp_path / "var"),
        "AITRADING_PATHS__LAKE": str(tmp_path / "lake"),
        "AITRADING_PATHS__SECRETS": str(tmp_path / "secrets"),
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yaml = run(sys.executable, "-m", "ml.feast_store", "yaml").strip()
    assert Path(yaml).stat().st_mode & 0o077 == 0
    feast = Path(sysconfig.get_path("scripts")) / "feast"
    run(str(feast), "-f", str(tmp_path / yaml), "-c", str(ROOT / "feature_repo"), "apply")
    paths = PathSettings(var=tmp_path / "var", lake=tmp_path / "lake", secrets=tmp_path / "s")
    store = feature_store(Settings(paths=paths))
    services = {service.name for service in store.list_feature_services()}
    assert services == {f"{name}_h1" for name in trade.split(",")}
    assert [view.name for view in store.list_feature_views()] == [
        view_name("h1", EURUSD.feature_set)
    ]
