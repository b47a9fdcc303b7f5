"""YAML read so that every key and value keeps its place, and so that no file can take long to read.

YAML's core schema only: texts, whole numbers, decimal numbers, true, false and null. `yes`, `on`, dates and `1:30` are
texts, as they look. No anchors and aliases (a few lines of them can stand for billions of values), no tags.

A file of the largest size takes up to 3 s (60,000 entries in a list; 4,000 documents), most of it in PyYAML; what is
nested too deeply or has an anchor is refused at its first sign.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bridge.mapping import yaml_faults
from bridge.mapping.problems import MappingError, Problem, shown

MAX_BYTES = 128 * 1024
"""The largest file; the shipped Moodle mapping has 5 KB."""
MAX_DEPTH = 20

UNSTORABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]")
"""Characters that escapes in double quotes can name, and that a database or an expression cannot hold."""

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list places from the top."""

_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?[0-9]{1,18}"), int),
    (re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?"), float),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, counted from 1; `content` is where its text begins, if that can be told exactly."""

    line: int
    column: int
    content: tuple[int, int] | None = None

    def inside(self, line: int, column: int) -> "Place":
        """Give the place of a line and column of the text, counted from 1; the start where it cannot be told."""
        if self.content is None:
            return self
        return Place(self.content[0] + line - 1, self.content[1] + column - 1)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys and the values of a document stand."""

    keys: Mapping[Path, Place]
    values: Mapping[Path, Place]


@dataclass(frozen=True, slots=True)
class Located:
    """The value of one YAML document, with its places."""

    value: Any
    places: Places


def read(text: str, file: str) -> Iterator[Located]:
    """Give the documents of a file, empty ones left out. Raises MappingError at the first thing that is no YAML."""
    reader = _Reader(text, file)
    try:
        for event in reader.events:
            if isinstance(event, yaml.DocumentStartEvent):
                located = reader.document()
                if located.value is not None:
                    yield located
    except yaml.YAMLError as err:
        raise MappingError([yaml_faults.problem(err, text, file)]) from err


class _Reader:
    """Turns PyYAML's events into plain values, noting places; one document at a time, nothing built that is refused."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.lines = text.split("\n")
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}

    def document(self) -> Located:
        self.keys, self.values = {}, {}
        value = self._build(next(self.events), ())
        return Located(value, Places(self.keys, self.values))

    def _build(self, event: yaml.Event, path: Path) -> Any:  # noqa: ANN401 - whatever the YAML says
        self._check(event, path)
        self.values[path] = self._place(event)
        match event:
            case yaml.SequenceStartEvent():
                return self._list(path)
            case yaml.MappingStartEvent():
                return self._map(path)
            case yaml.ScalarEvent():
                return event.value if event.style else _scalar(event.value)
        raise AssertionError(event)

    def _check(self, event: yaml.Event, path: Path) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._problem(event, "Anchors and aliases are not used here", "Write the value out.")
        if getattr(event, "tag", None):
            raise self._problem(event, "Tags are not used here", "Write plain texts, numbers, lists and maps.")
        if isinstance(event, yaml.ScalarEvent) and (found := UNSTORABLE.search(event.value)):
            text = f"This text holds the character U+{ord(found[0]):04X}, which cannot be kept"
            raise self._problem(event, text, "Remove it, or write the character that was meant itself.")
        if len(path) == MAX_DEPTH:
            raise self._problem(event, f"This is nested deeper than {MAX_DEPTH} levels", "Check the brackets.")

    def _list(self, path: Path) -> list[Any]:
        built: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            built.append(self._build(event, (*path, len(built))))
        return built

    def _map(self, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                remedy = "Keys are plain words; a value that begins with { or [ stands in quotes."
                raise self._problem(event, "A key is a list, a map or an alias", remedy)
            self._check(event, path)
            # A key is its text as written: `true:` in a source document is the key "true".
            name = event.value
            if name in built:
                first = self.keys[*path, name].line
                remedy = "Keep one, or put --- between two documents." if not path and name == "kind" else "Keep one."
                raise self._problem(event, f"The key {shown(name)} stands twice, first in line {first}", remedy)
            self.keys[*path, name] = self._place(event)
            built[name] = self._build(next(self.events), (*path, name))
        return built

    def _place(self, event: yaml.Event) -> Place:
        mark = _mark(event)
        return Place(mark.line + 1, mark.column + 1, self._content(event))

    def _content(self, event: yaml.Event) -> tuple[int, int] | None:
        """Give where a scalar's text begins, if the file shows it just as it was read."""
        if not isinstance(event, yaml.ScalarEvent):
            return None
        start = _mark(event)
        if event.style == "|":
            line = self.lines[start.line + 1].rstrip("\r") if start.line + 1 < len(self.lines) else ""
            indent = len(line) - len(line.lstrip(" "))
            return (start.line + 2, indent + 1) if line[indent:] == event.value.partition("\n")[0] else None
        quote = 1 if event.style in ("'", '"') else 0
        exact = self.text.startswith(event.value, start.index + quote)
        return (start.line + 1, start.column + 1 + quote) if exact else None

    def _problem(self, event: yaml.Event, text: str, remedy: str) -> MappingError:
        mark = _mark(event)
        return MappingError([Problem(self.file, mark.line + 1, mark.column + 1, text, remedy)])


def _scalar(text: str) -> Any:  # noqa: ANN401 - whatever the YAML says
    for pattern, convert in _SCALARS:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def _mark(event: yaml.Event) -> yaml.Mark:
    if not isinstance(event.start_mark, yaml.Mark):
        raise TypeError(event)  # PyYAML marks every event that it parses
    return event.start_mark
