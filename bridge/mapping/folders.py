"""Mapping documents and xAPI Profiles from folders and files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.mapping import json_places, positions, profiles
from bridge.mapping.documents import Documents
from bridge.mapping.fields import NAME
from bridge.mapping.functions import type_of
from bridge.mapping.kinds import Profile
from bridge.mapping.positions import MAX_BYTES, Located
from bridge.mapping.problems import MappingError, Problem, nearest, shown
from bridge.mapping.schemas import KINDS
from bridge.mapping.written import Document

PROFILE_ENDING = ".jsonld"
_ENDINGS = (".yaml", ".yml", PROFILE_ENDING)

MAX_PROFILE_BYTES = 1024 * 1024
"""The largest public profile has 200 KB."""


def load_folders(paths: Iterable[Path]) -> Documents:
    """Load every YAML file and profile of each folder, and each file named by itself; later ones replace earlier ones.

    Files are taken in the order of their names. Folders inside a folder are not entered, and names that begin with a
    dot (editors' scratch files) are left out. Raises MappingError with all that is wrong in all files.
    """
    written = read_folders(paths)
    return Documents.of(written.documents, written.notices, written.problems)


@dataclass
class Written:
    """What stands in the files: the documents that can be told apart, and what was found on the way."""

    documents: list[Document] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_folders(paths: Iterable[Path]) -> Written:
    """Read the files as `load_folders` does, without putting the documents together; never raises MappingError."""
    written = Written()
    for path in paths:
        try:
            files = _files(path)
        except MappingError as err:
            written.problems += err.problems
            continue
        if not files:
            written.notices.append(f"{path}: there is no file ending in .yaml, .yml or .jsonld.")
        for file in files:
            try:
                written.documents += read_file(file)
            except MappingError as err:
                written.problems += err.problems
    return written


def read_file(file: Path) -> list[Document]:
    """Read one file's documents, as written. Raises MappingError."""
    if file.suffix == PROFILE_ENDING:
        return [read_profile(file)]
    documents: list[Document] = []
    problems: list[Problem] = []
    first: dict[tuple[str, str], Document] = {}
    text = _text(file)
    if not text.strip():
        # Somebody who wants no documents removes the file or comments them out; this one was cut short.
        remedy = "Write a document, beginning with `kind: ...`, or remove the file."
        raise MappingError([Problem(str(file), 1, 1, "The file is empty", remedy)])
    for located in positions.read(text, str(file)):
        try:
            document = _document(located, file)
        except MappingError as err:
            problems += err.problems
            continue
        twin = first.setdefault((document.kind, document.name), document)
        if twin is not document:
            text = f"{document} stands twice in this file, first at {twin.place}"
            problems.append(document.problem(("name",), text, "Give it another name, or keep one."))
        documents.append(document)
    if problems:
        raise MappingError(problems)
    return documents


def read_profile(file: Path) -> Document:
    """Read a file that holds an xAPI Profile, whatever its name ends in. Raises MappingError."""
    located = json_places.read(_text(file, MAX_PROFILE_BYTES), str(file))
    if not isinstance(located.value, dict):
        what = f"A profile is a JSON object, not {type_of(located.value)}"
        raise MappingError([Problem(str(file), 1, 1, what, "Name a file with an xAPI Profile in JSON-LD.")])
    name = located.value.get("id")
    return Document(
        profiles.KIND,
        name if isinstance(name, str) else "",
        located.value,
        str(file),
        str(file.resolve().parent),
        located.places,
    )


def load_profile(file: Path) -> Profile:
    """Read and check a profile by itself. Raises MappingError."""
    return profiles.parse(read_profile(file))


def keep_profile(file: Path, profile: Profile, folder: Path) -> Path:
    """Copy a profile's file into a folder of documents, over the file there that holds it already; gives its path.

    Raises MappingError where the name is taken by something else, or the folder cannot be written.
    """
    held = {path: _profile_in(path) for path in (folder.glob(f"*{PROFILE_ENDING}") if folder.is_dir() else ())}
    place = next((path for path, name in sorted(held.items()) if name == profile.name), None)
    if place is None:
        place = folder / f"{file.name.removesuffix(file.suffix)}{PROFILE_ENDING}"
    if place in held and held[place] != profile.name and place.resolve() != file.resolve():
        raise MappingError.at_file(place, f"It holds {held[place] or 'no profile'}", f"Give {file.name} another name.")
    content = file.read_bytes()
    # Written beside it and moved, for a worker may read the folder at any time. It leaves out names with a dot.
    scratch = folder / f".{place.name}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(content)
        scratch.replace(place)
    except OSError as err:
        text = f"It cannot be written: {err.strerror}"
        raise MappingError.at_file(place, text, "Check who may write there.") from err
    return place


def _profile_in(file: Path) -> str | None:
    try:
        return read_profile(file).name
    except MappingError:
        return None


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = (file for file in path.iterdir() if file.suffix in _ENDINGS and not file.name.startswith("."))
        return sorted(file for file in files if not file.is_dir())
    if not path.exists():
        raise MappingError.at_file(path, "There is no such file or folder", "Check the path.")
    return [path]


def _text(file: Path, most: int = MAX_BYTES) -> str:
    if not file.is_file():  # a pipe or a device would be waited for
        raise MappingError.at_file(file, "This is not a regular file", "Give YAML files, or folders that hold them.")
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as err:
        raise MappingError.at_file(file, f"It cannot be read: {err.strerror}", "Check who may read it.") from err
    if len(content) > most:
        raise MappingError.at_file(file, f"It is larger than {most // 1024} KB", "Make several files of it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        column = err.start - content.rfind(b"\n", 0, err.start)
        text = f"The byte 0x{content[err.start]:02x} is no UTF-8"
        raise MappingError([Problem(str(file), line, column, text, "Save the file as UTF-8.")]) from err


def _document(located: Located, file: Path) -> Document:
    """Give the document if its kind and name can be told; the rest is for its schema."""
    folder = str(file.resolve().parent)
    if not isinstance(located.value, dict):
        whole = Document("", "", {}, str(file), folder, located.places)
        what = f"A document is a map of keys and values, not {type_of(located.value)}"
        raise MappingError([whole.problem((), what, "Begin with `kind: ...`; --- stands between two documents.")])
    document = Document(
        str(located.value.get("kind")), str(located.value.get("name")), located.value, str(file), folder, located.places
    )
    problems = list(_head_problems(document))
    if problems:
        raise MappingError(problems)
    return document


def _head_problems(document: Document) -> Iterator[Problem]:
    for key in ("kind", "name"):
        if document.data.get(key) is None:
            yield document.problem((key,), f"The document has no `{key}`", f"Add `{key}: ...` at its beginning.")
    kind, name = document.data.get("kind"), document.data.get("name")
    if kind is not None and kind not in KINDS:
        yield document.problem(("kind",), f"{shown(kind)} is no kind of document", nearest(kind, KINDS, what="kinds"))
    if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
        yield document.problem(("name",), f"{shown(name)} is no name", "Use up to 64 of a-z, 0-9 and -.")
