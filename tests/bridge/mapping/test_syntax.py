"""The tree of an expression: what it is made of, where its parts stand, and that the binding reads it alike."""

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.mapping.syntax import (
    MAX_DEPTH,
    Binary,
    Call,
    Comprehension,
    ExpressionError,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Select,
    Ternary,
    Unary,
    parse,
    walk,
)


def shape(node):
    """Give a tree as nested brackets."""
    match node:
        case Literal(value):
            return repr(value)
        case Name(name):
            return name
        case Select(of, field):
            return f"(. {shape(of)} {field})"
        case Index(of, key):
            return f"([] {shape(of)} {shape(key)})"
        case Call(name, target, arguments):
            return f"({name} {' '.join(map(shape, ((target,) if target else ()) + arguments))})"
        case Comprehension(macro, of, variable, bodies):
            return f"({macro} {shape(of)} {variable}: {' '.join(map(shape, bodies))})"
        case Unary(sign, of):
            return f"({sign} {shape(of)})"
        case Binary(sign, left, right):
            return f"({sign} {shape(left)} {shape(right)})"
        case Logic(sign, terms):
            return f"({sign} {' '.join(map(shape, terms))})"
        case Ternary(condition, then, other):
            return f"(? {shape(condition)} {shape(then)} {shape(other)})"
        case ListOf(items):
            return f"[{' '.join(map(shape, items))}]"
        case MapOf(entries):
            return f"{{{' '.join(f'{shape(key)}:{shape(value)}' for key, value in entries)}}}"
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a + b * c - d", "(- (+ a (* b c)) d)"),
        ("a - b - c", "(- (- a b) c)"),
        ("(a - (b - c))", "(- a (- b c))"),
        ("a && b || c && d && e", "(|| (&& a b) (&& c d e))"),
        ("a == b && c", "(&& (== a b) c)"),
        ("1 in a == true", "(== (in 1 a) True)"),
        ("a ? b : c ? d : e", "(? a b (? c d e))"),
        ("a ? b || c : d", "(? a (|| b c) d)"),
        ("-1 - -a.b", "(- -1 (- (. a b)))"),
        ("!a.b(c)[0]", "(! ([] (b a c) 0))"),
        ("!!a", "a"),
        ("!-1", "(! -1)"),
        ("---a", "(- a)"),
        ("a.b.c['d'].e", "(. ([] (. (. a b) c) 'd') e)"),
        ("f(a, g())", "(f a (g ))"),
        ("a.all(x, x > 1)", "(all a x: (> x 1))"),
        ("a.map(x, x > 1, x + 1)", "(map a x: (> x 1) (+ x 1))"),
        ("all(a, b)", "(all a b)"),  # no macro: it is not called on a value
        ("[1, 2u, 0x1F, 1.5, .5, 1e3]", "[1 2 31 1.5 0.5 1000.0]"),
        ("[1, 2,]", "[1 2]"),
        ("[]", "[]"),
        ("{'a': 1, b: [c],}", "{'a':1 b:[c]}"),
        ("true || null // until the end", "(|| True None)"),
        ("a\t==\r\n  'b'", "(== a 'b')"),
        (r"r'\core\event'", r"'\\core\\event'"),
        (r"'\\core\x41\u00e9\U0001F600\101\n\''", repr("\\coreAé😀A\n'")),
        ('"""a"b"""', repr('a"b')),
        ("'''\n'''", repr("\n")),
        (r"b'\xff\377é'", repr(b"\xff\xff" + "é".encode())),
        ("-9223372036854775808", "-9223372036854775808"),
    ],
)
def test_a_tree_is_as_the_language_has_it(source, expected):
    assert shape(parse(source)) == expected


