"""A report as a Parquet file: the extra `parquet` (pyarrow). https://parquet.apache.org/docs/file-format/

Columns have the types that the report declares, whatever values there are today: who reads the files of a year as one
table would stumble over a column that changes from null to number. Titles and units stand in the fields' metadata.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from connectors.destinations.reports import Column, ColumnType, Report
from connectors.errors import DestinationRefused

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000
"""Held in memory, and written as one row group."""


class Writer:
    """Writes row after row."""

    def __init__(self, file: BinaryIO, report: Report) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as err:
            what = "Parquet files need pyarrow: pip install 'lrs-bridge[parquet]'"
            raise DestinationRefused(f"{what}, or take `parquet` out of `formats`.") from err
        self._pa, self._report = pa, report
        self._schema = _schema(pa, report)
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[list[Any]] = []
        self._count = 0

    def row(self, values: list[Any]) -> None:
        """Take one row's values."""
        self._count += 1
        pairs = zip(self._report.columns, values, strict=True)
        self._rows.append([None if value is None else self._read(column, value) for column, value in pairs])
        if len(self._rows) == ROWS:
            self._group()

    def end(self) -> None:
        """Write what is left, and what ends the file."""
        if self._rows:
            self._group()
        self._writer.close()

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()

    def _group(self) -> None:
        arrays = [
            self._pa.array([row[place] for row in self._rows], type=one.type) for place, one in enumerate(self._schema)
        ]
        self._writer.write_batch(self._pa.record_batch(arrays, schema=self._schema))
        self._rows = []

    def _read(self, column: Column, value: object) -> object:
        try:
            return _READERS[column.type](value)
        except (TypeError, ValueError) as err:
            what = f"Row {self._count} of {self._report.name} has {type(value).__name__} in {column.name!r}"
            raise DestinationRefused(f"{what}, which is declared as {column.type}.") from err


def _schema(pa: Any, report: Report) -> "pa.Schema":  # noqa: ANN401 - a module
    types: Mapping[ColumnType, Any] = {
        ColumnType.TEXT: pa.string(),
        ColumnType.INTEGER: pa.int64(),
        ColumnType.NUMBER: pa.float64(),
        ColumnType.TIME: pa.timestamp("us", tz="UTC"),
    }
    fields = [
        pa.field(one.name, types[one.type], metadata={"title": one.title, **({"unit": one.unit} if one.unit else {})})
        for one in report.columns
    ]
    return pa.schema(fields, metadata={"name": report.name, "title": report.title, "note": report.note})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise TypeError
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    return float(value)


def _time(value: object) -> datetime:
    read = datetime.fromisoformat(_text(value))
    if read.tzinfo is None:
        raise ValueError(value)
    return read


_READERS = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.NUMBER: _number,
    ColumnType.TIME: _time,
}
