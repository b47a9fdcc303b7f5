"""How one record of an answer becomes a `Row`, or a problem that names what is wrong with it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors import http
from connectors.errors import SourceBroken
from connectors.sources.cells import CellError, printable, unstorable
from connectors.sources.columns import stamp_text
from connectors.sources.layouts import MAX_KEY_CHARS, canonical, key_text
from connectors.sources.paginators import Answer
from connectors.sources.paths import Steps, find, shown, without
from connectors.sources.rows import Row, RowProblem
from connectors.sources.streams import Stream
from connectors.sources.tables import RAW_CHARS


class ItemError(ValueError):
    """A record that cannot be used: `column` names the place, the message says what to do."""

    def __init__(self, column: str | None, message: str) -> None:
        super().__init__(message)
        self.column = column


def listed(stream: Stream, answer: Answer, told: Callable[[str], str]) -> list[Any]:
    """Give the records of an answer; raises SourceBroken, what it has instead as it may be `told`."""
    found = find(answer.body, stream.records)
    if isinstance(found, list):
        return found
    names = ", ".join(map(repr, answer.body)) if isinstance(answer.body, dict) else type(answer.body).__name__
    where = f"no list at {shown(stream.records)!r}" if stream.records else "no list"
    raise SourceBroken(f"{http.shown(answer.url)} gives {where}; it has: {told(names)[:300]}. Correct `records`.")


def read(stream: Stream, item: object, number: int) -> tuple[Row, datetime | None] | RowProblem:
    """Give the row with its time of change, or the problem; `number` counts the records of a pull from 1."""
    try:
        return _row(stream, item, number)
    except ItemError as err:
        return RowProblem(number, err.column, printable(str(err), 1000), printable(_text(item), RAW_CHARS))


def name(stream: Stream, item: object) -> str:
    """Give what a record is called while it cannot be used: by its key where it has one, else by its content."""
    try:
        return printable(key_text([_key_part(item, steps) for steps in stream.key]), MAX_KEY_CHARS)
    except ItemError:
        return hashlib.sha256(_text(item).encode("utf-8", "replace")).hexdigest()


def key(stream: Stream, item: object) -> str | None:
    """Give what names a record, None when it has no name that can be used."""
    try:
        named = key_text([_key_part(item, steps) for steps in stream.key])
    except ItemError:
        return None
    return named if named.strip() and len(named) <= MAX_KEY_CHARS and not unstorable(named) else None


def _row(stream: Stream, item: object, number: int) -> tuple[Row, datetime | None]:
    if not isinstance(item, dict):
        raise ItemError(None, "This is not a record but a bare value. Correct `records`.")
    deleted = _is_deleted(stream, item)
    names = stream.deleted.key if deleted and stream.deleted and stream.deleted.key else stream.key
    key = key_text([_key_part(item, steps) for steps in names])
    if not key.strip() or len(key) > MAX_KEY_CHARS:
        remedy = f"A key has 1 to {MAX_KEY_CHARS} characters. Correct `key`."
        raise ItemError(shown(stream.key[0]), f"{key[:60]!r} does not do as a key. {remedy}")
    for steps in stream.require:
        if not deleted and find(item, steps) is None:
            remedy = "Ask the vendor's admin for the permission to read it, or take it out of `require`."
            raise ItemError(shown(steps), f"The field is not there. {remedy}")
    changed_at = _changed_at(stream, item)
    for steps in stream.omit:
        item = without(item, steps)
    rank = None if changed_at is None else (stamp_text(changed_at),)
    return Row(key, item, _hash(item), rank, number, deleted=deleted), changed_at


def _key_part(item: object, steps: Steps) -> Any:  # noqa: ANN401
    value = find(item, steps)
    if value is None or isinstance(value, (dict, list, bool)):
        raise ItemError(shown(steps), "The key is empty or no text, so the record has no name. Correct `key`.")
    return value


def changed_at(stream: Stream, item: object) -> datetime | None:
    """Give a record's time of change, None where it has none of use."""
    try:
        return _changed_at(stream, item) if isinstance(item, dict) else None
    except ItemError:
        return None


def _changed_at(stream: Stream, item: Mapping[str, Any]) -> datetime | None:
    if stream.cursor is None:
        return None
    value = find(item, stream.cursor.path)
    if value is None:
        message = "The cursor is empty, so it is unknown which version of the record is newer. Take another field."
        raise ItemError(shown(stream.cursor.path), message)
    try:
        return stream.cursor.codec.read(value)
    except CellError as err:
        raise ItemError(shown(stream.cursor.path), str(err)) from err


def _is_deleted(stream: Stream, item: Mapping[str, Any]) -> bool:
    mark = stream.deleted
    if mark is None:
        return False
    return not mark.values or any(_same(find(item, mark.path), value) for value in mark.values)


def _same(value: object, other: object) -> bool:
    """Compare as JSON does: true is not 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _hash(item: dict[str, Any]) -> bytes:
    try:
        text = canonical(item)
        encoded = text.encode()
    except ValueError as err:
        message = "A text is no Unicode, or a number is none that can be stored. Mend it, or `omit` the field."
        raise ItemError(None, message) from err
    if "\\u0000" in text and _holds_nul(item):
        raise ItemError(None, "A text holds a NUL character, which no database stores. Mend it, or `omit` the field.")
    return hashlib.sha256(encoded).digest()


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_holds_nul(inner) for pair in value.items() for inner in pair)
        case list():
            return any(_holds_nul(inner) for inner in value)
    return False


def _text(item: object) -> str:
    """Write what was answered for a person to read, also what is no proper JSON."""
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))
