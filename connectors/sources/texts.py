"""Bytes as text: unpacked and decoded as they are read, and not taken for something that they are not."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from marshmallow import ValidationError

from connectors.documents import nearest, say
from connectors.errors import SourceBroken
from connectors.sources.files import Reading, still_written

_COMMON = ("utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "cp1251", "iso-8859-15", "shift_jis", "gb18030", "big5")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before utf-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"


def check_encoding(name: str) -> None:
    """Refuse (ValidationError) an encoding that Python does not have, or that gives no text."""
    try:
        "a,b".encode(name).decode(name)
    except (LookupError, UnicodeError) as err:
        raise ValidationError(say(f"There is no encoding {name!r}.", nearest(name, _COMMON))) from err


@contextmanager
def decoded(reading: Reading, *, packed: bool, encoding: str) -> Iterator[TextIO]:
    """Give the file as text, line ends as they are.

    A byte that cannot be decoded becomes a lone surrogate (PEP 383), so that it costs its row and not the file;
    where the encoding leaves no way to go on after it, UnicodeDecodeError is raised.
    """
    try:
        with gzip.GzipFile(fileobj=reading.stream) if packed else reading.stream as stream:
            head = stream.peek(4)
            _check_head(reading.name, head, encoding)
            text = io.TextIOWrapper(stream, _with_mark(encoding), errors=_handler(encoding), newline="")
            yield text
    except EOFError as err:
        raise still_written(reading.name, "its gzip data stop half-way") from err
    except (gzip.BadGzipFile, zlib.error) as err:
        reading.check_unchanged()
        raise SourceBroken(
            f"{reading.name} is not sound gzip ({err}). Export it again, or write `compression: none`."
        ) from err


def _check_head(name: str, head: bytes, encoding: str) -> None:
    if head.startswith(_GZIP):
        raise SourceBroken(f"{name} is packed with gzip. Write `compression: gzip`.")
    if head.startswith(_ZIP):
        raise SourceBroken(f"{name} is a workbook or a zip archive. Save it as CSV, or unpack it.")
    mark = next((own for mark, own in _MARKS if head.startswith(mark)), None)
    if mark is not None and not codecs.lookup(encoding).name.startswith(mark):
        raise SourceBroken(
            f"{name} begins with the mark of {mark}, not of {encoding}. Write `encoding: {mark}`.", row=1
        )


def _with_mark(encoding: str) -> str:
    """Let utf-8 begin with a byte order mark, as Excel writes it."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _handler(encoding: str) -> str:
    """Choose how undecodable bytes are carried: two- and four-byte units have no single bytes to escape."""
    return "surrogatepass" if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")) else "surrogateescape"
