"""The typed surface of the package, held against what is known of the package itself."""

import inspect
import json

import pytest

from mt5_gateway import constants, results, terminal
from mt5_gateway.simulator import metatrader5

FIELDS = {
    "Tick": 8, "SymbolInfo": 96, "AccountInfo": 28, "TerminalInfo": 22, "TradePosition": 19,
    "TradeOrder": 24, "TradeDeal": 18, "TradeRequest": 17, "OrderSendResult": 11,
    "OrderCheckResult": 9,
}  # fmt: skip
#: In MQL5, but not in the package.
OWN = ("SYMBOL_FILLING_", "SYMBOL_EXPIRATION_", "SYMBOL_ORDER_", "TRADE_RETCODE_HEDGE_PROHIBITED")


def functions():
    return [name for name in vars(terminal.Terminal) if not name.startswith("_")]


def names_of(module):
    return {name: value for name, value in vars(module).items() if name.isupper()}


@pytest.fixture
def facts(shared_data):
    """What a study of the package's binary found."""
    path = shared_data.parent / "reference" / "mt5" / "facts.json"
    if not path.is_file():
        pytest.skip("needs the facts of the package in ../shared/reference, absent here")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_simulated_package_has_every_function_of_the_surface():
    assert len(functions()) > 25
    for name in functions():
        assert inspect.isfunction(getattr(metatrader5, name)), name


@pytest.mark.parametrize("name", FIELDS)
def test_results_have_all_their_fields(name):
    declared = getattr(results, name).__annotations__
    structure = getattr(metatrader5, name)
    assert list(structure.__match_args__) == list(declared)
    assert structure.n_fields == structure.n_sequence_fields == len(declared) == FIELDS[name]


def test_arrays_are_packed_to_sixty_bytes():
    assert results.TICKS.itemsize == results.RATES.itemsize == 60


def test_fields_are_those_of_the_package(facts):
    kinds = {"int": int, "float": float, "str": str, "bool": bool}
    for name in FIELDS:
        declared = getattr(results, name).__annotations__
        expected = facts["structs"][name]
        assert list(declared) == [field["name"] for field in expected]
        for field in expected:
            word = field["ctype"].split()[0]
            assert declared[field["name"]] is kinds.get(word, results.TradeRequest)


def test_arrays_are_those_of_the_package(facts):
    for name, dtype in (("ticks", results.TICKS), ("rates", results.RATES)):
        assert [list(field) for field in dtype.descr] == facts["dtypes"][name]


def test_constants_are_those_of_the_package(facts):
    ours = {name: value for name, value in names_of(constants).items() if not name.startswith(OWN)}
    assert ours == facts["constants"]
    assert len(ours) == 223
    for name, value in facts["constants"].items():
        assert getattr(metatrader5, name) == value


def test_call_forms_are_those_of_the_package(facts):
    forms = {method["name"]: method["call_form"] for method in facts["methods"]}
    assert set(functions()) <= set(forms)
    for name, form in forms.items():
        parameters = inspect.signature(getattr(metatrader5, name)).parameters.values()
        kinds = {parameter.kind for parameter in parameters}
        expected = {
            "no arguments": set(),
            "positional only": {inspect.Parameter.VAR_POSITIONAL},
            "positional and keyword": {
                inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD,
            },
        }[form]  # fmt: skip
        assert kinds == expected, name
