"""The ``dagster`` command finds the platform of its checkout."""

import os
import subprocess
from pathlib import Path

from deploy.local.env_file import write_env_file


def shell(folder: Path, **variables: str) -> str:
    """Return DAGSTER_HOME as `.env.example` says to read the file."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'set -a; . ./.env; printf %s "$DAGSTER_HOME"'],
        cwd=folder, env=variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_it_is_written_once_and_replaced(tmp_path: Path) -> None:
    for home in ("/a b/dagster", "/c/dagster"):
        write_env_file(tmp_path, {"DAGSTER_HOME": home})
        assert shell(tmp_path) == home
    assert (tmp_path / ".env").read_text().count("DAGSTER_HOME=") == 1


def test_a_variable_that_is_set_already_keeps_its_value(tmp_path: Path) -> None:
    """Dagster lets `.env` win: the demo's own Dagster would have looked at another one's runs."""
    from dagster._core.secrets.env_file import get_env_var_dict

    write_env_file(tmp_path, {"DAGSTER_HOME": "/ours"})
    assert shell(tmp_path, DAGSTER_HOME="/theirs") == "/theirs"
    before = os.environ.pop("DAGSTER_HOME", None)
    try:
        assert get_env_var_dict(str(tmp_path)) == {"DAGSTER_HOME": "/ours"}
        os.environ["DAGSTER_HOME"] = "/theirs"
        assert get_env_var_dict(str(tmp_path)) == {"DAGSTER_HOME": "/theirs"}
    finally:
        os.environ.pop("DAGSTER_HOME", None)
        if before is not None:
            os.environ["DAGSTER_HOME"] = before


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AITRADING_TRADE=XAUUSD\nexport DAGSTER_HOME=/mine\n")
    write_env_file(tmp_path, {"DAGSTER_HOME": "/ours", "AITRADING_CONFIG": "/x.toml"})
    assert shell(tmp_path) == "/mine"
    text = (tmp_path / ".env").read_text()
    assert text.startswith("AITRADING_TRADE=XAUUSD\n")
    assert "AITRADING_CONFIG" in text
