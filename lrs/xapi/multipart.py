"""Statements with their attachments as multipart/mixed (xAPI 1.0.3, Communication 1.5.2; RFC 2046, section 5.1).

Read here by hand, because no library at hand reads it right: the standard library's email.parser takes a bare LF or CR
before a boundary for the end of a part, which binary data may hold, keeps silent about a body that is cut off, and
needs ten times the body's memory; multipart, werkzeug and python-multipart know form-data only.
"""

import hashlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import UNSET, Raw
from werkzeug.http import parse_options_header

from lrs.errors import Invalid, Rule
from lrs.xapi import validation
from lrs.xapi.structs import Attachment, Statement

HASH_HEADER = "X-Experience-API-Hash"

_MAX_HEADERS_BYTES = 8192
"""Of one part; some four short headers are all there is to say."""

_SECTION = "Communication 1.5.2"
_TYPE = Rule(
    "statements come as application/json or, with attachments, as multipart/mixed",
    "Communication 1.5",
    "Send Content-Type: application/json.",
)
_BOUNDARY = Rule(
    "multipart/mixed names its boundary, of 1 to 70 characters",
    _SECTION,
    "Send Content-Type: multipart/mixed; boundary=..., in quotes when it has other characters than letters and digits.",
)
_FORM = Rule(
    "a multipart body is parts between lines of -- and the boundary, the last with -- at its end; lines end in CRLF",
    _SECTION,
    "Send the whole body, made as RFC 2046 says; choose a boundary that no part contains.",
)
_HEADERS = Rule(
    "a part begins with header lines, each name once, and an empty line", _SECTION, "Write them like Content-Type: a/b."
)
_STATEMENTS_FIRST = Rule(
    "the first part has the type application/json and all statements", _SECTION, "Put the statements first."
)
_BINARY = Rule(
    "each part after the first has the header Content-Transfer-Encoding: binary",
    _SECTION,
    "Send the bytes as they are, with this header.",
)
_HASH = Rule(
    f"each part after the first has the header {HASH_HEADER}: the SHA-2 hash of its bytes in hexadecimal digits",
    _SECTION,
    "Send the SHA-256 of the bytes between the part's empty line and the CRLF before the next boundary.",
)
_NAMED = Rule(
    "each part after the first is an attachment that a statement names by its sha2",
    _SECTION,
    "Drop the part, or name its hash in attachments.",
)
_MATCHING = Rule(
    "what both a part's header and the attachment object say is the same",
    _SECTION,
    "Send the same contentType and length in both places, or leave the header out.",
)

_BOUNDARY_FORM = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_UNSEEN = re.compile(r"[\x00-\x20\x7f]+")

