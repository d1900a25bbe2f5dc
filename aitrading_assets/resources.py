"""What assets and sensors are given: the settings. Everything else is made from them.

A run reads them from the file of the resource's ``config_file``, else of ``AITRADING_CONFIG``, and
the environment; passwords stay in files of ``[paths] secrets``, so none is ever in a run's
configuration.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit, urlunsplit

import dagster as dg

from ml.config import TrainingConfig, config_for, load_config
from realtime.connection import secret
from realtime.declarations import SettingsError
from realtime.settings import Settings, load_settings

_ROLE = "mlflow"
_SCHEME = "postgresql+psycopg2"

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


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where trainings are recorded.

    Attributes:
        uri: of MLflow's database, with the password: never show it. The server reads the same one,
            and going straight to it saves a round trip for every number.
        artifacts: URI of the folder for files.
    """

    uri: str = field(repr=False)
    artifacts: str


def tracking_of(settings: Settings) -> Tracking:
    """Return where trainings are recorded: PostgreSQL, or a file where its role has no password.

    Raises:
        ConnectionRefused: the password cannot be read.
    """
    folder = (settings.paths.var / "mlflow").resolve()
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    parts = urlsplit(settings.database.url)
    if parts.username is not None:
        url = parts._replace(scheme=_SCHEME, path=f"/{_ROLE}")
    elif (settings.paths.secrets / f"postgres-{_ROLE}").exists():
        password = quote(secret(settings.paths.secrets, f"postgres-{_ROLE}"), safe="")
        place = f"{_ROLE}:{password}@{parts.hostname}:{parts.port or 5432}"
        url = parts._replace(scheme=_SCHEME, netloc=place, path=f"/{_ROLE}")
    else:
        return Tracking(uri=f"sqlite:///{folder / 'mlflow.db'}", artifacts=artifacts.as_uri())
    return Tracking(uri=urlunsplit(url), artifacts=artifacts.as_uri())
