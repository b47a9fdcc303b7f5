"""JSON read so that the place of every key and value can be told; looked for only when something is wrong."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from bridge.mapping.positions import UNSTORABLE, Located, Path, Place, Places
from bridge.mapping.problems import MappingError, Problem

MAX_DEPTH = 40

_TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[{}\[\],:])|(?P<word>[^\s{}\[\],:"]+))', re.DOTALL)


def read(text: str, file: str) -> Located:
    """Give the value of a JSON file. Raises MappingError that names the place where it is no JSON."""
    if _depth(text) > MAX_DEPTH:
        raise MappingError.at_file(file, f"This is nested deeper than {MAX_DEPTH} levels", "Check the brackets.")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as err:
        remedy = "Check commas, quotes and brackets near here."
        problem = Problem(file, err.lineno, err.colno, f"This is no JSON: {err.msg}", remedy)
        raise MappingError([problem]) from err
    except ValueError as err:
        raise MappingError.at_file(file, f"This is no JSON: {err}", "Write a number, or leave it out.") from err
    found = _Found(text)
    for path, told in _texts(value, ()):
        if odd := UNSTORABLE.search(told):
            place = found.values[path]
            what = f"This holds the character U+{ord(odd[0]):04X}, which cannot be kept"
            raise MappingError([Problem(file, place.line, place.column, what, "Remove it.")])
    return Located(value, Places(_Later(lambda: found.keys), _Later(lambda: found.values)))


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Give every text in a value, the keys of maps too, with the place of the value that has it."""
    match value:
        case str():
            yield path, value
        case list():
            for number, inner in enumerate(value):
                yield from _texts(inner, (*path, number))
        case dict():
            for key, inner in value.items():
                yield (*path, key), key
                yield from _texts(inner, (*path, key))


class _Found:
    """The places in a text, looked for once."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def keys(self) -> dict[Path, Place]:
        return self._all[0]

    @cached_property
    def values(self) -> dict[Path, Place]:
        return self._all[1]

    @cached_property
    def _all(self) -> tuple[dict[Path, Place], dict[Path, Place]]:
        keys: dict[Path, Place] = {}
        values: dict[Path, Place] = {}
        _note(_tokens(self._text), (), keys, values)
        return keys, values


class _Later(Mapping[Path, Place]):
    """A mapping that is made when it is first asked."""

    def __init__(self, make: Callable[[], Mapping[Path, Place]]) -> None:
        self._make = make

    def __getitem__(self, path: Path) -> Place:
        return self._make()[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())


_Tokens = Iterator[tuple[str, Place]]


def _tokens(text: str) -> _Tokens:
    line, line_start, position = 1, 0, 0
    while found := _TOKEN.match(text, position):
        start = found.start(found.lastgroup or 0)
        line += text.count("\n", position, start)
        line_start = text.rfind("\n", 0, start) + 1
        place = Place(line, start - line_start + 1)
        yield found[found.lastgroup or 0], place
        line += text.count("\n", start, found.end())
        position = found.end()


def _note(tokens: _Tokens, path: Path, keys: dict[Path, Place], values: dict[Path, Place]) -> str:
    """Note the value that comes next and all in it; gives its first token, for a closing bracket may come instead."""
    begins, place = next(tokens)
    if begins in ("]", "}", ","):
        return begins
    values[path] = place
    if begins == "[":
        number = 0
        while (after := _note(tokens, (*path, number), keys, values)) != "]":
            number += after == ","
    if begins == "{":
        for key, key_place in tokens:
            if key == "}":
                break
            if key == ",":
                continue
            name = json.loads(key)
            keys[*path, name] = key_place
            next(tokens)  # the colon
            _note(tokens, (*path, name), keys, values)
    return begins


def _depth(text: str) -> int:
    """Count how deep the brackets go, those in texts left out."""
    deepest = depth = 0
    for found in _TOKEN.finditer(text):
        mark = found["mark"]
        if mark in ("{", "["):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in ("}", "]"):
            depth -= 1
    return deepest


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number")
