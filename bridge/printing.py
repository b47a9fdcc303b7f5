"""Reports and rows as text: a table for people, JSON and CSV for machines."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from connectors import Column, Report, report_lines

SHOWN_DIGITS = 2
NUMBERS = ("attempts", "best_score", "remembered_score", "highest_tier")
"""Columns about learning that are put to the right."""
_SHARES = ("best_score", "remembered_score")
_EVIDENCE = ("remembered_score", "highest_tier", "highest_tier_name", "match")
_OF_METRICS = ("_before_mean", "_before_count", "_since_mean", "_since_count")
_OF_BEHAVIOURS = ("_uses_before", "_rate_before", "_uses_since", "_rate_since", "_days_to_first")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def write(report: Report, form: str, out: TextIO) -> None:
    """Write a whole report, row by row; `form` is table, json or csv."""
    if form == "table":
        _write_table(report, out)
        return
    for line in report_lines(report, form):
        out.write(line)


def show(content: Mapping[str, Any] | Iterable[Mapping[str, Any]], console: Console) -> None:
    """Print one row as a list of its values, or many as a table; as lists too where the table would not fit."""
    rows = [content] if isinstance(content, Mapping) else list(content)
    if not rows:
        console.print("None.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    unfolded = console.options.update(max_width=10_000)
    if len(rows) > 1 and Measurement.get(console, unfolded, table).maximum <= console.width:
        console.print(table, markup=False)
        return
    for place, row in enumerate(rows):
        if place:
            console.print()
        _show_row(row, console)


def shown(value: object, column: Column) -> str:
    """Give a value as people read it in a table: dates without seconds, scores in per cent, means shortened."""
    match value:
        case None:
            return "-"
        case float() if column.name in _SHARES or column.name.endswith(("_rate_before", "_rate_since")):
            return f"{value:.0%}"
        case float() if column.name.endswith(_OF_BEHAVIOURS):
            return f"{value:,.4g}"
        case float():
            return f"{value:,.{SHOWN_DIGITS}f}"
        case str() if column.name.endswith("_at"):
            return value[:10]
        case _:
            return str(value)


def _write_table(report: Report, out: TextIO) -> None:
    """Write the learning columns, each metric as `before (n) → since (n)` in one, evidence and behaviours alike."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else 200)
    # As Text, because rich reads markup in a plain title: [x] in it would be gone.
    title, note = Text(report.title), Text(report.note)
    table = Table(title=title, caption=note, caption_justify="left", pad_edge=False, box=None)
    learning, metrics, evidence, behaviours = split(report.columns)
    for column in learning:
        table.add_column(column.title, justify="right" if column.name in NUMBERS else "left")
    for mean, *_ in metrics:
        table.add_column(mean.title.rsplit(",", 1)[0] + (f" [{mean.unit}]" if mean.unit else ""), justify="right")
    for column in evidence:
        table.add_column(column.title, justify="right" if column.name in NUMBERS else "left")
    for uses, *_ in behaviours:
        table.add_column(uses.name.removesuffix("_uses_before"), justify="right")
    for row in report.rows:
        cells = [shown(row[column.name], column) for column in learning]
        cells += [_window_pair(row, group) for group in metrics]
        cells += [shown(row[column.name], column) for column in evidence]
        cells += [_use(row, group) for group in behaviours]
        table.add_row(*cells)
    console.print(table, markup=False)
    console.print("Each metric: mean (count) in the window before completion → in the window since.", markup=False)
    if behaviours:
        words = "uses (per opportunity) in the window before completion → since, days to the first use."
        console.print(f"Each behaviour: {words}", markup=False)


class Parts(NamedTuple):
    """The columns of a report, as they are shown together."""

    learning: list[Column]
    metrics: list[tuple[Column, ...]]
    """Of each metric: mean before, count before, mean since, count since."""
    evidence: list[Column]
    behaviours: list[tuple[Column, ...]]
    """Of each behaviour: uses and rate before, uses and rate since, days to the first use."""


def split(columns: Iterable[Column]) -> Parts:
    """Part a report's columns by what they are about."""
    listed = list(columns)
    evidence = [column for column in listed if column.name in _EVIDENCE]
    metrics = [column for column in listed if column.name.endswith(_OF_METRICS)]
    behaviours = [column for column in listed if column.name.endswith(_OF_BEHAVIOURS)]
    apart = {column.name for column in (*evidence, *metrics, *behaviours)}
    return Parts(
        [column for column in listed if column.name not in apart],
        _grouped(metrics, len(_OF_METRICS)),
        evidence,
        _grouped(behaviours, len(_OF_BEHAVIOURS)),
    )


def _grouped(columns: list[Column], size: int) -> list[tuple[Column, ...]]:
    return [tuple(columns[start : start + size]) for start in range(0, len(columns), size)]


def _window_pair(row: Mapping[str, Any], group: tuple[Column, ...]) -> str:
    before_mean, before_count, since_mean, since_count = group
    return (
        f"{shown(row[before_mean.name], before_mean)} ({row[before_count.name]}) → "
        f"{shown(row[since_mean.name], since_mean)} ({row[since_count.name]})"
    )


def _use(row: Mapping[str, Any], group: tuple[Column, ...]) -> str:
    uses_before, rate_before, uses_since, rate_since, first = (shown(row[column.name], column) for column in group)
    return f"{uses_before} ({rate_before}) → {uses_since} ({rate_since}), {first}"


def _show_row(row: Mapping[str, Any], console: Console) -> None:
    width = max(map(len, row)) + 2
    for name, value in row.items():
        for line in (value or ["-"]) if isinstance(value, list) else [value]:
            console.print(f"{name.replace('_', ' '):<{width}}{_text(line)}", markup=False, soft_wrap=True)


def _text(value: object) -> str:
    """Give a value for people: times in the zone of this machine."""
    match value:
        case None:
            return "-"
        case str() if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M %Z")
        case _:
            return str(value)
