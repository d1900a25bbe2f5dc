"""What a model is made of: one frozen, checked configuration, read from TOML.

A file names what differs from the defaults; see `ml/configs`. Names that do not exist are refused
with their nearest neighbours. Sections::

    symbol = "EURUSD"
    clock = "h1"
    features = ["log_return_1", "h4_rsi_14"]  # without a clock: the deciding one

    [label]
    horizon_bars = 24

    [split]
    holdout_fraction = 0.3

    [model]
    rounds = 300

    [[candidates]]
    max_depth = 3

    [decision]
    enter_probability = 0.55

    [gates]
    calibration_error = 0.05
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from realtime.declarations import Declaration, SettingsError, setting, unknown_name
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.kernels.features.feature import FeatureError
from realtime.kernels.features.feature_set import FeatureSet
from realtime.settings import DecisionSettings, read_toml

CONFIGS = Path(__file__).resolve().parent / "configs"

#: Columns that mean the same for every symbol: no price levels. On the deciding clock.
DEFAULT_FEATURES = (
    "log_return_1", "log_return_3", "log_return_10", "log_return_20",
    "close_to_ema_20", "sma_gap_10_30", "rsi_14", "adx_14", "cci_20", "stochastic_k_14_3_3",
    "bollinger_position_20_2", "natr_14", "close_volatility_50", "volatility_ratio_10_100",
    "efficiency_ratio_20", "autocorrelation_100_1", "variance_ratio_100_5", "range_position",
    "spread_z_100", "minute_of_day_sin", "minute_of_day_cos", "minutes_to_long_close",
)  # fmt: skip
DEFAULT_VOLATILITY = "close_volatility_50"


@dataclass(frozen=True, kw_only=True)
class LabelConfig(Declaration):
    """``[label]``: the triple barrier whose upper side the model predicts.

    Attributes:
        price: ``"mid"``, or ``"executable"`` for prices that could be dealt at, spread paid.
        horizon_bars: deciding bars after which the move so far decides.
        scale: ``"volatility"``: `gain` and `loss` are multiples of the volatility of the horizon;
            ``"fraction"``: they are fractions of the price.
        gain: distance of the upper barrier.
        loss: distance of the lower barrier.
        volatility: column with the volatility a bar, on the deciding clock; empty = the default.
        least_fraction: barriers are never nearer than this, so that a label outweighs its costs.
    """

    price: str = setting("mid", codes={"mid": 0, "executable": 1})
    horizon_bars: int = setting(24, least=1, most=100_000)
    scale: str = setting("volatility", codes={"volatility": 0, "fraction": 1})
    gain: float = setting(1.0, above=0, most=100)
    loss: float = setting(1.0, above=0, most=100)
    volatility: str = ""
    least_fraction: float = setting(0.0002, least=0, below=0.5)

    def check(self) -> None:
        """Check that fractions are fractions."""
        if self.scale == "fraction" and max(self.gain, self.loss) >= 0.5:
            msg = f'gain = {self.gain}, loss = {self.loss}: with scale "fraction", below 0.5'
            raise SettingsError(msg)


@dataclass(frozen=True, kw_only=True)
class SplitConfig(Declaration):
    """``[split]``: segments in order of time: training, calibration, holdout.

    Attributes:
        holdout_fraction: newest part, looked at once, after everything was chosen.
        calibration_fraction: part of the rest that ends the boosting and calibrates.
        folds: walk-forward folds in which candidates are compared.
        embargo_bars: gap before every later segment, beside the purge of overlapping labels.
        least_rows: fewer rows than this are refused.
    """

    holdout_fraction: float = setting(0.3, least=0.05, most=0.7)
    calibration_fraction: float = setting(0.2, least=0.05, most=0.5)
    folds: int = setting(4, least=2, most=20)
    embargo_bars: int = setting(24, least=0)
    least_rows: int = setting(1_000, least=100)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Declaration):
    """``[model]``: what all candidates share.

    Attributes:
        family: of models; ``"xgboost"``.
        rounds: most boosting rounds.
        early_stopping_rounds: rounds without improvement on the segment after the training.
        threads: fixed, because another number could change the last bit.
        seed: of everything random.
    """

    family: str = setting("xgboost", codes={"xgboost": 0})
    rounds: int = setting(300, least=1, most=10_000)
    early_stopping_rounds: int = setting(25, least=1)
    threads: int = setting(1, least=1, most=64)
    seed: int = setting(7, least=0)


@dataclass(frozen=True, kw_only=True)
class Candidate(Declaration):
    """``[[candidates]]``: one choice of hyper-parameters; every one counts as a trial.

    Attributes:
        max_depth: of a tree.
        learning_rate: of boosting.
        least_child_weight: weight of rows (one row weighs 1 on average) in a leaf.
        row_fraction: rows a tree sees.
        column_fraction: features a tree sees.
        leaf_penalty: L2 penalty of leaf values.
    """

    max_depth: int = setting(3, least=1, most=12)
    learning_rate: float = setting(0.05, above=0, most=1)
    least_child_weight: float = setting(20.0, least=0)
    row_fraction: float = setting(0.8, above=0, most=1)
    column_fraction: float = setting(0.8, above=0, most=1)
    leaf_penalty: float = setting(5.0, least=0)


#: Few and fixed: each one more makes luck likelier, which the live gate takes into account.
DEFAULT_CANDIDATES = (
    Candidate(max_depth=2),
    Candidate(max_depth=3),
    Candidate(max_depth=4, least_child_weight=40.0),
    Candidate(max_depth=3, learning_rate=0.1, column_fraction=0.5),
)


@dataclass(frozen=True, kw_only=True)
class GateConfig(Declaration):
    """``[gates]``: what a model must reach.

    Attributes:
        calibration_error: most expected calibration error on the holdout, beyond chance.
        copied_label: |information coefficient| of a single feature above which it is taken for a
            copy of the label.
        predict_us: most microseconds of a one-row prediction, 99th percentile.
        deflated_sharpe: probability that the candidates' best Sharpe ratio is not luck; asked of
            the net returns, and of those above holding the same mean position all the time.
        holdout_sharpe: probability that the net Sharpe ratio on the holdout is above 0, and above
            the luck of all earlier looks at it; asked of the same two.
        least_trades: positions taken on the holdout. Bars of one held position are one bet, and
            below about thirty bets no statement on their mean is worth much, however many bars.
    """

    calibration_error: float = setting(0.1, above=0, most=1)
    copied_label: float = setting(0.25, above=0, most=1)
    predict_us: float = setting(1_000.0, above=0)
    deflated_sharpe: float = setting(0.95, above=0, below=1)
    holdout_sharpe: float = setting(0.95, above=0, below=1)
    least_trades: int = setting(30, least=2)


_DECISION = DecisionSettings()


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that decides what a model becomes, beside its data.

    Attributes:
        symbol: whose.
        clock: deciding bars, e.g. ``"h1"``.
        features: column names, in order; empty = the defaults on `clock`.
        symbols: names of the symbols that features refer to, own first; () without such.
        label: ``[label]``.
        split: ``[split]``.
        model: ``[model]``.
        candidates: ``[[candidates]]``.
        decision: ``[decision]``: goes into the bundle and is what the loop trades with.
        gates: ``[gates]``.

    Raises:
        SettingsError: unknown clock, unknown or repeated features, no volatility to scale by.
    """

    symbol: str
    clock: str
    features: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    label: LabelConfig = LabelConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    candidates: tuple[Candidate, ...] = DEFAULT_CANDIDATES
    decision: DecisionSettings = _DECISION
    gates: GateConfig = GateConfig()

    def __post_init__(self) -> None:
        if CLOCKS_NS.get(self.clock, 0) == 0:
            known = [name for name, length_ns in CLOCKS_NS.items() if length_ns > 0]
            raise SettingsError(unknown_name("clock", self.clock, known))
        if not self.symbol:
            msg = "symbol must be named"
            raise SettingsError(msg)
        chosen = self.features or DEFAULT_FEATURES
        object.__setattr__(self, "features", tuple(_on_clock(self.clock, name) for name in chosen))
        if not self.candidates or len(set(self.candidates)) < len(self.candidates):
            msg = "candidates must be at least one, each different: a repeated one is no new trial"
            raise SettingsError(msg)
        try:
            columns = self.feature_set.columns
        except FeatureError as error:
            msg = f"features: {error}"
            raise SettingsError(msg) from error
        if self.label.scale == "volatility" and self.volatility_column not in columns:
            msg = (
                f"label volatility {self.volatility_column!r} is not among the features: add it, or"
                ' set scale = "fraction"'
            )
            raise SettingsError(msg)

    @cached_property
    def feature_set(self) -> FeatureSet:
        """What the kernels compute for the model, fed ticks."""
        return FeatureSet(features=self.features, feed="tick", symbols=self.symbols)

    @property
    def volatility_column(self) -> str:
        """Column with the volatility a bar that barriers are scaled by."""
        return _on_clock(self.clock, self.label.volatility or DEFAULT_VOLATILITY)

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.model.seed

    def content(self) -> dict[str, Any]:
        """Return everything as plain values, for records and hashes."""
        return asdict(self)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all of it (hex SHA-256)."""
        text = json.dumps(self.content(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _on_clock(clock: str, name: str) -> str:
    """Return a column name with a clock: its own if it has one, else the deciding one."""
    return name if name.partition("_")[0] in CLOCKS_NS else f"{clock}_{name}"


_GROUPS: dict[str, type[Declaration]] = {
    "label": LabelConfig,
    "split": SplitConfig,
    "model": ModelConfig,
    "decision": DecisionSettings,
    "gates": GateConfig,
}
_LISTS = ("features", "symbols")


def default_config(symbol: str, clock: str) -> TrainingConfig:
    """Return the generic configuration of any symbol and clock."""
    return TrainingConfig(symbol=symbol, clock=clock)


def config_for(symbol: str, clock: str) -> TrainingConfig:
    """Return the shipped configuration of a symbol and clock, or else the generic one."""
    path = CONFIGS / f"{symbol.lower()}_{clock}.toml"
    return load_config(path) if path.exists() else default_config(symbol, clock)


def load_config(path: Path) -> TrainingConfig:
    """Read a configuration.

    Raises:
        SettingsError: unreadable, unknown name, wrong type, value out of range; names the file.
    """
    return config_of(read_toml(path), str(path))


def config_of(table: Mapping[str, Any], where: str) -> TrainingConfig:
    """Make a configuration from the table of a file; see `load_config`."""
    known = [item.name for item in fields(TrainingConfig)]
    values: dict[str, Any] = {}
    defaults = TrainingConfig(symbol="EURUSD", clock="h1")
    for name, value in table.items():
        if name not in known:
            msg = f"{where}: {unknown_name('setting', name, known)}"
            raise SettingsError(msg)
        if name in _GROUPS:
            group = _table(value, f"{where} [{name}]")
            values[name] = _GROUPS[name].read(group, f"{where} [{name}]", getattr(defaults, name))
        elif name == "candidates":
            values[name] = _candidates(value, where)
        elif name in _LISTS:
            values[name] = _names(value, f"{where}: {name}")
        elif isinstance(value, str):
            values[name] = value
        else:
            msg = f"{where}: {name} = {value!r}: must be text"
            raise SettingsError(msg)
    missing = [name for name in ("symbol", "clock") if name not in values]
    if missing:
        msg = f"{where}: missing {', '.join(missing)}"
        raise SettingsError(msg)
    try:
        return TrainingConfig(**values)
    except SettingsError as error:
        msg = f"{where}: {error}"
        raise SettingsError(msg) from None


def with_seed(config: TrainingConfig, seed: int) -> TrainingConfig:
    """Return the configuration with another seed."""
    return replace(config, model=replace(config.model, seed=seed))


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        msg = f"{where}: must be a table, not {value!r}"
        raise SettingsError(msg)
    return cast("Mapping[str, Any]", value)


def _candidates(value: object, where: str) -> tuple[Candidate, ...]:
    if not isinstance(value, list):
        msg = f"{where}: candidates must be tables, each [[candidates]]"
        raise SettingsError(msg)
    each = f"{where} [[candidates]]"
    tables = cast("Sequence[object]", value)
    return tuple(Candidate.read(_table(table, each), each) for table in tables)


def _names(value: object, where: str) -> tuple[str, ...]:
    names = cast("Sequence[object]", value) if isinstance(value, list) else ()
    texts = tuple(name for name in names if isinstance(name, str))
    if not texts or len(texts) < len(names):
        msg = f"{where} = {value!r}: must be a list of names"
        raise SettingsError(msg)
    return texts
