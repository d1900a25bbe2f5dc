"""What assets and sensors are given: the settings. Everything else is made from them.

A run reads them from the file of the resource's ``config_file``, else of ``AITRADING_CONFIG``, and
the environment; passwords stay in files of ``[paths] secrets``, so none is ever in a run's
configuration.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dagster as dg

from ml.config import TrainingConfig, config_for, load_config
from ml.tracking_place import Tracking, tracking_of
from realtime.declarations import SettingsError
from realtime.settings import Settings, load_settings

_SCHEMA = {
    "config_file": dg.Field(
        str,
        default_value="",
        description="TOML file of settings; empty = the file that AITRADING_CONFIG names.",
    )
}


@dg.resource(config_schema=_SCHEMA, description="Settings of the platform")
def settings_resource(context: dg.InitResourceContext) -> Settings:
    """Read the settings."""
    named = str(context.resource_config["config_file"])
    return load_settings(Path(named) if named else None)


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """How models of each symbol are made.

    Attributes:
        clock: whose finished bars are decided on, for symbols without a file of their own.
        folder: of files ``<symbol>.toml``, which go before the shipped ones; None = none.
    """

    clock: str = "h1"
    folder: Path | None = None

    def of(self, symbol: str) -> TrainingConfig:
        """Return what a symbol's model is made of.

        Raises:
            SettingsError: its file cannot be understood, or is of another symbol.
        """
        own = None if self.folder is None else self.folder / recipe_name(symbol)
        if own is None or not own.exists():
            return config_for(symbol, self.clock)
        config = load_config(own)
        if config.symbol != symbol:
            msg = f"{own}: symbol = {config.symbol!r}: must be {symbol!r}, as the file is called"
            raise SettingsError(msg)
        return config


def recipe_name(symbol: str) -> str:
    """Return the file with a symbol's own configuration."""
    return f"{symbol.lower()}.toml"


def recipes_folder(settings: Settings) -> Path:
    """Return the folder of the user's own configurations."""
    return settings.paths.var / "recipes"


_RECIPES = {
    "clock": dg.Field(str, default_value="h1", description="Clock whose bars are decided on."),
    "folder": dg.Field(
        str,
        default_value="",
        description="Folder of <symbol>.toml files; empty = <var>/recipes.",
    ),
}


@dg.resource(
    config_schema=_RECIPES,
    required_resource_keys={"settings"},
    description="How models of each symbol are made",
)
def recipes_resource(context: dg.InitResourceContext) -> Recipes:
    """Find the recipes."""
    said = context.resource_config
    settings = cast("Settings", context.resources.settings)
    folder = Path(str(said["folder"])) if said["folder"] else recipes_folder(settings)
    return Recipes(clock=str(said["clock"]), folder=folder)


__all__ = [
    "Recipes",
    "Tracking",
    "recipe_name",
    "recipes_folder",
    "recipes_resource",
    "settings_resource",
    "tracking_of",
]
