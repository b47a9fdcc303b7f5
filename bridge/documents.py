"""Which documents are in force: the last set that validated, kept in the database.

The rule guarded here: a broken file never changes what runs. The folders are read as a whole; if anything in them is
wrong, the problems are kept for people to see and the last good set stays, also over a restart.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from bridge import mapping
from bridge.errors import UnknownName
from bridge.mapping import Document, Documents, MappingError, Problem
from bridge.models import MappingProblem, MappingVersion, Reading, Rule
from bridge.settings import environment, shipped
from connectors import (
    Completions,
    ConfigError,
    Destination,
    Fetchable,
    Reach,
    RowDestination,
    Secrets,
    Source,
    load_destination,
    load_source,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading the folders."""

    changed: bool
    """New documents are in force."""
    problems: Sequence[Problem]
    new_problems: Sequence[Problem]
    """Those that were not there the last time; the rest has been told already."""
    notices: Sequence[str]


def check(folders: Sequence[Path], edited: Sequence[Document] = ()) -> Documents:
    """Read and check every document in the folders, and those edited elsewhere, which take the place of files'.

    Raises MappingError with all problems of all files.
    """
    written = mapping.read_folders(folders)
    connections = (document for document in written.documents if document.kind in {"source", "destination"})
    problems = [problem for document in connections for problem in _connection_problems(document)]
    problems += _completion_problems([one for one in written.documents if one.kind == "source"])
    problems += _report_problems(written.documents)
    ours = shipped("mappings").resolve()
    everything = [*written.documents, *edited]
    return Documents.of(everything, written.notices, [*written.problems, *problems], shipped=ours)


def check_sources(places: Sequence[Path]) -> tuple[list[str], list[Problem]]:
    """Check the source documents in files or folders alone; gives their names, and what is wrong with them."""
    written = mapping.read_folders(places)
    found = [document for document in written.documents if document.kind == "source"]
    problems = [*written.problems, *(problem for document in found for problem in _connection_problems(document))]
    return [document.name for document in found], problems


def load(session: Session, folders: Sequence[Path], edited: Sequence[Document] = ()) -> Loaded:
    """Bring the folders and what was edited into force if all validate; else keep what is, and note the problems."""
    told = {Problem(one.file, one.line or 0, one.column or 0, one.text, one.remedy) for one in problems(session)}
    try:
        documents = check(folders, edited)
    except MappingError as error:
        new = [problem for problem in error.problems if problem not in told]
        if new or len(error.problems) != len(told):
            session.execute(delete(MappingProblem))
            _note(session, error.problems)
        return Loaded(changed=False, problems=error.problems, new_problems=new, notices=())
    session.execute(delete(MappingProblem))
    newest = session.scalar(_NEWEST)
    content = documents.to_text()
    # The same documents mean other rules when an upgrade reads them otherwise.
    changed = newest is None or newest.documents != content or newest.rules_hash != documents.rules_hash
    if changed:
        session.add(MappingVersion(rules_hash=documents.rules_hash, documents=content))
        session.flush()
    return Loaded(changed=changed, problems=(), new_problems=(), notices=documents.notices)


def current(session: Session) -> Documents | None:
    """Give the documents in force; None before the first load, and when an upgrade refuses what was in force."""
    newest = session.scalar(_NEWEST)
    return _parsed(newest.documents) if newest else None


def of_reading(session: Session, reading: Reading) -> Documents | None:
    """Give the documents that a reading began with, with those of their rules that it reads by.

    None when they are no more, as after an upgrade that refuses them.
    """
    text = session.scalar(_NEWEST.with_only_columns(MappingVersion.documents).filter_by(rules_hash=reading.rules_hash))
    rules = session.execute(select(Rule.kind, Rule.document, Rule.name).filter_by(state=reading.state))
    return _narrowed(text, frozenset((kind, document, name) for kind, document, name in rules)) if text else None


def with_rules(session: Session, rules_hash: str) -> Documents | None:
    """Give the newest documents whose rules have this hash, for a reading that began under older ones."""
    version = session.scalar(_NEWEST.where(MappingVersion.rules_hash == rules_hash))
    return _parsed(version.documents) if version else None


def problems(session: Session) -> Sequence[MappingProblem]:
    """Give what is wrong with the folders as they were last read."""
    return session.scalars(select(MappingProblem).order_by(MappingProblem.id)).all()


def source_hashes(documents: Documents) -> dict[str, str]:
    """Give a hash of each source document by name; it changes when anything in the document does, or its folder."""
    return {
        name: hashlib.sha256(json.dumps([document.folder, document.data], sort_keys=True).encode()).hexdigest()
        for name, document in documents.sources.items()
    }


