"""Reports and rows as text: a table for people, JSON and CSV for machines."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from connectors import Column, Report, report_lines

SHOWN_DIGITS = 2
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
        case float() if column.name == "best_score":
            return f"{value:.0%}"
        case float():
            return f"{value:,.{SHOWN_DIGITS}f}"
        case str() if column.name.endswith("_at"):
            return value[:10]
        case _:
            return str(value)


def _write_table(report: Report, out: TextIO) -> None:
    """Write the learning columns, then each metric as `before (n) → since (n)` in one."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else 200)
    # As Text, because rich reads markup in a plain title: [x] in it would be gone.
    title, note = Text(report.title), Text(report.note)
    table = Table(title=title, caption=note, caption_justify="left", pad_edge=False, box=None)
    learning, metrics = split(report.columns)
    for column in learning:
        table.add_column(column.title, justify="right" if column.name in {"attempts", "best_score"} else "left")
    for mean, *_ in metrics:
        table.add_column(mean.title.rsplit(",", 1)[0] + (f" [{mean.unit}]" if mean.unit else ""), justify="right")
    for row in report.rows:
        cells = [shown(row[column.name], column) for column in learning]
        cells += [_window_pair(row, group) for group in metrics]
        table.add_row(*cells)
    console.print(table, markup=False)
    console.print("Each metric: mean (count) in the window before completion → in the window since.", markup=False)


def split(columns: Iterable[Column]) -> tuple[list[Column], list[tuple[Column, ...]]]:
    """Part a report's columns into those about learning and, in fours, those about each metric.

    The four are: mean before, count before, mean since, count since.
    """
    listed = list(columns)
    first = next((i for i, column in enumerate(listed) if column.name.endswith("_before_mean")), len(listed))
    metrics = listed[first:]
    return listed[:first], [tuple(metrics[i : i + 4]) for i in range(0, len(metrics), 4)]


def _window_pair(row: Mapping[str, Any], group: tuple[Column, ...]) -> str:
    before_mean, before_count, since_mean, since_count = group
    return (
        f"{shown(row[before_mean.name], before_mean)} ({row[before_count.name]}) → "
        f"{shown(row[since_mean.name], since_mean)} ({row[since_count.name]})"
    )


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
