"""Documents that people edit over the API instead of in files.

The rules guarded here:

- An edit is taken only if everything that would then be in force validates; otherwise each fault is told by its place.
- An edited document holds in place of a file's of the same kind and name, whichever is newer, until it is taken back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge import documents
from bridge.errors import BridgeError, NotFound
from bridge.mapping import Document, MappingError, Problem, positions
from bridge.models import EditedDocument
from bridge.times import utc_text


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an edit."""

    pointer: str | None
    """JSON pointer (RFC 6901) into what was sent; None for a fault in a file, which `detail` names."""
    detail: str


class Refused(BridgeError):
    """What would then be in force does not validate; nothing was changed."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        super().__init__(f"The program {name!r} was not changed: with it, the documents do not fit together.")
        self.faults = faults


def all_of(session: Session) -> list[Document]:
    """Give what was edited, as documents that come after those of the files."""
    rows = session.scalars(select(EditedDocument).order_by(EditedDocument.kind, EditedDocument.name))
    return [Document(row.kind, row.name, row.data, _place(row.name), "/") for row in rows]


def find(session: Session, name: str) -> EditedDocument | None:
    """Give the edit of a program, if there is one."""
    return session.get(EditedDocument, ("program", name))


def told(row: EditedDocument | None) -> dict[str, Any] | None:
    """Say who edited it when."""
    return None if row is None else {"at": utc_text(row.at), "by": row.by}


def put(session: Session, folders: Sequence[Path], name: str, sent: Mapping[str, Any], *, by: str) -> None:
    """Keep an edited program; the caller commits and loads. `kind` and `name` may be left out. Raises Refused."""
    data = {"kind": "program", "name": name} | dict(sent)
    faults = [
        Fault(f"/{key}", f"This is the address of the program {name!r}: leave `{key}` out, or say {wanted!r}.")
        for key, wanted in (("kind", "program"), ("name", name))
        if data[key] != wanted
    ]
    if faults:
        raise Refused(name, faults)
    try:
        document = _located(name, data)
        others = [one for one in all_of(session) if one.name != name]
        documents.check(folders, [*others, document])
    except MappingError as error:
        pointers = _pointers(name, data)
        raise Refused(name, [_fault(problem, name, pointers) for problem in error.problems]) from error
    row = find(session, name)
    if row is None:
        session.add(EditedDocument(kind="program", name=name, data=data, by=by))
    else:
        row.data, row.by, row.at = data, by, datetime.now(UTC)
    session.flush()


def take_back(session: Session, folders: Sequence[Path], name: str) -> None:
    """Let the files say again what the program is; the caller commits and loads. Raises NotFound and Refused."""
    row = find(session, name)
    if row is None:
        raise NotFound(f"The program {name!r} was not edited: it is as the files have it.")
    try:
        documents.check(folders, [one for one in all_of(session) if one.name != name])
    except MappingError as error:
        raise Refused(name, [_fault(problem, name, {}) for problem in error.problems]) from error
    session.delete(row)
    session.flush()


def _place(name: str) -> str:
    return f"/api/v1/programs/{name}"


def _written(data: Mapping[str, Any]) -> str:
    """Write JSON with a line for each value, which YAML reads too: so its guards and its places hold here as well."""
    return json.dumps(data, indent=1, ensure_ascii=False)


def _located(name: str, data: dict[str, Any]) -> Document:
    located = list(positions.read(_written(data), _place(name)))
    return Document("program", name, data, _place(name), "/", located[0].places)


def _pointers(name: str, data: dict[str, Any]) -> dict[int, str]:
    """Give the place of what stands on each line of `_written`; nothing where it cannot be read."""
    try:
        places = _located(name, data).places
    except MappingError:
        return {}
    found = sorted((place.line, path) for path, place in places.values.items() if path) if places.values else []
    return {line: "".join(f"/{_escaped(step)}" for step in path) for line, path in found}


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _fault(problem: Problem, name: str, pointers: Mapping[int, str]) -> Fault:
    if problem.file == _place(name):
        return Fault(pointers.get(problem.line, ""), f"{problem.text}. {problem.remedy}")
    return Fault(None, str(problem))