def source(documents: Documents, name: str, *, reach: Reach | None = None) -> Source:
    """Give the source of this name, ready to be pulled; raises UnknownName.

    Without `reach` it has the secrets, and neither a quota that is shared nor tokens that are kept.
    """
    document = _named(documents.sources, "source", name)
    return load_source(document.data, base=Path(document.folder), reach=reach or Reach(Secrets(environment())))


def destination(
    documents: Documents, name: str, *, data_dir: Path, reach: Reach | None = None
) -> Destination | RowDestination:
    """Give the destination of this name; its relative paths start at the data directory.

    Without `reach` it has the secrets alone.
    """
    document = _named(documents.destinations, "destination", name)
    return load_destination(document.data, base=data_dir, reach=reach or Reach(Secrets(environment())))


def lms(documents: Documents, name: str, *, data_dir: Path, reach: Reach) -> Completions | None:
    """Give the destination of this name if it is an LMS that says who completed what."""
    found: object = destination(documents, name, data_dir=data_dir, reach=reach)
    return found if isinstance(found, Completions) else None


def row_takers(documents: Documents, *, data_dir: Path) -> list[RowDestination]:
    """Give the destinations that take rows, by name; nothing can be sent with these (see `destination`)."""
    found: list[RowDestination] = []
    for name in documents.destinations:
        one: object = load_destination(documents.destinations[name].data, base=data_dir)
        if isinstance(one, RowDestination):
            found.append(one)
    return found


_NEWEST = select(MappingVersion).order_by(MappingVersion.id.desc()).limit(1)


@lru_cache(maxsize=4)
def _parsed(text: str) -> Documents | None:
    """Compile a set of documents once a process; the active and a pending reading may need one each.

    None when it is refused: an upgrade may be stricter. The files' problems are then told as those of any others.
    """
    try:
        return Documents.from_text(text)
    except MappingError as error:
        log.error("What was in force is refused since an upgrade; nothing is read until it is mended: %s", error)
        return None


@lru_cache(maxsize=4)
def _narrowed(text: str, rules: frozenset[tuple[str, str, str]]) -> Documents | None:
    documents = _parsed(text)
    return documents.only(rules) if documents else None


def _named(documents: Mapping[str, Document], what: str, name: str) -> Document:
    if name not in documents:
        raise UnknownName(what, name, documents)
    return documents[name]


def _connection_problems(document: Document) -> Iterator[Problem]:
    """Let `connectors` check a source or destination, and give its faults a place in the file."""
    load_one = load_source if document.kind == "source" else load_destination
    try:
        load_one(document.data, base=Path(document.folder))
    except ConfigError as error:
        for fault in error.faults:
            yield document.problem(fault.path, fault.text, fault.remedy)


def _completion_problems(documents: Sequence[Document]) -> Iterator[Problem]:
    """Give the webhooks that complete a source that is not there, or that cannot be asked for single records."""
    sources = {document.name: document for document in documents}
    for document in documents:
        completes = document.data.get("completes") if document.data.get("type") == "webhook" else None
        if not isinstance(completes, str):
            continue
        if completes not in sources:
            error = UnknownName("source", completes, sources)
            what, _, remedy = str(error).partition(". ")
            yield document.problem(("completes",), what, remedy)
        elif not _can_fetch(sources[completes]):
            what = f"{completes} cannot be asked for single records"
            yield document.problem(("completes",), what, "Declare `one` in it: how one record is asked for by its id")


def _report_problems(documents: Sequence[Document]) -> Iterator[Problem]:
    """Give the destinations of reports that take rows alone."""
    takers = {document.name for document in documents if document.kind == "destination" and _takes_rows(document)}
    for document in documents:
        named = document.data.get("destinations") if document.kind == "report" else None
        for place, name in enumerate(named if isinstance(named, list) else []):
            if name in takers:
                what = f"{name} takes rows, not reports"
                remedy = "Take it out: it gets the feeds that its own document names, of all programs or of those there"
                yield document.problem(("destinations", place), what, remedy)


def _takes_rows(document: Document) -> bool:
    try:
        return isinstance(load_destination(document.data, base=Path(document.folder)), RowDestination)
    except ConfigError:
        return False  # what is wrong with it is told anyway


def _can_fetch(document: Document) -> bool:
    try:
        source = load_source(document.data, base=Path(document.folder))
    except ConfigError:
        return True  # what is wrong with it is told anyway
    return isinstance(source, Fetchable) and source.can_fetch


def _note(session: Session, found: Sequence[Problem]) -> None:
    session.execute(
        insert(MappingProblem),
        [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "text": problem.text,
                "remedy": problem.remedy,
            }
            for problem in found
        ],
    )
