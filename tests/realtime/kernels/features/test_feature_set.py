"""A choice of features: what it is made of, its identity, and what is refused."""

import inspect
from typing import Any

import pytest

from realtime.kernels.features import feature_set
from realtime.kernels.features.feature import FeatureError
from realtime.kernels.features.feature_set import FeatureSet
from tests.realtime.kernels.features.fused_runs import MIXED


def test_columns_warm_up_and_bits_are_what_was_chosen():
    chosen = FeatureSet(features=MIXED)
    assert chosen.columns == MIXED
    assert chosen.warm_up["m1_macd_12_26_9"] == 33
    assert chosen.warm_up["h4_obv"] == 0
    bits = chosen.compile().clock_bits
    assert list(bits) == ["tick", "m1", "m5", "m15", "h1", "h4", "d1"]
    assert bits["tick"] == 1
    assert len(set(bits.values())) == 7


def test_outputs_of_one_kernel_share_its_memory_and_its_step():
    names = ("m5_macd_12_26_9", "m5_macd_signal_12_26_9", "m5_macd_histogram_12_26_9")
    one, three = FeatureSet(features=names[:1]), FeatureSet(features=names)
    assert one.state_dtype == three.state_dtype
    assert three.state_dtype["m5"].names == ("builder", "bar", "row", "macd_12_26_9")
    two_clocks = FeatureSet(features=("m5_macd_12_26_9", "m1_macd_12_26_9"))
    assert two_clocks.state_dtype["m1"].names == two_clocks.state_dtype["m5"].names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"features": ()}, ["at least one"]),
        ({"features": ("m5_rsi_14", "m5_rsi_14")}, ["chosen twice: m5_rsi_14"]),
        ({"features": ("m5_rsy_14",)}, ["did you mean rsi"]),
        ({"features": ("m5_rsi_14",), "feed": "m7"}, ["unknown feed 'm7'"]),
        ({"features": ("m1_rsi_14",), "feed": "m5"}, ["m1 bars cannot be built from m5 bars"]),
        ({"features": ("m5_rsi_14",), "feed": "m2"}, ["m5 bars cannot be built from m2 bars"]),
        ({"features": ("tick_rsi_14",), "feed": "m1"}, ["tick bars cannot be built"]),
        ({"features": ("m1_cross_ratio_100_1_300",)}, ["is not one of the 0 symbols", "EURUSD"]),
    ],
)
def test_a_wrong_choice_is_refused_with_a_remedy(arguments, words):
    with pytest.raises(FeatureError) as refused:
        FeatureSet(**arguments)
    for word in words:
        assert word in str(refused.value)


def test_an_unknown_setting_is_refused_by_name():
    wrong: dict[str, Any] = {"features": MIXED, "colour": "red"}
    with pytest.raises(TypeError, match="colour"):
        FeatureSet(**wrong)


# --- identity ---------------------------------------------------------------------------------


def test_the_identity_is_that_of_the_choice():
    identity = FeatureSet(features=MIXED).identity
    assert identity == FeatureSet(features=MIXED).identity
    assert len(bytes.fromhex(identity)) == 32
    others = [
        FeatureSet(features=MIXED[:-1]),
        FeatureSet(features=MIXED[::-1]),
        FeatureSet(features=MIXED, symbols=("EURUSD",)),
        FeatureSet(features=("m5_rsi_14",)),
        FeatureSet(features=("m5_rsi_14",), feed="m1"),
        FeatureSet(features=("m5_rsi_15",)),
    ]
    assert len({identity, *(each.identity for each in others)}) == 7


EDITS = [
    ("momentum", "# no bar before this one", "# said otherwise", False),
    ("momentum", '"""Write the relative strength', '"""Print the relative strength', False),
    ("momentum", "Relative strength index (Wilder)", "Another description", False),
    ("momentum", "100.0 * (gain / (gain + loss))", "99.0 * (gain / (gain + loss))", True),
    ("windows", "1.0 / n", "1.1 / n", True),
    ("feeding", "tick_piece_step(state", "tick_piece_step(  state", False),
    ("feeding", "!= REFUSED", "== REFUSED", True),
    ("bars", "finished = 0", "finished = 1", True),
    ("pieces", "0.5 * (bid + ask)", "0.6 * (bid + ask)", True),
    ("trend", "2.0 * first", "3.0 * first", False),  # takes no part in an RSI
    ("fuse_source", '"""Before the first piece', '"""Prior to the first piece', False),
]


@pytest.mark.parametrize(("module", "old", "new", "changes"), EDITS, ids=range(len(EDITS)))
def test_the_identity_follows_code_and_not_comments(monkeypatch, module, old, new, changes):
    before = FeatureSet(features=("m5_rsi_14",)).identity
    source_of, edited = inspect.getsource, []

    def with_edit(found):
        text = source_of(found)
        if found.__name__.endswith(f".{module}"):
            assert old in text
            edited.append(found)
            return text.replace(old, new)
        return text

    monkeypatch.setattr(feature_set.inspect, "getsource", with_edit)
    after = FeatureSet(features=("m5_rsi_14",)).identity
    assert (after != before) is changes
    assert bool(edited) is (module not in ("trend", "fuse_source"))
