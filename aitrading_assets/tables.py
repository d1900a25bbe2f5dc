"""Tables for the metadata of materialisations."""

from collections.abc import Mapping, Sequence

import dagster as dg


def table(rows: Sequence[Mapping[str, object]]) -> dg.MarkdownMetadataValue:
    """Return rows as a Markdown table; the columns are the keys of the first."""
    if not rows:
        return dg.MetadataValue.md("*nothing*")
    names = list(rows[0])
    right = [isinstance(rows[0][name], int | float) for name in names]
    lines = [
        f"| {' | '.join(_text(name) for name in names)} |",
        f"|{'|'.join(' ---: ' if numbers else ' --- ' for numbers in right)}|",
        *(f"| {' | '.join(_text(row.get(name, '')) for name in names)} |" for row in rows),
    ]
    return dg.MetadataValue.md("\n".join(lines))


def code(text: str) -> dg.MarkdownMetadataValue:
    """Return text with a fixed width."""
    return dg.MetadataValue.md(f"```\n{text.rstrip()}\n```")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return str(value).replace("|", "\\|")
