"""An operator's approval: the one thing that no gate can compute."""

from dataclasses import dataclass
from pathlib import Path

from ml.errors import RegistryRefused
from realtime.declarations import SettingsError
from realtime.settings import read_toml


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A person's word that one bundle may trade money.

    Attributes:
        bundle: its id: an approval is for nothing else.
        by: who.
        reason: why, for the record.

    Raises:
        RegistryRefused: one of them is empty.
    """

    bundle: str
    by: str
    reason: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not str(value).strip():
                msg = f"an approval must say its {name}"
                raise RegistryRefused(msg)


def read_approval(path: Path) -> Approval:
    """Read an approval: a TOML file with ``bundle``, ``by`` and ``reason``.

    Raises:
        RegistryRefused: unreadable, or something is missing.
    """
    try:
        table = read_toml(path)
    except SettingsError as error:
        raise RegistryRefused(str(error)) from None
    expected = {"bundle", "by", "reason"}
    if set(table) != expected or not all(isinstance(value, str) for value in table.values()):
        msg = f"{path}: an approval has exactly bundle, by and reason, all text"
        raise RegistryRefused(msg)
    return Approval(**table)
