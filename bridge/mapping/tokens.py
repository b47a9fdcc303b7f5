"""The calls in a CEL expression, found by its tokens: the binding shows no tree, and no macros in its own analysis.

Token rules: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<skip>\s+|//[^\n]*)
    |(?P<text>[bB]?(?:
        [rR](?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n\r]*"|'[^'\n\r]*')
        |\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}
        |"(?:\\.|[^"\\\n\r])*"|'(?:\\.|[^'\\\n\r])*'
    ))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>[\s\S])
    """,
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


@dataclass(slots=True)
class Call:
    """A function, method or macro as it is called; line and column count from 1."""

    name: str
    line: int
    column: int
    arguments: int
    """Counted with the value before the dot, as CEL does: `x.f(y)` is `f(x, y)`."""
    first_name: str | None
    """The name that its brackets begin with: of a macro, the variable that it makes."""


def calls(source: str) -> list[Call]:
    """Give every call of an expression that compiles, in order."""
    tokens = list(_tokens(source))
    found: list[Call] = []
    brackets: list[Call | None] = []
    for index, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in "([{":
            call = _call(source, tokens, index)
            found += [call] if call else []
            brackets.append(call)
        elif token.text in ")]}" and brackets:
            brackets.pop()
        elif token.text == "," and brackets and (inner := brackets[-1]):
            inner.arguments += 1
    return found


def count(source: str, sign: str) -> int:
    """Count a sign, outside texts and comments."""
    return sum(token.text == sign and token.kind == "sign" for token in _tokens(source))


def _call(source: str, tokens: list[_Token], index: int) -> Call | None:
    if tokens[index].text != "(" or index == 0 or tokens[index - 1].kind != "name":
        return None
    name = tokens[index - 1]
    if name.text == "in":  # the only operator that is a word: `x in (...)`
        return None
    inside = tokens[index + 1] if index + 1 < len(tokens) else None
    line, column = _place(source, name.position)
    return Call(
        name=name.text,
        line=line,
        column=column,
        arguments=int(index > 1 and tokens[index - 2].text == ".") + int(inside is not None and inside.text != ")"),
        first_name=inside.text if inside and inside.kind == "name" else None,
    )


def _tokens(source: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(source):
        if match.lastgroup != "skip":
            yield _Token(str(match.lastgroup), match.group(), match.start())


def _place(source: str, position: int) -> tuple[int, int]:
    line_start = source.rfind("\n", 0, position) + 1
    return source.count("\n", 0, position) + 1, position - line_start + 1
