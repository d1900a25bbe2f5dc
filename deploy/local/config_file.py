"""Settings as a TOML file, for processes that are started with other settings than the user's."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from realtime.declarations import Declaration
from realtime.settings import Settings

_DURATION = "_ns"
_SYMBOL_SECTIONS = ("limits", "decision", "costs")


def settings_toml(settings: Settings) -> str:
    """Return a file that gives these settings when it is read; see `realtime.settings`."""
    lines = [f"trade = {json.dumps(list(settings.trade))}"]
    for item in fields(settings):
        section = getattr(settings, item.name)
        if isinstance(section, Declaration):
            lines += ["", f"[{item.name}]", *_entries(section)]
    for symbol, own in settings.symbols.items():
        for name in _SYMBOL_SECTIONS:
            lines += ["", f"[symbols.{json.dumps(symbol)}.{name}]", *_entries(getattr(own, name))]
    return "\n".join(lines) + "\n"


def _entries(section: Declaration) -> list[str]:
    return [f"{key} = {_value(getattr(section, name), name)}" for key, name in _keys(section)]


def _keys(section: Declaration) -> list[tuple[str, str]]:
    keys: Mapping[str, str] = section.keys()
    return list(keys.items())


def _value(value: object, name: str) -> str:
    if name.endswith(_DURATION):
        return json.dumps(f"{value}ns")
    if isinstance(value, Path):
        return json.dumps(str(value.resolve()))
    if isinstance(value, bool | str):
        return json.dumps(value)
    return repr(value)
