"""Settings that are written to a file are the settings that are read from it."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from deploy.local.config_file import settings_toml
from realtime.settings import Settings, SymbolSettings, load_settings


def read_back(settings: Settings, folder: Path) -> Settings:
    path = folder / "settings.toml"
    path.write_text(settings_toml(settings), encoding="utf-8")
    return load_settings(path, {})


def test_defaults_with_absolute_paths_come_back(tmp_path: Path) -> None:
    settings = Settings()
    paths = replace(
        settings.paths, var=tmp_path, lake=tmp_path / "lake", secrets=tmp_path / 'a "quoted" name'
    )
    settings = replace(settings, paths=paths)
    assert read_back(settings, tmp_path) == settings


def test_every_kind_of_value_comes_back(tmp_path: Path) -> None:
    settings = Settings()
    gold = SymbolSettings(
        limits=replace(settings.limits, max_spread_points=40.5, max_tick_age_ns=1_500_000_001),
        decision=replace(settings.decision, allow_short=False, sizing="kelly"),
        costs=replace(settings.costs, commission="per_lot", commission_rate=0.1 + 0.2),
    )
    settings = replace(
        settings,
        trade=("EURUSD", "XAUUSD.m"),
        account=replace(settings.account, balance=12345.678901234567, money_digits=-1),
        paths=replace(
            settings.paths, var=tmp_path, lake=tmp_path, secrets=tmp_path, specifications="a.toml"
        ),
        gateway=replace(settings.gateway, lockstep=True, history_from="2000-01-01"),
        symbols=MappingProxyType({"XAUUSD.m": gold}),
    )
    back = read_back(settings, tmp_path)
    assert dict(back.symbols) == dict(settings.symbols)
    assert replace(back, symbols=settings.symbols) == settings
