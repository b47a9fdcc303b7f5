"""CEL read into a tree whose every node knows its place; the binding, which evaluates, shows none.

Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax. Left out of it, because nothing here has
a use for them: messages (`Type{field: 1}`), names with a leading dot, names in backticks and optionals (`.?`, `[?`).
A tree has at most `MAX_DEPTH` levels and is read in time linear in its text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

MAX_DEPTH = 50
"""Levels of brackets, calls, fields and operators in one another; the language asks for 12 at least."""

MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
"""Calls that make a variable and run their last argument once for each value."""


class ExpressionError(ValueError):
    """A text that is no expression to be used here; line and column count from 1 inside the text."""

    def __init__(self, text: str, remedy: str, line: int = 1, column: int = 1) -> None:
        super().__init__(text)
        self.text, self.remedy, self.line, self.column = text, remedy, line, column


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of an expression: where it is pointed to (from 1), and from where to where it goes in the text."""

    line: int
    column: int
    start: int
    end: int

    @property
    def parts(self) -> tuple["Node", ...]:
        """Give the nodes right below it, in the order of the text."""
        return ()


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant; `kind` is the name of its CEL type, for `1u` and `1` are one value in Python."""

    value: object
    kind: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`of.field`."""

    of: Node
    field: str

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`of[key]`."""

    of: Node
    key: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.of, self.key


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(arguments)` or `target.name(arguments)`; pointed to at its name."""

    name: str
    target: Node | None
    arguments: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.target, *self.arguments) if self.target else self.arguments


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    """`of.macro(variable, body)`; `map` may have two bodies, a condition and a value. Pointed to at its name."""

    macro: str
    of: Node
    variable: str
    bodies: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.of, *self.bodies


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`!of` or `-of`; two of them in a row are none."""

    sign: str
    of: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, a comparison or `in`; pointed to at its sign."""

    sign: str
    left: Node
    right: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.left, self.right


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Terms that stand in a row between `&&`, or between `||`; pointed to at the first sign."""

    sign: str
    terms: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.terms


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """`condition ? then : other`; pointed to at the question mark."""

    condition: Node
    then: Node
    other: Node

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.condition, self.then, self.other


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """`[items]`."""

    items: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.items


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """`{key: value}`, as pairs."""

    entries: tuple[tuple[Node, Node], ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        return tuple(node for entry in self.entries for node in entry)


def parse(source: str) -> Node:
    """Give the tree of an expression. Raises ExpressionError."""
    return _Parser(source).whole()


def walk(node: Node) -> Iterator[Node]:
    """Give a node and all below it, in the order of the text."""
    yield node
    for part in node.parts:
        yield from walk(part)


_QUOTES = "Texts in CEL stand in quotes; see 'Expressions' in mappings/README.md."
_CUT = "(Where ' #' follows in the file, YAML takes the rest for a comment: write the expression on a line below a |.)"
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CURLY = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00b4\u00ab\u00bb\u2039\u203a"
_SIGNS = {
    "=": "Write == to compare.",
    "==": "Write ==.",
    "=>": "Write >=.",
    "=<": "Write <=.",
    "<>": "Write !=.",
    "??": "Write has(x) ? x : y for x ?? y.",
    "?:": "Write has(x) ? x : y for x ?: y.",
    "&": "Write &&.",
    "|": "Write ||.",
    "**": "Write x * x.",
}
"""What to write for signs that other languages have."""
_WORDS = {
    "and": "Write && for and.",
    "or": "Write || for or.",
    "is": "Write == null for is null, and != null for is not null.",
    "if": "Write condition ? this : that.",
    "else": "Write condition ? this : that.",
    "then": "Write condition ? this : that.",
    "like": "Write row.name.contains('...').",
    "between": "Write row.size >= 1 && row.size <= 5.",
}
"""What to write for words that other languages have."""
_TOKEN = re.compile(
    r"""
    (?P<skip>(?:[\t\n\f\r ]+|//[^\n]*)+)
    |(?P<text>[bB]?(?:
        [rR](?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n\r]*"|'[^'\n\r]*')
        |\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}
        |"(?:\\[^\n\r]|[^"\\\n\r])*"|'(?:\\[^\n\r]|[^'\\\n\r])*'
    ))
    |(?P<double>[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\?\"'`])|[xX](?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<wrong>[\s\S]?))"
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONSTANTS = {"true": (True, "bool"), "false": (False, "bool"), "null": (None, "null")}
_KEYWORDS = frozenset({*_CONSTANTS, "in"})

_POWER = {"||": 1, "&&": 2} | dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3)
_POWER |= {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_TERNARY, _LOWEST_IN_TERNARY = 0, 1


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Parser:
    """Reads by precedence climbing, so that a level of brackets costs few levels of Python's own stack."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(self._read_tokens())
        self._next = 0
        self._depth = 0
        self._open: list[_Token] = []
        """The brackets that are not closed yet."""

    def whole(self) -> Node:
        try:
            node = self._expression(_TERNARY)
            if self._peek().kind != "end":
                raise self._unexpected()
        except ExpressionError as err:
            raise self._bare_address() or err from err
        _check_depth(node)
        return node

    def _read_tokens(self) -> Iterator[_Token]:
        position = 0
        if unstorable := re.search("[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]", self._source):
            raise self._unreadable(unstorable.start())
        while position < len(self._source):
            match = _TOKEN.match(self._source, position)
            if match is None:
                raise self._unreadable(position)
            if match.lastgroup != "skip":
                yield _Token(str(match.lastgroup), match.group(), position)
            position = match.end()
        yield _Token("end", "", len(self._source))

    # What stands between operators

    def _expression(self, lowest: int) -> Node:
        """Read on while operators bind at least as strongly as `lowest`."""
        self._enter()
        left = self._unary()
        while (power := self._power()) is not None and power >= lowest:
            token = self._take()
            if power <= _POWER["&&"]:
                left = self._logic(left, token, power)
            else:
                right = self._expression(power + 1)
                left = Binary(token.text, left, right, **self._span(token, left.start, right.end))
        if lowest == _TERNARY and self._peek().text == "?":
            left = self._ternary(left)
        self._depth -= 1
        return left

    def _power(self) -> int | None:
        token = self._peek()
        return _POWER.get(token.text) if token.kind in ("sign", "name") else None

    def _logic(self, first: Node, sign: _Token, power: int) -> Node:
        terms = [first, self._expression(power + 1)]
        while self._peek().text == sign.text and self._peek().kind == "sign":
            self._take()
            terms.append(self._expression(power + 1))
        return Logic(sign.text, tuple(terms), **self._span(sign, first.start, terms[-1].end))

    def _ternary(self, condition: Node) -> Node:
        mark = self._take()
        then = self._expression(_LOWEST_IN_TERNARY)
        self._expect(":")
        other = self._expression(_TERNARY)
        return Ternary(condition, then, other, **self._span(mark, condition.start, other.end))

    def _unary(self) -> Node:
        first = self._peek()
        signs = 0
        while self._peek().kind == "sign" and self._peek().text == first.text and first.text in "!-":
            self._take()
            signs += 1
        if signs == 1 and first.text == "-" and self._peek().kind in ("int", "double"):
            return self._members(self._number(self._take(), first))
        minus = self._peek()
        if first.text == "!" and minus.text == "-" and self._tokens[self._next + 1].kind in ("int", "double"):
            self._take()
            of = self._members(self._number(self._take(), minus))
        else:
            of = self._members(self._primary())
        return Unary(first.text, of, **self._span(first, first.start, of.end)) if signs % 2 else of

    def _members(self, node: Node) -> Node:
        """Read the fields, calls and places that follow."""
        while self._peek().kind == "sign":
            if self._peek().text == ".":
                self._take()
                node = self._member(node)
            elif self._peek().text == "[":
                sign = self._take()
                key = self._expression(_TERNARY)
                node = Index(node, key, **self._span(sign, node.start, self._expect("]")))
            else:
                break
        return node

    def _member(self, of: Node) -> Node:
        name = self._peek()
        if name.kind != "name":
            raise self._unexpected()
        if name.text in _KEYWORDS:
            raise self._problem(f"{name.text!r} is a word of the language", name.start, f"Write ['{name.text}'].")
        self._take()
        if self._peek().text != "(" or self._peek().kind != "sign":
            return Select(of, name.text, **self._span(name, of.start, name.start + len(name.text)))
        arguments, end = self._arguments()
        return self._call(name, of, arguments, end)

    def _primary(self) -> Node:
        token = self._peek()
        match token.kind, token.text:
            case "int" | "uint" | "double", _:
                return self._number(self._take())
            case "text", _:
                return self._text(self._take())
            case "name", "true" | "false" | "null":
                self._take()
                value, kind = _CONSTANTS[token.text]
                return Literal(value, kind, **self._span(token, token.start, token.start + len(token.text)))
            case "name", name if name not in _KEYWORDS:
                return self._named(self._take())
            case "sign", "(":
                return self._bracketed()
            case "sign", "[":
                return self._list()
            case "sign", "{":
                return self._map()
        raise self._unexpected()

    def _named(self, name: _Token) -> Node:
        if self._peek().text == "(" and self._peek().kind == "sign":
            arguments, end = self._arguments()
            return self._call(name, None, arguments, end)
        return Name(name.text, **self._span(name, name.start, name.start + len(name.text)))

    def _bracketed(self) -> Node:
        start = self._take().start
        node = self._expression(_TERNARY)
        return replace(node, start=start, end=self._expect(")"))

    def _list(self) -> Node:
        sign = self._take()
        items: list[Node] = []
        while self._peek().text not in ("]", ",") or self._peek().kind != "sign":
            items.append(self._expression(_TERNARY))
            if not self._skip(","):
                break
        else:
            self._skip("," if not items else "")
        return ListOf(tuple(items), **self._span(sign, sign.start, self._expect("]")))

    def _map(self) -> Node:
        sign = self._take()
        entries: list[tuple[Node, Node]] = []
        while self._peek().text not in ("}", ",") or self._peek().kind != "sign":
            key = self._expression(_TERNARY)
            self._expect(":")
            entries.append((key, self._expression(_TERNARY)))
            if not self._skip(","):
                break
        else:
            self._skip("," if not entries else "")
        return MapOf(tuple(entries), **self._span(sign, sign.start, self._expect("}")))

    def _arguments(self) -> tuple[tuple[Node, ...], int]:
        self._take()
        found: list[Node] = []
        if self._peek().text != ")" or self._peek().kind != "sign":
            found.append(self._expression(_TERNARY))
            while self._skip(","):
                found.append(self._expression(_TERNARY))
        return tuple(found), self._expect(")")

    def _call(self, name: _Token, target: Node | None, arguments: tuple[Node, ...], end: int) -> Node:
        start = target.start if target else name.start
        span = self._span(name, start, end)
        counts = (2, 3) if name.text == "map" else (2,)
        if target is None or name.text not in MACROS or len(arguments) not in counts:
            return Call(name.text, target, arguments, **span)
        variable, *bodies = arguments
        if not isinstance(variable, Name):
            raise ExpressionError(
                f"The first argument of {name.text}() is no name",
                f"Name the value that is looked at: {name.text}(x, x == 1).",
                variable.line,
                variable.column,
            )
        return Comprehension(name.text, target, variable.name, tuple(bodies), **span)

    # Constants

    def _number(self, token: _Token, minus: _Token | None = None) -> Node:
        text = ("-" if minus else "") + token.text
        start = (minus or token).start
        span = self._span(minus or token, start, token.start + len(token.text))
        if token.kind == "double":
            value = float(text)
            if value in (float("inf"), float("-inf")):
                raise self._problem(f"{text} is too large a number", start, "Write a smaller one.")
            return Literal(value, "double", **span)
        digits = text.rstrip("uU")
        whole = int(digits, 16 if "0x" in digits else 10)
        low, high = (0, 2**64) if token.kind == "uint" else (-(2**63), 2**63)
        if not low <= whole < high:
            raise self._problem(f"{text} is too large a number", start, "Write a smaller one.")
        return Literal(whole, token.kind, **span)

    def _text(self, token: _Token) -> Node:
        span = self._span(token, token.start, token.start + len(token.text))
        prefix = re.match("[bBrR]*", token.text)
        marks = prefix.group().lower() if prefix else ""
        body = token.text[len(marks) :]
        quotes = 3 if body[:3] in ('"""', "'''") and len(body) >= 6 else 1
        inner = body[quotes:-quotes]
        if "b" in marks:
            return Literal(self._bytes(inner, token, raw="r" in marks), "bytes", **span)
        return Literal(inner if "r" in marks else self._unescaped(inner, token), "string", **span)

    def _unescaped(self, text: str, token: _Token) -> str:
        return _ESCAPE.sub(lambda match: self._character(match, token), text) if "\\" in text else text

    def _bytes(self, text: str, token: _Token, *, raw: bool) -> bytes:
        if raw or "\\" not in text:
            return text.encode()
        found, end = b"", 0
        for match in _ESCAPE.finditer(text):
            character = self._character(match, token)
            octet = match.lastgroup in ("byte", "octal")
            found += text[end : match.start()].encode() + character.encode("latin-1" if octet else "utf-8")
            end = match.end()
        return found + text[end:].encode()

    def _character(self, match: re.Match[str], token: _Token) -> str:
        digits = match[str(match.lastgroup)]
        match match.lastgroup:
            case "plain":
                return _PLAIN.get(digits, digits)
            case "byte" | "short" | "long":
                code = int(digits, 16)
            case "octal":
                code = int(digits, 8)
            case _:
                remedy = "Write r'...' for a text in which a backslash is just a backslash, or two of them."
                raise self._problem(f"\\{digits} means nothing in a text", token.start, remedy)
        # A database keeps no texts with NUL.
        if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self._problem(f"\\{digits} is no character to be used", token.start, "Write the one that is meant.")
        return chr(code)

    # Tokens and places

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "sign" and token.text in _CLOSING:
            self._open.append(token)
        return token

    def _skip(self, sign: str) -> bool:
        found = self._peek().kind == "sign" and self._peek().text == sign
        self._next += found
        return found

    def _expect(self, sign: str) -> int:
        """Take a sign, and give where it ends."""
        if not self._skip(sign):
            raise self._unexpected(f", {sign!r} is expected", sign)
        if sign in _CLOSING.values():
            self._open.pop()
        return self._tokens[self._next - 1].start + len(sign)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._problem(f"This is nested deeper than {MAX_DEPTH} levels", self._peek().start, _SEVERAL)

    def _span(self, token: _Token, start: int, end: int) -> dict[str, int]:
        line, column = self._place(token.start)
        return {"line": line, "column": column, "start": start, "end": end}

    def _place(self, position: int) -> tuple[int, int]:
        line_start = self._source.rfind("\n", 0, position) + 1
        return self._source.count("\n", 0, position) + 1, position - line_start + 1

    def _unexpected(self, instead: str = "", expected: str = "") -> ExpressionError:
        token = self._peek()
        opened = self._open[-1] if self._open else None
        if token.kind == "end" and opened:
            closing = _CLOSING[opened.text]
            what = f"This is no CEL expression: the {opened.text!r} here is not closed"
            return self._problem(what, opened.start, f"Put {closing!r} where it ends. {_CUT}")
        what = "it ends too early" if token.kind == "end" else f"{token.text[:40]!r} cannot stand here"
        text = f"This is no CEL expression: {what}{instead}"
        if remedy := self._remedy_of_slip(token):
            return self._problem(text, token.start, remedy)
        if opened and expected == _CLOSING[opened.text]:
            begun = self._source[opened.start : token.start].strip()
            remedy = (
                f"Close the {opened.text!r} of {begun[:40]!r} with {expected!r}, or put an operator or a comma here."
            )
            return self._problem(text, token.start, remedy)
        if token.kind == "sign" and token.text in _CLOSING.values() and not opened:
            return self._problem(text, token.start, f"No bracket is open here: take the {token.text!r} out.")
        return self._problem(text, token.start, f"{_CUT} {_QUOTES}" if token.kind == "end" else _QUOTES)

    def _remedy_of_slip(self, token: _Token) -> str:
        """Give what to write for what other languages have, or nothing."""
        before = self._tokens[self._next - 1] if self._next else token
        if "not" in (token.text, before.text):
            return "Write ! for not: !(row.status in ['a', 'b'])."
        for word in (token.text, before.text):
            if word.lower() in _WORDS:
                return _WORDS[word.lower()]
        if token.kind == "sign" and token.start == before.start + len(before.text):
            return _SIGNS.get(before.text + token.text, "")
        return ""

    def _bare_address(self) -> ExpressionError | None:
        """Look for an address without quotes, of which // begins a comment."""
        for token in self._tokens:
            after = token.start + len(token.text)
            if token.kind == "name" and self._source.startswith("://", after):
                address = re.match(r"[^\s'\")\],]*", self._source[token.start :])
                shown = address.group() if address else ""
                remedy = f"Put it in quotes: '{shown if len(shown) <= 60 else shown[:59] + '…'}'."
                return self._problem(
                    "This is no CEL expression: an address stands here without quotes", token.start, remedy
                )
        return None

    def _unreadable(self, position: int) -> ExpressionError:
        """Say what is wrong with a character that begins nothing."""
        character = self._source[position]
        if character in "'\"":
            remedy = f"Put a {character} at its end. {_CUT}"
            return self._problem("This is no CEL expression: a text does not end", position, remedy)
        text = f"This is no CEL expression: {character!r} cannot stand here"
        if character in _CURLY:
            return self._problem(text, position, "Write straight quotes: '...'.")
        before, after = self._source[position - 1 : position], self._source[position + 1 : position + 2]
        found = (_SIGNS.get(signs) for signs in (before + character, character + after, character))
        return self._problem(text, position, next(filter(None, found), _QUOTES))

    def _problem(self, text: str, position: int, remedy: str = _QUOTES) -> ExpressionError:
        line, column = self._place(position)
        return ExpressionError(text, remedy, line, column)


_SEVERAL = "Make several rules of it."


def _check_depth(node: Node) -> None:
    """Refuse a tree that is too deep without brackets, like a.b.c.d..., before anything follows it down."""
    level = [node]
    for _ in range(MAX_DEPTH):
        level = [part for above in level for part in above.parts]
        if not level:
            return
    deepest = level[0]
    text = f"This is nested deeper than {MAX_DEPTH} levels"
    raise ExpressionError(text, _SEVERAL, deepest.line, deepest.column)
