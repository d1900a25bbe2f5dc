"""What a replay came to: the record against the fold over the same ticks, money, latency."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.contracts.predictions_pb2 import Prediction
from realtime.desk import desk_of
from realtime.history.lake import Lake
from realtime.history.lake_read import read_lake_ticks
from realtime.model import Model, load_model
from realtime.model_fold import Folded, apply_decision, fold_models
from realtime.parity import Parity, parity
from realtime.settings import Settings
from realtime.store.connection import READER, connect
from realtime.store.readers import Recorded, read_recorded
from realtime.symbols import load_symbols

_DAY_NS = 86_400_000_000_000
_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A replay, compared.

    Attributes:
        model: that traded.
        ticks: (n,) TICK that were replayed.
        desk: of the fold, at its end.
        folded: the fold over them.
        recorded: what was recorded of the replay.
        parity: whether these are the same.
        ticks_recorded: rows in the database.
        latency_us: microseconds of each stage, by percentile.
    """

    model: Model
    ticks: NDArray[np.void]
    desk: np.void
    folded: Folded
    recorded: Recorded
    parity: Parity
    ticks_recorded: int
    latency_us: Mapping[str, Mapping[str, float]]

    @property
    def balance(self) -> float:
        """Of the account after everything that the broker reported, account currency."""
        return self.recorded.reports[-1].account_state.balance

    @property
    def equity(self) -> float:
        """Of the account after the last tick, account currency."""
        return float(self.desk["account"]["equity"])


def replay_ticks(settings: Settings) -> NDArray[np.void]:
    """Return the ticks of the lake in the order of the feed."""
    return np.concatenate(list(read_lake_ticks(Lake(settings.paths.lake), settings.trade)))


def judge(settings: Settings, bundle: Path, ticks: NDArray[np.void]) -> Outcome:
    """Fold the ticks and compare with what was recorded.

    Args:
        settings: of the replay, with one symbol.
        bundle: directory of the bundle that traded.
        ticks: that were replayed.
    """
    model = load_model(bundle)
    own = settings.paths.specifications
    desk = desk_of(
        settings,
        start_ns=int(ticks["time_ns"][0]) - _DAY_NS,
        end_ns=int(ticks["time_ns"][-1]) + _DAY_NS,
        known=load_symbols(Path(own) if own else None),
    )
    apply_decision(desk, 0, model.bundle.decision)
    folded = fold_models(
        desk,
        feature_sets=[model.bundle.chosen],
        clocks=[model.bundle.clock],
        models=[model],
        ticks=ticks,
    )
    with connect(settings, READER) as connection:
        recorded = read_recorded(connection, settings.gateway.account)
        row = connection.execute("SELECT count(*) FROM ticks").fetchone()
    return Outcome(
        model=model,
        ticks=ticks,
        desk=desk,
        folded=folded,
        recorded=recorded,
        parity=parity(recorded, folded, symbols=settings.trade, models=[model]),
        ticks_recorded=0 if row is None else int(row[0]),
        latency_us=latencies(recorded),
    )


def latencies(recorded: Recorded) -> dict[str, dict[str, float]]:
    """Return how long each stage took, from the times that messages carry."""
    reports = {each.order_number: each for each in recorded.reports if each.order_number}
    pairs = [(order, reports[order.number]) for order in recorded.orders if order.number in reports]
    asked: list[Prediction] = [each for each in recorded.predictions if each.predicted_ns]
    stages: dict[str, Callable[[], list[int]]] = {
        "features to prediction": lambda: [e.predicted_ns - e.features_ns for e in asked],
        "order sent to gateway": lambda: [r.received_ns - o.sent_ns for o, r in pairs],
        "gateway to report": lambda: [r.published_ns - r.received_ns for _, r in pairs],
        "order sent to report": lambda: [r.published_ns - o.sent_ns for o, r in pairs],
    }
    return {name: percentiles(times()) for name, times in stages.items()}


def percentiles(times_ns: Sequence[int]) -> dict[str, float]:
    """Return percentiles of durations in microseconds; nothing where there are none."""
    if not times_ns:
        return {}
    found = np.percentile(np.array(times_ns) / 1e3, _PERCENTILES)
    return {f"p{at}": round(float(value), 1) for at, value in zip(_PERCENTILES, found, strict=True)}