@pytest.mark.parametrize(
    ("source", "says", "line", "column"),
    [
        ("", "This is no CEL expression: it ends too early", 1, 1),
        ("verb ===\n 1", "This is no CEL expression: '=' cannot stand here", 1, 8),
        ("a &&\n  && b", "This is no CEL expression: '&&' cannot stand here", 2, 3),
        ("a b", "This is no CEL expression: 'b' cannot stand here", 1, 3),
        ("(a", "This is no CEL expression: the '(' here is not closed", 1, 1),
        ("[a, b", "This is no CEL expression: the '[' here is not closed", 1, 1),
        ("a ? b", "This is no CEL expression: it ends too early, ':' is expected", 1, 6),
        ("a == 'b", "This is no CEL expression: a text does not end", 1, 6),
        ("a = b", "This is no CEL expression: '=' cannot stand here", 1, 3),
        ("a.b.in", "'in' is a word of the language", 1, 5),
        (r"'\core'", r"\c means nothing in a text", 1, 1),
        (r"'\ud800'", r"\d800 is no character to be used", 1, 1),
        (r"a == '\x00'", r"\00 is no character to be used", 1, 6),
        (r"string(b'\000')", r"\000 is no character to be used", 1, 8),
        ("a == 'b\0'", r"This is no CEL expression: '\x00' cannot stand here", 1, 8),
        ("9223372036854775808", "9223372036854775808 is too large a number", 1, 1),
        ("1e999", "1e999 is too large a number", 1, 1),
        ("a.all(1, true)", "The first argument of all() is no name", 1, 7),
        # of the language, and of no use here
        (".a", "This is no CEL expression: '.' cannot stand here", 1, 1),
        ("a.`b-c`", "This is no CEL expression: '`' cannot stand here", 1, 3),
        ("a.?b", "This is no CEL expression: '?' cannot stand here", 1, 3),
        ("Type{field: 1}", "This is no CEL expression: '{' cannot stand here", 1, 5),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(source, says, line, column):
    with pytest.raises(ExpressionError) as refused:
        parse(source)

    assert (refused.value.text, refused.value.line, refused.value.column) == (says, line, column)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("source", "column", "remedy"),
    [
        ("a = b", 3, "Write == to compare."),
        ("a === b", 5, "Write ==."),
        ("a => 1", 3, "Write >=."),
        ("a <> 1", 4, "Write !=."),
        ("a and b", 3, "Write && for and."),
        ("a AND b", 3, "Write && for and."),
        ("a or b", 3, "Write || for or."),
        ("not a.b", 5, "Write ! for not: "),
        ("a not in [1]", 3, "Write ! for not: !(row.status in ['a', 'b'])."),
        ("a is None", 3, "Write == null for is null, and != null for is not null."),
        ("a is not null", 3, "Write == null for is null, and != null for is not null."),
        ("a ?? b", 4, "Write has(x) ? x : y for x ?? y."),
        ("a & b", 3, "Write &&."),
        ("a == \u201cb\u201d", 6, "Write straight quotes: '...'."),
        ("f(a.g(b)", 2, "Put ')' where it ends."),
        ("[a, {b: c}", 1, "Put ']' where it ends."),
        ("a == 'b' && (c", 13, "Put ')' where it ends. (Where ' #' follows in the file, YAML takes"),
        ("(a b)", 4, "Close the '(' of '(a' with ')', or put an operator or a comma here."),
        ("a)", 2, "No bracket is open here: take the ')' out."),
        ("a == 'b", 6, "Put a ' at its end. (Where ' #' follows in the file, YAML takes the rest for a comment"),
        ("a ==", 5, "(Where ' #' follows in the file, YAML takes the rest for a comment"),
        ("a == https://example.com/x", 6, "Put it in quotes: 'https://example.com/x'."),
        ("a in [http://example.com/x, b]", 7, "Put it in quotes: 'http://example.com/x'."),
    ],
)
def test_what_other_languages_have_is_refused_with_what_cel_has_for_it(source, column, remedy):
    with pytest.raises(ExpressionError) as refused:
        parse(source)

    assert refused.value.remedy.startswith(remedy)
    assert (refused.value.line, refused.value.column) == (1, column)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 60 + "a" + ")" * 60,
        "[" * 60 + "]" * 60,
        "a" + ".b" * 60,
        "a" + " - b" * 60,
        "f(" * 60 + ")" * 60,
        "a ? b : " * 60 + "c",
        "!" + "(!" * 60 + "a" + ")" * 60,
        "[" * 1_000_000,
    ],
)
def test_what_is_nested_too_deeply_is_refused(source):
    with pytest.raises(ExpressionError, match=f"This is nested deeper than {MAX_DEPTH} levels"):
        parse(source)


@pytest.mark.parametrize(
    "source",
    [
        " || ".join(["a"] * 300),
        "[" + ", ".join(["1"] * 500) + "]",
        "(" * 24 + "a" + ")" * 24,
        "a" + ".b" * 24,
        "a ? b : " * 24 + "c",
        "a" + " + b" * 24,
        "!" * 1_900 + "a",
    ],
)
def test_what_every_implementation_must_read_is_read(source):
    """https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax: 24 to 32 repetitions, 12 levels."""
    assert list(walk(parse(source)))


def test_every_part_is_found_again_in_the_text():
    source = "(a + 1) * 2 > f(b.c[0]) && [x, {'k': -1}].exists(y, y == 'z')"

    for node in walk(parse(source)):
        part = source[node.start : node.end]
        assert shape(parse(part)) == shape(node)


PIECES = st.sampled_from(
    ["a", "row", ".b", "['b']", "(", ")", "[", "]", "{", "}", "'", '"', "'''", "r'", "b'", "\\", "\\n", "\\'", "//",
     "\n", "all(", "exists(x, ", ".", ",", "x", "1", "1u", "0x1", "1.5", "-1", "2e3", " == ", " && ", " || ", "?", ":",
     "!", "-", "+", "*", "%", "has(a.b)", ".size()", "timestamp(", "true", "null", " in ", "é", "\0", "a.all(x, x)",
     "'a'", "[1, 2]", "{'a': 1}", ".map(x, ", "if", "_"]
)  # fmt: skip
LEFT_OUT = {f"This is no CEL expression: {sign!r} cannot stand here" for sign in (".", "`", "{", "\0")}
"""Names with a leading dot or in backticks, messages, and what cannot be kept: see `syntax`."""


@settings(max_examples=2_000)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_what_the_binding_reads_is_read_here_too(source):
    try:
        cel.compile(source)
    except ValueError:
        return

    refused = None
    try:
        parse(source)
    except ExpressionError as err:
        refused = err.text

    assert refused is None or refused in LEFT_OUT


CHARACTERS = st.sampled_from([*"abnrtvxXuU01247'\"`?\\ \n", "é", "😀", "41", "00e9", "0001F600", "d800"])
TEXTS = st.tuples(
    st.sampled_from(["", "r", "R", "b", "B", "br", "bR"]),
    st.sampled_from(["'", '"', "'''", '"""']),
    st.lists(CHARACTERS, max_size=8).map("".join),
).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]}{parts[1]}")


@settings(max_examples=2_000)
@given(TEXTS)
def test_a_text_is_what_the_binding_makes_of_it(source):
    try:
        expected = cel.evaluate(source)
    except ValueError:
        return
    if (0 if isinstance(expected, bytes) else "\0") in expected:
        return  # it is refused: see above

    found = parse(source)

    assert isinstance(found, Literal)
    assert (found.value, type(found.value)) == (expected, type(expected))
