"""Reports as files, whatever they are put into: drafts made here, put there whole, and a manifest last.

The rules, the same for every store:

- A reader never sees half a file: each is put under another name, or nowhere, until all of it is there.
- Drafts are all there before the first of them takes a name, so that files of one report change at almost one time.
- `<report>.manifest.json` is put last. It lists each file with its size, SHA-256 and rows: who finds that they differ
  has come in between two files, and comes again.
- What is there already, byte for byte, is left alone; that is asked of the file itself, not of the manifest.
- What a push that was killed left behind is removed by the next one of the same report.

Memory holds some rows, whatever the size of a report; drafts lie on the disk of this machine, or in the folder itself.
"""

import hashlib
import io
import json
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol

from marshmallow import ValidationError, validates

from connectors.destinations import forms, parquet
from connectors.destinations.reports import Receipt, Report
from connectors.documents import DestinationSchema, TextList, nearest, say
from connectors.errors import DestinationRefused, DestinationUnavailable, SourceRefused, SourceUnavailable
from connectors.reach import Reach
from connectors.secrets import Secrets

FORMATS = (*forms.FORMATS, "parquet")
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
"""https://www.iana.org/assignments/media-types/media-types.xhtml"""
CHUNK_BYTES = 1 << 16
FILE_MODE = 0o640
"""Reports tell how people perform: for the owner and the group, not for all."""
_REPORT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")


class FilesSchema(DestinationSchema):
    """The keys of every document whose reports become files."""

    formats = TextList(load_default=["csv", "json"])

    @validates("formats")
    def check_formats(self, value: Sequence[str], **_: object) -> None:
        """Refuse a format that we do not write."""
        faults: dict[str | int, Any] = {
            place: [say(f"There is no format {name!r}.", nearest(name, FORMATS))]
            for place, name in enumerate(value)
            if name not in FORMATS
        }
        if faults:
            raise ValidationError(faults)


@dataclass(frozen=True, slots=True)
class Draft:
    """A file as it is to be, whole."""

    name: str
    file: BinaryIO = field(repr=False)
    size: int
    sha256: str
    rows: int
    content_type: str


class Store(Protocol):
    """Where files go, while it is open. Raises SourceError or DestinationError."""

    def sweep(self, names: Collection[str]) -> None:
        """Remove what a killed push left of files of these names."""

    def draft(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Give a new file to write to, which is gone afterwards unless it was put."""

    def holds(self, draft: Draft) -> bool:
        """Tell whether the file is there, byte for byte."""

    def stage(self, draft: Draft) -> None:
        """Bring it as near as can be without a reader's seeing it."""

    def put(self, draft: Draft) -> None:
        """Give it its name, in place of what had it; afterwards it outlives a crash."""


class Place(Protocol):
    """What a document says of where files go; nothing is opened yet."""

    @property
    def shown(self) -> str:
        """What people may look at, without anything secret."""

    def store(self, reach: Reach) -> AbstractContextManager[Store]:
        """Open it."""


@dataclass(frozen=True, slots=True)
class Files:
    """A destination that takes reports as files."""

    name: str
    title: str
    formats: tuple[str, ...]
    place: Place
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def reaching(self, reach: Reach) -> "Files":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach)

    def push(self, report: Report) -> Receipt:
        """Write the report in every format, made side by side from one reading of its rows."""
        if not _REPORT_NAME.fullmatch(report.name):
            raise DestinationRefused(
                f"{report.name!r} does not do as a file name. Use small letters, digits and hyphens."
            )
        with _as_destination(), self.place.store(self.reach) as store, ExitStack() as opened:
            names = [f"{report.name}.{form}" for form in self.formats]
            manifest = f"{report.name}.manifest.json"
            store.sweep([*names, manifest])
            files = [opened.enter_context(store.draft(name)) for name in names]
            count = _write(report, self.formats, files)
            drafts = [
                _draft(name, file, count, CONTENT_TYPES[form])
                for name, file, form in zip(names, files, self.formats, strict=True)
            ]
            last = opened.enter_context(store.draft(manifest))
            last.write(_manifest(report, drafts))
            drafts.append(_draft(manifest, last, count, CONTENT_TYPES["json"]))
            changed = [draft for draft in drafts if not store.holds(draft)]
            for draft in changed:
                store.stage(draft)
            for draft in changed:
                store.put(draft)
        return Receipt(location=self.place.shown, rows=count, changed=bool(changed))


@contextmanager
def unnamed(name: str) -> Iterator[BinaryIO]:  # noqa: ARG001 - as the protocol has it
    """Give a draft without a name, which is gone when it is closed, even by a crash."""
    with tempfile.TemporaryFile() as file:
        yield file


def leftovers(names: Collection[str]) -> re.Pattern[str]:
    """Give what the hidden names of drafts are like; `hidden` makes them."""
    return re.compile(rf"\.({'|'.join(map(re.escape, names))})\.[A-Za-z0-9_]+\.tmp")


def _write(report: Report, formats: Sequence[str], files: Sequence[BinaryIO]) -> int:
    """Write the rows in every format; gives how many there were."""
    count = 0
    with ExitStack() as opened:
        writers = [
            opened.enter_context(closing(_writer(form, file, report)))
            for form, file in zip(formats, files, strict=True)
        ]
        for values in forms.values(report):
            count += 1
            for writer in writers:
                writer.row(values)
        for writer in writers:
            writer.end()
    return count


class _Writer(forms.Writer, Protocol):
    def close(self) -> None:
        """Let go of the file, whether or not it came to an end, and leave it open."""


def _writer(form: str, file: BinaryIO, report: Report) -> _Writer:
    return parquet.Writer(file, report) if form == "parquet" else _TextWriter(form, file, report)


class _TextWriter:
    """A format of texts into a file of bytes."""

    def __init__(self, form: str, file: BinaryIO, report: Report) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._writer = forms.FORMATS[form](self._text, report)

    def row(self, values: list[Any]) -> None:
        self._writer.row(values)

    def end(self) -> None:
        self._writer.end()
        self._text.flush()

    def close(self) -> None:
        self._text.detach()


def _draft(name: str, file: BinaryIO, rows: int, content_type: str) -> Draft:
    file.flush()
    size = file.tell()
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    file.seek(0)
    return Draft(name, file, size, digest.hexdigest(), rows, content_type)


def _manifest(report: Report, drafts: Sequence[Draft]) -> bytes:
    """Give the manifest as JSON; it says no time, so that equal content has an equal one."""
    files = [
        {"name": one.name, "bytes": one.size, "sha256": one.sha256, "rows": one.rows, "type": one.content_type}
        for one in drafts
    ]
    columns = [{"name": one.name, "title": one.title, "unit": one.unit, "type": one.type} for one in report.columns]
    told = {
        "report": report.name,
        "title": report.title,
        "note": report.note,
        "made_from": dict(report.metadata),
        "columns": columns,
        "files": files,
    }
    return f"{json.dumps(told, ensure_ascii=False, allow_nan=False, indent=2)}\n".encode()


@contextmanager
def _as_destination() -> Iterator[None]:
    """Make errors of stores, which sources share, errors of a destination."""
    try:
        yield
    except SourceUnavailable as err:
        raise DestinationUnavailable(str(err), retry_after=err.retry_after) from err
    except SourceRefused as err:
        raise DestinationRefused(str(err), status=err.status) from err
