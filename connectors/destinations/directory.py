"""A destination that is a folder: `<report>.csv` and `<report>.json`, for people with spreadsheets and for programs.

A file is replaced as a whole, by a rename, and only when its bytes change: nothing in it tells when it was written.
"""

import errno
import filecmp
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TextIO

from marshmallow import ValidationError, validates, validates_schema

from connectors.destinations import forms
from connectors.destinations.reports import Receipt, Report
from connectors.documents import DestinationSchema, Document, Text, TextList, nearest, say, validate
from connectors.errors import DestinationRefused, DestinationUnavailable

FILE_MODE = 0o640
"""Reports tell how people perform: for the owner and the group, not for all."""
_REPORT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")


class DirectorySchema(DestinationSchema):
    """The keys of a `type: directory` document."""

    path = Text(required=True)
    formats = TextList(load_default=["csv", "json"])

    @validates("path")
    def check_path(self, value: str, **_: object) -> None:
        """Refuse a relative path that leads out of the folder that it starts at."""
        if not Path(value).is_absolute() and ".." in Path(value).parts:
            raise ValidationError(
                [
                    say(
                        f"{value!r} leads out of the data directory.",
                        "Name a folder in it, or write the whole path from / on.",
                    )
                ]
            )

    @validates_schema
    def check_formats(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a format that we do not write."""
        faults = {
            place: [say(f"There is no format {name!r}.", nearest(name, forms.FORMATS))]
            for place, name in enumerate(data["formats"])
            if name not in forms.FORMATS
        }
        if faults:
            raise ValidationError({"formats": faults})


@dataclass(frozen=True, slots=True)
class Directory:
    """The folder, and the formats to write."""

    name: str
    title: str
    path: Path
    formats: tuple[str, ...]
    within: Path | None = None
    """Where the path must still be when links have been followed; None: anywhere."""

    def push(self, report: Report) -> Receipt:
        """Write the report in every format, made side by side from one reading of its rows."""
        if not _REPORT_NAME.fullmatch(report.name):
            raise DestinationRefused(
                f"{report.name!r} does not do as a file name. Use small letters, digits and hyphens."
            )
        if self.within is not None and not self.path.resolve().is_relative_to(self.within.resolve()):
            raise DestinationRefused(
                f"{self.path} is a link that leads out of {self.within}. If so meant, write the whole path from / on."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return self._write(report)
        except OSError as err:
            raise _told(err, self.path) from err

    def _write(self, report: Report) -> Receipt:
        count = 0
        with ExitStack() as drafts:
            targets = [self.path / f"{report.name}.{name}" for name in self.formats]
            files = [drafts.enter_context(_draft(target)) for target in targets]
            writers = [forms.FORMATS[name](file, report) for name, file in zip(self.formats, files, strict=True)]
            for values in forms.values(report):
                count += 1
                for writer in writers:
                    writer.row(values)
            for writer in writers:
                writer.end()
            changed = [_publish(file, target) for file, target in zip(files, targets, strict=True)]
        return Receipt(location=str(self.path), rows=count, changed=any(changed))


def load(document: Document, *, base: Path) -> Directory:
    """Give the destination that a document declares; its relative path starts at `base`. Raises ConfigError."""
    data = validate(DirectorySchema(), document)
    path = Path(data["path"])
    return Directory(
        name=data["name"],
        title=data["title"],
        path=base / path,
        formats=tuple(data["formats"]),
        within=None if path.is_absolute() else base,
    )


@contextmanager
def _draft(target: Path) -> Iterator[TextIO]:
    """Give a new file beside the target, which is gone afterwards unless it was published."""
    with NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=target.parent, prefix=f".{target.name}.", suffix=".tmp", delete=False
    ) as file:
        try:
            yield file  # type: ignore[misc]  # a wrapper that is a TextIO in all but name
        finally:
            Path(file.name).unlink(missing_ok=True)


def _publish(draft: TextIO, target: Path) -> bool:
    """Put the draft in the target's place, so that it survives a crash from here on; False when they are equal."""
    draft.flush()
    if target.exists() and filecmp.cmp(draft.name, target, shallow=False):
        return False
    os.fchmod(draft.fileno(), FILE_MODE)
    os.fsync(draft.fileno())
    Path(draft.name).replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _told(err: OSError, path: Path) -> DestinationRefused | DestinationUnavailable:
    match err:
        case PermissionError() | OSError(errno=errno.EROFS):
            return DestinationRefused(
                f"{path} may not be written to by this user. Give it permission, or name another."
            )
        case NotADirectoryError() | FileExistsError():
            return DestinationRefused(f"{path} is not a folder. Name one in `path`.")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return DestinationUnavailable(f"There is no room for the reports in {path}. Free some.")
        case _:
            return DestinationUnavailable(f"{path} cannot be written to: {err.strerror or err}.")
