"""The declarations where Feast's command line looks for them: in the names of a module.

    python -m ml.feast_store yaml
    feast -f var/feast/feature_store.yaml -c feature_repo apply

Registers what the shipped training configurations and the symbols of ``trade`` use. The assets
register what they train by themselves.
"""

from feature_repo.declarations import declared
from ml.config import CONFIGS, TrainingConfig, config_for, load_config
from realtime.settings import load_settings

_CLOCK = "h1"  # of symbols without a configuration of their own


def configured() -> list[TrainingConfig]:
    """Return the shipped configurations, and generic ones of traded symbols without."""
    shipped = [load_config(path) for path in sorted(CONFIGS.glob("*.toml"))]
    known = {config.symbol for config in shipped}
    others = [symbol for symbol in load_settings().trade if symbol not in known]
    return [*shipped, *(config_for(symbol, _CLOCK) for symbol in others)]


globals().update({f"declared_{i}": each for i, each in enumerate(declared(configured()))})
