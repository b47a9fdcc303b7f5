"""Tables in files, CSV or Parquet, as the columns of a panel."""

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError, SettingsError

MISSING = {"", "na", "n/a", "nan", "null", "none", ".", "nat"}
"""How programs write that there is no value."""

_DELIMITERS = ",;\t|"


class TableError(BridgeError):
    """A file that is no table, or a cell that is not what its column holds."""


@dataclass(frozen=True)
class Table:
    """Columns by name, in the order of the file; values as they stand in it, None where there is none."""

    path: Path
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int] = ()
    """The line that each row ends with; none if the file has no lines."""

    def column(self, name: str) -> Sequence[Any]:
        """Give a column; raises SettingsError with the nearest name."""
        if name in self.columns:
            return self.columns[name]
        near = difflib.get_close_matches(name, self.columns, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.columns)}."
        raise SettingsError(f"{self.path} has no column {name!r}. {hint}")

    def place(self, row: int) -> str:
        return f"row {row:,}" + (f" (line {self.lines[row - 1]:,})" if self.lines else "")

    def error(self, column: str, row: int | None, text: str) -> TableError:
        """Make the error that names the cell, or the column alone; the text is put behind it."""
        place = f", {self.place(row)}" if row else ""
        return TableError(f"{self.path}: column {column!r}{place}{text}")


def read(path: Path) -> Table:
    """Read a whole file; Parquet by its ending, everything else as CSV with a header."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        return _read_parquet(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(file, delimiter=delimiter)
            read = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if not read:
        raise TableError(f"{path} is empty: a header and rows are needed")
    (_, header), *body = read
    _refuse_nul(path, read)
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TableError(f"{path} has two columns {twice!r}")
    for number, (line, row) in enumerate(body, 1):
        if len(row) != len(header):
            place = f"row {number:,} (line {line:,})"
            raise TableError(f"{path}, {place}: {len(row)} values, where the header has {len(header)}")
    columns = zip(*(row for _, row in body), strict=True) if body else ((),) * len(header)
    named = dict(zip(header, map(_without_missing, columns), strict=True))
    return Table(path, named, [line for line, _ in body])


def _refuse_nul(path: Path, rows: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Refuse NUL characters, which no text has: of two names that differ by one, some programs see one name."""
    for line, row in rows:
        if any("\0" in value for value in row):
            raise TableError(f"{path}, line {line:,}: a NUL character, which no text has. Is the file CSV in UTF-8?")


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ModuleNotFoundError as error:
        raise TableError("Parquet needs pyarrow: pip install 'lrs-bridge[parquet]'") from error
    try:
        table = parquet.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error
    names = table.column_names
    if len(set(names)) < len(names):
        raise TableError(f"{path} has two columns {next(name for name in names if names.count(name) > 1)!r}")
    return Table(path, {name: _of_parquet(path, name, table.column(name).to_pylist()) for name in names})


def _of_parquet(path: Path, name: str, column: list[Any]) -> Sequence[Any]:
    """Give a column, its texts read as those of CSV are."""
    if not any(isinstance(value, str) for value in column):
        return [None if value != value else value for value in column]  # NaN alone differs from itself
    for row, value in enumerate(column, 1):
        if isinstance(value, str) and "\0" in value:
            raise TableError(f"{path}: column {name!r}, row {row:,}: a NUL character, which no text has")
    return _without_missing([value if isinstance(value, str) else "" for value in column])


def _without_missing(column: Sequence[str]) -> list[str | None]:
    return [None if value.strip().casefold() in MISSING else value.strip() for value in column]


def numbers(table: Table, name: str) -> list[float | None]:
    """Read a column of numbers, None where there is none."""
    found: list[float | None] = []
    for row, value in enumerate(table.column(name), 1):
        try:
            found.append(None if value is None else float(value))
        except (TypeError, ValueError):
            raise table.error(name, row, f": {value!r} is no number") from None
    return found
