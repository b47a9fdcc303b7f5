"""A mapping document as it was written, with the places of its parts."""

from dataclasses import dataclass, field
from typing import Any

from bridge.mapping.positions import Path, Place, Places
from bridge.mapping.problems import Problem


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document; `source` and `destination` documents stay like this, for `connectors` validates them."""

    kind: str
    name: str
    data: dict[str, Any]
    """All of it, `kind` and `name` included."""
    file: str
    """As it was given, for people."""
    folder: str
    """Absolute: relative paths in the document start here."""
    places: Places = field(default_factory=lambda: Places({}, {}), compare=False, repr=False)
    """Empty when the document comes from the database."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"

    @property
    def place(self) -> str:
        """Where it begins, for people."""
        start = self.places.values.get(())
        return f"{self.file}:{start.line}" if start else self.file

    def at(self, path: Path) -> Any:  # noqa: ANN401 - whatever was written
        """Give what stands at a path, which must be there."""
        value: Any = self.data
        for step in path:
            value = value[step]
        return value

    def problem(self, path: Path, text: str, remedy: str) -> Problem:
        """Say that the value at a path is wrong; for a path that is not there, the nearest value around it is named."""
        while path and path not in self.places.values:
            path = path[:-1]
        return self._problem(self.places.values.get(path), text, remedy)

    def problem_of_key(self, path: Path, text: str, remedy: str) -> Problem:
        """Say that the key at the end of a path is wrong."""
        return self._problem(self.places.keys.get(path), text, remedy)

    def problem_inside(self, path: Path, line: int, column: int, text: str, remedy: str) -> Problem:
        """Say that the text at a path is wrong at a line and column of its own, counted from 1."""
        place = self.places.values.get(path)
        return self._problem(place.inside(line, column) if place else None, text, remedy)

    def _problem(self, place: Place | None, text: str, remedy: str) -> Problem:
        line, column = (place.line, place.column) if place else (0, 0)
        return Problem(self.file, line, column, text.removesuffix("."), remedy)
