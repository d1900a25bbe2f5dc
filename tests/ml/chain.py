"""The whole way from ticks to a bundle, as the pipeline goes it."""

from dataclasses import dataclass
from typing import Any

from ml.bundle import write_bundle
from ml.evaluation.evaluation import evaluate
from ml.features import feature_rows
from ml.gates import live_gate, paper_gate
from ml.labels import label_rows
from ml.leaks import feature_prefix
from ml.training import train


@dataclass(frozen=True, kw_only=True)
class Made:
    frame: Any
    trained: Any
    evaluation: Any
    paper: Any
    live: Any
    bundle: Any


def frame_of_ticks(ticks, config):
    """Features joined with labels."""
    features = feature_rows(ticks, config.feature_set, config.clock, config.symbol)
    labels = label_rows(ticks, features, config)
    return features.join(labels, on=["event_timestamp", "symbol"], how="inner")


def make(ticks, config, directory):
    """Train on ticks, ask the gates, write the bundle."""
    frame = frame_of_ticks(ticks, config)
    trained = train(frame, config)
    evaluation = evaluate(trained, frame, config)
    prefix = feature_prefix(ticks, config)
    paper = paper_gate(trained, evaluation, frame, config, prefix=prefix)
    bundle = write_bundle(directory, trained, config, gates={"paper": paper.content()})
    live = live_gate(trained, evaluation, config, paper=paper, bundle=bundle.id)
    return Made(frame=frame, trained=trained, evaluation=evaluation, paper=paper, live=live,
                bundle=bundle)  # fmt: skip
