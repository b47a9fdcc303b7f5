"""Cutting a stream of any length into the texts of its statements, without holding more than one of them.

A stream is a JSON array, JSON lines, or JSON values one after the other (one object over many lines); its beginning
tells which. Only brackets and texts are looked at: what stands between them is for `lrs.xapi.validation` to judge, so a
bad statement is cut out like a good one and the next can be read. Numbers and escapes are never touched.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from lrs.errors import Invalid, Rule

HEAD_BYTES = 64 * 1024
"""So much of its beginning names a stream (`Stream.name`)."""

_FORM = Rule(
    "a file of statements is a JSON array or has a statement a line, in UTF-8",
    None,
    "Correct the file from there on; what came before is stored, and is skipped when the file is imported again.",
)
_SAME = Rule(
    "what is resumed is what was interrupted",
    None,
    "Run the same command once more: it begins at the beginning, and what is stored already is skipped.",
)

_SPACE = re.compile(rb"[ \t\r\n]*+")
# From one bracket to the next: whole texts are passed over in one go. Where a text has no end yet, nothing matches.
_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+(?:([{\[])|([}\]]))', re.DOTALL)
# A value that is no object; no statement, so where it ends matters little.
_SCALAR = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"|[^\s"{}\[\],]++)(?=[\s,\]])', re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Changed(Invalid):
    """What is to be resumed is not what was interrupted."""


class Form(StrEnum):
    """How statements follow each other."""

    ARRAY = "array"
    LINES = "lines"
    VALUES = "values"


class Position(NamedTuple):
    """Between two statements of a stream, with what is needed to go on from there."""

    offset: int
    """Bytes before it."""
    number: int
    """Statements before it."""
    line: int
    """Lines that have ended before it."""
    digest: str
    """SHA-256 of the bytes before it: tells whether a stream still is what it was."""


class Piece(NamedTuple):
    """The text of one statement."""

    text: bytes
    after: Position

    @property
    def size(self) -> int:
        """What it takes in memory, near enough."""
        return len(self.text)


START = Position(0, 0, 0, hashlib.sha256().hexdigest())


class Stream:
    """Statements cut out of pieces of bytes; raises Invalid where no statement can be told from the next."""

    def __init__(self, chunks: Iterable[bytes], *, max_statement_bytes: int) -> None:
        self._chunks = iter(chunks)
        self._limit = max_statement_bytes
        self._hash = hashlib.sha256()
        self._rest = bytearray()
        self._ended = False
        self._offset = self._count = self._line = 0
        self._fill(HEAD_BYTES)
        self.name = hashlib.sha256(self._rest[:HEAD_BYTES]).hexdigest()
        """Names streams that begin alike; a stream that has grown keeps its name if it was longer than HEAD_BYTES."""
        self.form = self._find_form()

    def after(self, position: Position) -> Iterator[Piece]:
        """Give the statements after a position, once; what lies before it is read, and must be what was there."""
        if position.offset:
            self._skip_to(position)
        elif bytes(self._rest[:3]) == _BYTE_ORDER_MARK:
            self._pass(len(_BYTE_ORDER_MARK))
        return self._lines() if self.form is Form.LINES else self._values()

    # --- bytes -----------------------------------------------------------------------------------------------------

    def _fill(self, size: int) -> None:
        """Have so many bytes at hand, or all there are."""
        while len(self._rest) < size and not self._ended:
            self._more()

    def _more(self) -> bool:
        """Read on; gives whether there was anything."""
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        self._rest += chunk
        return bool(chunk)

    def _pass(self, size: int) -> bytes:
        """Take bytes off the front."""
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        self._hash.update(taken)
        self._offset += len(taken)
        self._line += taken.count(b"\n")
        return taken

    def _skip_to(self, position: Position) -> None:
        while self._offset < position.offset and (self._rest or self._more()):
            self._pass(min(len(self._rest), position.offset - self._offset))
        if (self._offset, self._hash.hexdigest()) != (position.offset, position.digest):
            raise Changed("This is not what was being read when the import was interrupted.", _SAME)
        self._count, self._line = position.number, position.line

    def _piece(self, text: bytes) -> Piece:
        self._count += 1
        return Piece(text, Position(self._offset, self._count, self._line, self._hash.hexdigest()))

    # --- forms -----------------------------------------------------------------------------------------------------

    def _find_form(self) -> Form:
        head = bytes(self._rest[:HEAD_BYTES])
        if head.startswith(_UTF_16) or b"\0" in head[:4]:
            raise self._broken("This is not UTF-8.")
        content = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
        if content.startswith(b"["):
            return Form.ARRAY
        first, newline, _ = content.partition(b"\n")
        # An object that goes on in the next line: it was written to be read by people, over many lines.
        goes_on = newline and first.startswith(b"{") and first.rstrip().endswith((b"{", b"[", b","))
        return Form.VALUES if goes_on else Form.LINES

    def _lines(self) -> Iterator[Piece]:
        searched = 0
        while True:
            end = self._rest.find(b"\n", searched)
            if end < 0 and not self._ended:
                searched = len(self._rest)
                self._check_length()
                self._more()
                continue
            taken = self._pass(end + 1 if end >= 0 else len(self._rest))
            searched = 0
            if text := taken.strip():
                yield self._piece(text)
            elif not taken:
                return

    def _values(self) -> Iterator[Piece]:
        """Give the values of an array, or without the brackets and commas of one."""
        in_array, first = self.form is Form.ARRAY, self._count == 0
        if in_array and first:
            self._pass(self._space() + 1)
        while True:
            lead = self._space()
            follower = bytes(self._rest[lead : lead + 1])
            if in_array and follower == b"]":
                return self._end(lead + 1)
            if not in_array and not follower:
                return None
            if in_array and not first:
                if follower != b",":
                    raise self._broken("No comma comes here, and the array does not end.")
                self._pass(lead + 1)
                lead = self._space()
            end = self._value_end(lead)
            yield self._piece(self._pass(end)[lead:])
            first = False

    def _end(self, size: int) -> None:
        self._pass(size)
        self._pass(self._space())
        if self._rest:
            raise self._broken("Something follows the end of the array.")

    def _space(self) -> int:
        """Give how much white space there is before anything else."""
        while True:
            found = _SPACE.match(self._rest)
            size = found.end() if found else 0
            if size < len(self._rest) or not self._more():
                return size

    def _value_end(self, start: int) -> int:
        """Give where the value ends that starts there."""
        opening = bytes(self._rest[start : start + 1])
        if opening in (b"", b"]", b"}", b",", b":"):
            raise self._broken("No statement comes here.")
        if opening not in (b"{", b"["):
            return self._scalar_end(start)
        at, depth = start, 0
        while True:
            found = _BRACKET.match(self._rest, at)
            if found is None:
                self._check_length()
                if not self._more():
                    raise self._broken("It ends in the middle of a statement.")
                continue
            at = found.end()
            depth += 1 if found.lastindex == 1 else -1
            if depth == 0:
                return at

    def _scalar_end(self, start: int) -> int:
        while True:
            found = _SCALAR.match(self._rest, start)
            if found:
                return found.end()
            self._check_length()
            if self._more():
                continue
            if self.form is Form.ARRAY:
                raise self._broken("It ends in the middle of the array.")
            return len(self._rest)

    def _check_length(self) -> None:
        if len(self._rest) > self._limit:
            raise self._broken(f"No statement ends within {self._limit} bytes.")

    def _broken(self, what: str) -> Invalid:
        return Invalid(f"{what} (statement {self._count} from 0, line {self._line + 1}, byte {self._offset})", _FORM)
