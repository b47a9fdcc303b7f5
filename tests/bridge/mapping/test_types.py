"""Types: what cannot be right for any item is refused when it is loaded, and nothing else."""

import cel
import pytest
from cel_samples import EXPRESSIONS, ROWS, asked
from hypothesis import given, settings

from bridge.mapping.expressions import ExpressionError, compile_expression
from bridge.mapping.syntax import Binary, Comprehension, Logic, Ternary, Unary, parse, walk
from bridge.mapping.types import WANTED, check


def compiled(source, wants="any"):
    return compile_expression(source, statement=True, wants=wants, extra=("record",))


WRONG = [
    # (expression, what it is for, line, column, part of the text, part of the remedy)
    (
        "1 + 1.0",
        "any",
        1,
        3,
        "`1 + 1.0` cannot be computed: + does not go with a whole number and a decimal",
        "1.0 for 1",
    ),
    ("1 + 'a'", "any", 1, 3, "+ does not go with a whole number and a text", "double(...)"),
    ("verb - 'a'", "any", 1, 6, "- does not go with a text and a text", "one type"),
    ("5.5 % 2.0", "any", 1, 5, "% does not go with a decimal number", "mix"),
    ("-verb", "any", 1, 2, "`verb` is a text, and a number is expected after -", "whole number or a decimal number"),
    ("verb == 1", "any", 1, 6, "compares a text with a whole number, which are never equal", "quotes"),
    ("1 != verb", "any", 1, 3, "compares a whole number with a text", "quotes"),
    ("type == null", "any", 1, 6, "compares a text with null", "compare with ''"),
    ("result == 'a'", "any", 1, 8, "compares a map with a text", "one type"),
    ("parents == 'a'", "any", 1, 9, "compares a list with a text", "one type"),
    ("verb > 1", "any", 1, 6, "> does not go with a text and a whole number", "quotes"),
    ("actor < actor", "any", 1, 7, "< does not go with a map and a map", "one type"),
    ("verb in 'abc'", "any", 1, 9, "`'abc'` is a text, and a list or a map is expected after in", "a list or a map"),
    ("verb in [1, 2]", "any", 1, 6, "a text is looked for among a whole number", "quotes"),
    ("1 in parents", "any", 1, 3, "a whole number is looked for among a text", "quotes"),
    ("verb ? 1 : 2", "any", 1, 1, "`verb` is a text, and a condition is expected before ?", "true or false"),
    ("true && verb", "any", 1, 9, "`verb` is a text, and conditions stand between &&", "true or false"),
    ("1 || true", "any", 1, 1, "`1` is a whole number, and conditions stand between ||", "true or false"),
    ("!event", "any", 1, 2, "`event` is a text, and a condition is expected after !", "true or false"),
    ("verb.id", "any", 1, 1, "`verb` is a text, and has no field 'id'", "a map"),
    ("verb[0]", "any", 1, 1, "`verb` is a text, and has nothing inside", "a list or a map"),
    ("parents[0].x", "any", 1, 8, "`parents[0]` is a text, and has no field 'x'", "a map"),
    ("size(1)", "any", 1, 6, "`1` is a whole number, and size() does not take that", "a text or bytes or a list"),
    ("parents.contains('a')", "any", 1, 1, "`parents` is a list, and contains() does not take that", "a text"),
    ("verb.endsWith(1)", "any", 1, 15, "`1` is a whole number, and endsWith() does not take that", "a text"),
    ("fraction(verb)", "any", 1, 10, "`verb` is a text, and fraction() does not take that", "a map or null"),
    ("fraction(text(record.a))", "any", 1, 10, "is a text or null, and fraction() does not take that", "a map"),
    ("hours(1, verb)", "any", 1, 7, "`1` is a whole number, and hours() does not take that", "a text or a timestamp"),
    ("verb.exists(x, true)", "any", 1, 1, "`verb` is a text, and exists() looks through a list or a map", "a list"),
    ("parents.exists(p, p > 1)", "any", 1, 21, "> does not go with a text and a whole number", "quotes"),
    ("parents.filter(p, p)", "any", 1, 19, "`p` is a text, and filter() needs a condition", "true or false"),
    ("[1].exists(x,\n x == 'a')", "any", 2, 4, "compares a whole number with a text", "quotes"),
    (
        "result.score.raw / 100",
        "any",
        1,
        18,
        "Whole numbers are divided to a whole number: 166 / 100 is 1",
        "Write double(result.score.raw) / 100.0",
    ),
    ("1 + (record.a - record.b) / -60", "any", 1, 27, "100 / 60 is 1", "Write double(record.a - record.b) / -60.0"),
    ("double(record.a) / 60", "any", 1, 18, "/ does not go with a decimal number and a whole number", "write 60.0"),
    ("1 / 0", "any", 1, 3, "`1 / 0` always fails: division by zero", "another constant"),
    ("record.a > 10 / (5 - 5)", "any", 1, 15, "`10 / (5 - 5)` always fails: division by zero", "another constant"),
    ("timestamp('yesterday')", "any", 1, 11, "`'yesterday'` is no time", "08:00:00Z"),
    ("timestamp('2026-10-05')", "any", 1, 1, "`timestamp('2026-10-05')` always fails", "another constant"),
    (
        "verb.matches('[a')",
        "any",
        1,
        14,
        "`'[a'` always fails: it is no regular expression: unclosed character",
        "another",
    ),
    (
        "hours(record.at, 'noon')",
        "any",
        1,
        18,
        "`'noon'` is no time: 'noon' is no time as ISO 8601 has it",
        "08:00:00Z",
    ),
    ("has(verb)", "any", 1, 5, "invalid argument to has() macro", "README"),
    # what the key needs
    ("verb", "flag", 1, 1, "`verb` gives a text, and true or false is expected here", "Write a condition"),
    (
        "fraction(result.score)",
        "flag",
        1,
        1,
        "gives a decimal number or null, and true or false is expected",
        "condition",
    ),
    ("'abc'", "number", 1, 1, "`'abc'` gives a text, and a number is expected here", "without quotes"),
    ("parents", "number", 1, 1, "`parents` gives a list, and a number is expected here", "README"),
    ("1.0 / 0.0", "number", 1, 5, "gives inf, and a finite number is expected here", "another constant"),
    ("150", "share", 1, 1, "`150` gives 150, and 0 to 1 is expected here", "fraction(result.score)"),
    ("0.5 - 1.0", "share", 1, 5, "gives -0.5, and 0 to 1 is expected here", "like 0.85"),
    ("double('nan')", "share", 1, 1, "gives nan, and 0 to 1 is expected here", "like 0.85"),
    ("'0.5'", "share", 1, 1, "gives a text, and a number from 0 to 1 is expected here", "without quotes"),
    ("actor", "text", 1, 1, "`actor` gives a map, and a text is expected here", "README"),
    ("true", "text", 1, 1, "`true` gives true or false, and a text is expected here", "README"),
    ("'yesterday'", "moment", 1, 1, "`'yesterday'` is no time", "2026-10-05T08:00:00Z"),
    ("'2026' + '-13-01'", "moment", 1, 8, "is no time: '2026-13-01' is no time as ISO 8601 has it", "08:00:00Z"),
    ("1", "moment", 1, 1, "`1` gives a whole number, and a time is expected here", "README"),
    ("parents", "duration", 1, 1, "gives a list, and a duration or a number of seconds is expected", "README"),
    ("verb", "agent", 1, 1, "`verb` gives a text, and an agent, like actor, is expected here", "README"),
    ("verb", "list", 1, 1, "`verb` gives a text, and a list is expected here", "README"),
]


