"""JSONPath as xAPI Profiles use it: the part of it that points, without the part that computes.

Children by name, places in lists, `*`, `..`, unions in brackets, and several paths joined by `|`; no filters, scripts
or slices (https://github.com/adlnet/xapi-profiles/blob/master/xapi-profiles-structure.md#statement-template-rules).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

MAX_LENGTH = 500
MAX_STEPS = 20
MAX_FOUND = 10_000
"""Values that a path may point to in one statement; those beyond are left out."""
MAX_DEPTH = 64
"""How deep `..` looks."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<deep>\.\.)|(?P<dot>\.)|(?P<open>\[)|(?P<close>\])|(?P<comma>,)|(?P<pipe>\|)|(?P<star>\*)
    |'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<name>[^\s.,|\[\]*'"()?@:]+))\s*""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Step:
    """One step down: to children by name or place; `deep` looks for them at every level below."""

    names: tuple[str | int | None, ...]
    """None stands for all children."""
    deep: bool = False


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path, or several whose findings are put together."""

    source: str
    paths: tuple[tuple[Step, ...], ...]

    def __str__(self) -> str:
        return self.source

    def find(self, value: object) -> list[Any]:
        """Give the values that it points to, in the order of the paths; none where there is nothing."""
        return list(islice((found for steps in self.paths for found in _walk(steps, [value])), MAX_FOUND))


def parse(source: str) -> JsonPath:
    """Read a path, which may begin with `$`; raises ValueError that says what is wrong."""
    if len(source) > MAX_LENGTH:
        raise ValueError(f"it has {len(source):,} characters, and {MAX_LENGTH} are allowed")
    tokens = _Tokens(source)
    paths = [_path(tokens)]
    while tokens.take("pipe"):
        paths.append(_path(tokens))
    if tokens.kind is not None:
        raise ValueError(f"{tokens.text!r} is not expected at its place")
    if sum(map(len, paths)) > MAX_STEPS:
        raise ValueError(f"it has more than {MAX_STEPS} steps")
    return JsonPath(source, tuple(paths))


class _Tokens:
    """The tokens of a path, one after the other; `kind` is None at the end."""

    def __init__(self, source: str) -> None:
        self._found = list(_scan(source))
        self._place = -1
        self.kind: str | None = None
        self.text = ""
        self._next()

    def take(self, *kinds: str) -> str | None:
        """Take the token if it is of one of these kinds, and give its text, which is never empty but for a name."""
        if self.kind not in kinds:
            return None
        text = self.text
        self._next()
        return text

    def _next(self) -> None:
        self._place += 1
        self.kind, self.text = self._found[self._place] if self._place < len(self._found) else (None, "")


def _scan(source: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(source):
        token = _TOKEN.match(source, position)
        if token is None or token.lastgroup is None:
            raise ValueError(f"{source[position:].strip()[:20]!r} is not allowed here (no filters, scripts or slices)")
        text = token[token.lastgroup]
        kind = "quoted" if token.lastgroup in ("single", "double") else token.lastgroup
        yield kind, _ESCAPED.sub(r"\1", text) if kind == "quoted" else text
        position = token.end()


def _path(tokens: _Tokens) -> tuple[Step, ...]:
    steps: list[Step] = []
    first = tokens.take("name")
    if first is not None and first != "$":
        steps.append(Step((first,)))
    elif first is None and tokens.kind != "open":
        raise ValueError("a path begins with $, a name or a bracket")
    while tokens.kind in ("dot", "deep", "open"):
        steps.append(_step(tokens))
    if not steps:
        raise ValueError("it points to the whole statement")
    if sum(step.deep for step in steps) > 1:
        raise ValueError("it has more than one '..'")
    return tuple(steps)


def _step(tokens: _Tokens) -> Step:
    deep = tokens.take("deep") is not None
    dot = not deep and tokens.take("dot") is not None
    if not dot and tokens.take("open") is not None:
        names = [_selected(tokens)]
        while tokens.take("comma") is not None:
            names.append(_selected(tokens))
        if tokens.take("close") is None:
            raise ValueError("a bracket is not closed")
        return Step(tuple(names), deep)
    if tokens.take("star") is not None:
        return Step((None,), deep)
    name = tokens.take("name")
    if name is None:
        raise ValueError("a name is missing after a dot")
    return Step((name,), deep)


def _selected(tokens: _Tokens) -> str | int | None:
    if tokens.take("star") is not None:
        return None
    quoted = tokens.take("quoted")
    if quoted is not None:
        return quoted
    name = tokens.take("name") or ""
    if not (name.isascii() and name.isdecimal()):
        raise ValueError(
            f"{name or tokens.text!r} stands in brackets, where a quoted name, a whole number or * may stand"
        )
    return int(name)


def _walk(steps: tuple[Step, ...], values: Iterable[Any]) -> Iterable[Any]:
    for step in steps:
        below = _below(values) if step.deep else values
        values = [child for value in islice(below, MAX_FOUND) for child in _children(step, value)]
    return values


def _children(step: Step, value: object) -> Iterator[Any]:
    for name in step.names:
        match value:
            case dict() if name is None:
                yield from value.values()
            case list() if name is None:
                yield from value
            case dict() if name in value:
                yield value[name]
            case list() if isinstance(name, int) and name < len(value):
                yield value[name]


def _below(values: Iterable[Any]) -> Iterator[Any]:
    """Give values and all that they hold."""
    level = list(values)
    for _ in range(MAX_DEPTH):
        yield from level
        level = [child for value in level for child in _children(_ALL, value)]


_ALL = Step((None,))
