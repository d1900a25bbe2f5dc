"""MLflow's aliases follow the champion: the bucket is what trades, the alias is its record.

The bucket is changed first. If MLflow is away then, the alias is behind until the next promotion,
retraining or look of the sensor `promotion_alert` moves it: aligning twice does nothing.
"""

from ml.errors import RegistryRefused
from ml.registry import bundle_of
from ml.tracking import alias_versions, drop_alias, set_alias
from ml.tracking_place import require_answer, tracking_of
from realtime.bundle import STAGES
from realtime.champion import Champion
from realtime.settings import Settings


def align(settings: Settings, champion: Champion) -> str:
    """Point the alias of a champion's stage at its version; nobody keeps the alias of a higher one.

    A rollback from live to paper leaves no version that is called live.

    Returns:
        What was changed, one line; nothing if all was so, or if its training is on no record.

    Raises:
        RegistryRefused: MLflow or the object store did not answer.
        BundleError: the champion's bytes are no bundle.
        ConnectionRefused: no server, or no password.
    """
    bundle = bundle_of(settings, champion)
    version = bundle.training.get("model_version")
    if type(version) is not int:
        return ""
    tracking = tracking_of(settings)
    require_answer(tracking)
    place = (tracking.uri, bundle.symbol, bundle.clock)
    return _aligned(place, champion.stage, version)


def _aligned(place: tuple[str, str, str], stage: str, version: int) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (three seconds)
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 (see above)

    said: list[str] = []
    try:
        held = alias_versions(*place)
        if held.get(stage) != version:
            set_alias(*place, stage, version)
            said.append(f"alias {stage} moved to version {version}")
        for higher in STAGES[STAGES.index(stage) + 1 :]:
            if higher in held:
                drop_alias(*place, higher)
                said.append(f"alias {higher} taken from version {held[higher]}")
    except (MlflowException, SQLAlchemyError) as error:
        msg = f"MLflow's alias {stage!r} was not moved to version {version}: {_line(error)}"
        raise RegistryRefused(msg) from error
    return "; ".join(said)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
