"""A report as CSV or JSON, the same wherever it goes: into a file, over HTTP, onto a terminal.

The CSV is RFC 4180 in UTF-8, its header the columns' names. A spreadsheet runs a text that begins with = + - @, a tab
or a line end as a formula, and reports hold names that people chose themselves, so such a text is written with an
apostrophe before it (https://owasp.org/www-community/attacks/CSV_Injection). Numbers, and texts that are one, such as
-5, are left alone. The JSON holds every value as it is.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TextIO

from connectors.destinations.reports import Report
from connectors.errors import DestinationRefused

_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


class Writer(Protocol):
    """Writes a report row after row; `values` gives the rows."""

    def row(self, values: list[Any]) -> None: ...
    def end(self) -> None: ...


class _CsvWriter:
    def __init__(self, file: TextIO, report: Report) -> None:
        self._writer = csv.writer(file)
        self.row([column.name for column in report.columns])

    def row(self, values: list[Any]) -> None:
        self._writer.writerow([cell(value) for value in values])

    def end(self) -> None:
        pass


class _JsonWriter:
    """One object; its `rows` stand one a line, so that two versions can be compared with diff."""

    def __init__(self, file: TextIO, report: Report) -> None:
        self._file = file
        self._names = [column.name for column in report.columns]
        self._between = "\n"
        columns = [{"name": column.name, "title": column.title, "unit": column.unit} for column in report.columns]
        head = {"name": report.name, "title": report.title, "note": report.note, "columns": columns}
        text = _json(head | {"metadata": dict(report.metadata)})
        file.write(f'{text[:-1]}, "rows": [')

    def row(self, values: list[Any]) -> None:
        self._file.write(self._between + _json(dict(zip(self._names, values, strict=True))))
        self._between = ",\n"

    def end(self) -> None:
        self._file.write("\n]}\n")


FORMATS: Mapping[str, Callable[[TextIO, Report], Writer]] = {"csv": _CsvWriter, "json": _JsonWriter}


def lines(report: Report, form: str) -> Iterator[str]:
    """Give a report as `csv` or `json`, row by row, so that its size does not matter."""
    if form not in FORMATS:
        raise ValueError(f"A report can be {' or '.join(FORMATS)}, not {form!r}.")
    piece = io.StringIO(newline="")
    writer = FORMATS[form](piece, report)
    for row in values(report):
        writer.row(row)
        yield piece.getvalue()
        piece.seek(0)
        piece.truncate()
    writer.end()
    yield piece.getvalue()


def cell(value: object) -> str:
    """Give a JSON value as the text of a CSV cell, harmless in a spreadsheet."""
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if _FORMULA.match(value) and not _PLAIN_NUMBER.fullmatch(value) else value
        case _:
            return _json(value)


def values(report: Report) -> Iterator[list[Any]]:
    """Give each row's values in the order of the columns; refuses what JSON has no word for."""
    for number, row in enumerate(report.rows, 1):
        values = [row.get(column.name) for column in report.columns]
        for column, value in zip(report.columns, values, strict=True):
            if isinstance(value, float) and not math.isfinite(value):
                raise DestinationRefused(f"Row {number} of {report.name} has {value} in {column.name!r}: no number.")
        yield values


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