_ALGORITHMS = {56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
"""Which SHA-2 hash it is, by its length in hexadecimal digits."""


class Part(NamedTuple):
    """An attachment that was sent along, its hash found to be right."""

    sha2: str
    """In lower case."""
    data: memoryview
    """Into the body: what is large is not copied."""
    content_type: str | None
    """Of the part's header, as `length` is; None where it has none."""
    length: str | None


class Received(NamedTuple):
    """What the body of a request to the statements resource holds."""

    texts: list[Raw]
    is_list: bool
    parts: dict[str, Part]
    """By sha2 in lower case."""


def receive(body: bytes, content_type: str | None) -> Received:
    """Read a body of statements by its content type; raises Invalid. The statements themselves are not validated."""
    kind, parameters = parse_options_header(content_type)
    match kind.lower():
        case "application/json":
            return Received(*validation.split(body), {})
        case "multipart/mixed":
            raw = _split(body, parameters.get("boundary", ""))
            texts, is_list = validation.split(_json(next(raw)))
            return Received(texts, is_list, {part.sha2: part for part in map(_part, raw)})
        case _:
            raise Invalid(f"The content type {content_type or '(none)'} is not read here.", _TYPE)


def check(statement: Statement, parts: Mapping[str, Part]) -> None:
    """Hold what the headers of parts say against a statement's attachment objects; raises Invalid.

    The length of the bytes themselves is not held against `length`: the hash alone decides (1.5.2, "It MUST not do so
    any other way"), and the conformance suite sends such statements.
    """
    for place, attachment in _places(statement):
        part = parts.get(attachment.sha2.lower())
        if part is None:
            continue
        if part.content_type is not None and _media_type(part.content_type) != _media_type(attachment.content_type):
            raise Invalid("The part has another Content-Type.", _MATCHING, pointer=f"{place}/contentType")
        if part.length is not None and part.length != str(attachment.length):
            raise Invalid("The part has another Content-Length.", _MATCHING, pointer=f"{place}/length")


def check_named(parts: Iterable[str], statements: Iterable[Statement]) -> None:
    """Refuse a part whose hash no statement names; raises Invalid."""
    named = {attachment.sha2.lower() for one in statements for _, attachment in _places(one)}
    for sha2 in parts:
        if sha2 not in named:
            raise Invalid(f"No statement names the part with the hash {sha2}.", _NAMED)


def named(statement: Statement, among: Container[str]) -> set[str]:
    """Give those of the hashes, in lower case, that the statement or its SubStatement names as attachments."""
    return {sha2 for _, attachment in _places(statement) if (sha2 := attachment.sha2.lower()) in among}


def _places(statement: Statement) -> Iterator[tuple[str, Attachment]]:
    for claim, place in zip(statement.claims(), ("", "/object"), strict=False):
        if claim.attachments is not UNSET:
            for index, attachment in enumerate(claim.attachments):
                yield f"{place}/attachments/{index}", attachment


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    kind, parameters = parse_options_header(text)
    return kind.lower(), parameters


# --- reading ---------------------------------------------------------------------------------------------------------


class _Raw(NamedTuple):
    number: int
    """Of the part, from 0."""
    headers: dict[str, str]
    """By name in lower case."""
    data: memoryview


def _split(body: bytes, boundary: str) -> Iterator[_Raw]:
    """Cut a multipart body at its boundaries, one part at a time; at least one comes out."""
    if not _BOUNDARY_FORM.match(boundary):
        raise Invalid("The content type names no boundary.", _BOUNDARY)
    dashes = b"--" + boundary.encode()
    delimiter = b"\r\n" + dashes
    # What comes before the first boundary and after the last means nothing (RFC 2046).
    end = 0 if body.startswith(dashes) else body.find(delimiter) + 2
    if end == 1:
        raise Invalid("The body does not contain its boundary.", _FORM)
    number = 0
    while (start := _start(body, end + len(dashes), number)) is not None:
        # The CRLF before the next boundary may be the one behind this one, when the part is empty.
        found = body.find(delimiter, start - 2)
        if found < 0:
            raise Invalid(f"Part {number} has no end: the body is cut off.", _FORM)
        yield _headed(body, start, max(start, found), number)
        end = found + 2
        number += 1
    if not number:
        raise Invalid("The body has no parts.", _STATEMENTS_FIRST)


def _start(body: bytes, after: int, number: int) -> int | None:
    """Give where the part behind a boundary begins; None when the boundary is the last."""
    if body.startswith(b"--", after):
        return None
    while body[after : after + 1] in (b" ", b"\t"):
        after += 1
    if not body.startswith(b"\r\n", after):
        raise Invalid(f"The boundary before part {number} has no CRLF behind it.", _FORM)
    return after + 2


def _headed(body: bytes, start: int, end: int, number: int) -> _Raw:
    """Cut a part into its headers and its data."""
    if body.startswith(b"\r\n", start):
        return _Raw(number, {}, memoryview(body)[start + 2 : end])
    empty = body.find(b"\r\n\r\n", start, min(end + 2, start + _MAX_HEADERS_BYTES))
    if empty < 0:
        raise Invalid(f"Part {number} has no empty line behind its headers.", _HEADERS)
    headers: dict[str, str] = {}
    for line in re.split(rb"\r\n(?![ \t])", body[start:empty]):
        header = _HEADER.fullmatch(line)
        if header is None or (name := header[1].decode().lower()) in headers:
            raise Invalid(f"Part {number} has a header that is none, or is there already.", _HEADERS)
        headers[name] = header[2].replace(b"\r\n", b"").decode("latin-1").strip()
    return _Raw(number, headers, memoryview(body)[empty + 4 : end])


def _json(part: _Raw) -> bytes:
    if parse_options_header(part.headers.get("content-type"))[0].lower() != "application/json":
        raise Invalid("The first part is not application/json.", _STATEMENTS_FIRST)
    if part.headers.get("content-transfer-encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
        raise Invalid("The first part is encoded.", _BINARY)
    return bytes(part.data)


def _part(raw: _Raw) -> Part:
    if raw.headers.get("content-transfer-encoding", "").lower() != "binary":
        raise Invalid(f"Part {raw.number} does not say that it is binary.", _BINARY)
    sha2 = raw.headers.get(HASH_HEADER.lower(), "").lower()
    algorithm = _ALGORITHMS.get(len(sha2))
    if algorithm is None:
        raise Invalid(f"Part {raw.number} has no header {HASH_HEADER} with a SHA-2 hash.", _HASH)
    if hashlib.new(algorithm, raw.data).hexdigest() != sha2:
        raise Invalid(f"Part {raw.number} has another hash than its header says, or was changed on its way.", _HASH)
    return Part(sha2, raw.data, raw.headers.get("content-type"), raw.headers.get("content-length"))


# --- writing ---------------------------------------------------------------------------------------------------------


class Attached(NamedTuple):
    """An attachment on its way out."""

    sha2: str
    """As the statement writes it."""
    content_type: str
    length: int
    pieces: Iterable[bytes]
    """Its bytes; asked for when they are due."""


def write(text: str, attached: Iterable[Attached], *, boundary: str) -> tuple[int, Iterator[bytes]]:
    """Write JSON and the attachments that go with it; give the number of bytes, and the bytes.

    `boundary` has letters and digits only, and is too random to be in any part.
    """
    first = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{text}".encode()
    heads = [(_head(one, boundary), one) for one in attached]
    last = f"\r\n--{boundary}--\r\n".encode()
    length = len(first) + sum(len(head) + one.length for head, one in heads) + len(last)
    return length, _bytes(first, heads, last)


def _bytes(first: bytes, heads: list[tuple[bytes, Attached]], last: bytes) -> Iterator[bytes]:
    yield first
    for head, one in heads:
        yield head
        yield from one.pieces
    yield last


def _head(one: Attached, boundary: str) -> bytes:
    # A content type comes from a client: what could end the line, or look like another header, becomes a space.
    content_type = _UNSEEN.sub(" ", one.content_type)
    return (
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n"
        f"{HASH_HEADER}: {one.sha2}\r\n\r\n"
    ).encode()
