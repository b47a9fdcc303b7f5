"""What is wrong with mapping documents: where, what, and what to do about it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong at one place; lines and columns count from 1, 0 where there is none."""

    file: str
    line: int
    column: int
    text: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.text}. {self.remedy}"


class MappingError(Exception):
    """Documents that cannot be put in force; `problems` holds all that was found, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def at_file(cls, file: object, text: str, remedy: str) -> Self:
        """Say that a file as a whole cannot be used."""
        return cls([Problem(str(file), 0, 0, text, remedy)])


def nearest(name: object, known: Iterable[str], *, what: str = "names") -> str:
    """Give the remedy for a name that is not known: the one that was probably meant, else all there are."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name)[:100], known, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"The {what} known here: {', '.join(known)}." if known else f"There are no {what} here yet."


def shown(value: object) -> str:
    """Give the offending value as a person would recognise it, cut to a line."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    return f"'{text[:60]}…'" if len(text) > 61 else f"'{text}'"