@pytest.mark.parametrize(("source", "wants", "line", "column", "says", "remedy"), WRONG, ids=[row[0] for row in WRONG])
def test_what_cannot_be_right_is_refused_with_place_and_remedy(source, wants, line, column, says, remedy):
    with pytest.raises(ExpressionError) as refused:
        compiled(source, wants)

    assert (refused.value.line, refused.value.column) == (line, column)
    assert says in refused.value.text
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("source", "wants"),
    [
        ("record.a + 1 > 1.5", "flag"),  # may be a number of either kind
        ("record.a == 'x' || record.a == 1", "flag"),
        ("result.success", "flag"),
        ("result.score.raw > result.score.min ? fraction(result.score) : null", "number"),
        ("result.success ? 'a' : 1", "number"),
        ("null", "number"),
        ("true", "number"),
        ("7", "text"),
        ("1 == 1.0", "flag"),  # numbers of all kinds may be compared
        ("fraction(result.score) == null", "flag"),
        ("dyn(verb) == 1", "flag"),
        ("parents[0].size() > 3", "flag"),
        ("statement[verb][0]", "any"),
        ("record.list.exists(x, x.a == verb)", "flag"),
        ("record.map.exists(key, key.startsWith('a'))", "flag"),
        ("parents.map(p, p.size())", "list"),
        ("[1, 2][5]", "number"),  # what is missing is null
        ("'2026-10-05'", "moment"),
        ("timestamp('2026-10-05T08:00:00Z') - duration('1h')", "moment"),
        ("timestamp(record.b) - timestamp(record.a)", "duration"),
        ("actor", "agent"),
        ("money(record.a, 'EUR', record.at)", "number"),
        ("business_hours(record.b, '2026-10-05')", "number"),
        ("text(object.definition.name, 'de') == 'x'", "flag"),
    ],
)
def test_what_may_be_right_is_let_through(source, wants):
    assert compiled(source, wants).source == source


def test_every_want_can_be_met():
    meets = {"any": "verb", "flag": "true", "number": "1", "text": "verb", "moment": "'2026-10-05'"}
    meets |= {"duration": "1.5", "agent": "actor", "list": "parents", "share": "1"}

    assert meets.keys() == WANTED.keys()
    for wants, source in meets.items():
        assert compiled(source, wants)


def is_refused(node, source):
    try:
        check(node, source, "any")
    except ExpressionError:
        return True
    return False


@settings(max_examples=1_500)
@given(EXPRESSIONS, ROWS)
def test_the_types_know_nothing_better_than_the_binding(source, row):
    """Each operation that is refused is computed all the same: it must fail, miss something or never be true."""
    try:
        tree = parse(source)
    except ExpressionError:
        return
    for node in walk(tree):
        # Of && || ? and a comprehension a part may be wrong that this row does not come to; and of -[] CEL makes [].
        if isinstance(node, Logic | Ternary | Comprehension | Unary) or not is_refused(node, source):
            continue
        if isinstance(node, Binary) and node.sign == "/":
            continue  # what would be cut is refused as well
        if any(is_refused(part, source) for part in node.parts):
            continue
        try:
            found = asked(cel.compile(source[node.start : node.end]), row)
        except ValueError:
            continue
        never = node.sign == "!=" if isinstance(node, Binary) else None
        assert found is None or found is never or str(found).startswith("failed: ")
