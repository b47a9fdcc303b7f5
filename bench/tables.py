"""The one table that a run prints: for a terminal, or for README.md."""

from collections.abc import Mapping, Sequence

from bench.lines import HEADINGS, Line


def plain(lines: Sequence[Line], machine: Mapping[str, str]) -> str:
    """Write it for a terminal, the notes below."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    table.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{line.what}: {note}" for line in lines for note in line.notes]
    return "\n".join(["", *table, "", *notes, "", *(f"{name}: {value}" for name, value in machine.items())])


def markdown(lines: Sequence[Line], machine: Mapping[str, str]) -> str:
    """Write it for README.md."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(line.cells() for line in lines)]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"- {line.what.strip()}: {note}" for line in lines for note in line.notes]
    return "\n".join([*(f"- {name}: {value}" for name, value in machine.items()), "", *table, "", *notes])
