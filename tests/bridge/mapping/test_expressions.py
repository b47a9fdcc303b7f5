"""Expressions: what may be loaded, and that evaluation is bounded before it starts."""

import re

import pytest

from bridge.mapping.costs import BUDGET, LEAST_VALUES, MAX_VALUES
from bridge.mapping.expressions import MAX_LENGTH, ExpressionError, compile_expression
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.types import CEL_FUNCTIONS

# Each of CEL's own functions, in the shape in which the binding knows it.
EXAMPLES = {
    "size": "size('a') == 1",
    "int": "int('1') == 1",
    "uint": "uint(1) == 1u",
    "double": "double(1) == 1.0",
    "string": "string(1) == '1'",
    "bytes": "bytes('a') == b'a'",
    "timestamp": "timestamp('2026-01-02T03:04:05Z') > timestamp('2026-01-01T00:00:00Z')",
    "duration": "duration('1h') == duration('60m')",
    "type": "type(1) == type(2)",
    "dyn": "dyn(1) == 1",
    "has": "!has(row.x)",
    "contains": "'abc'.contains('b')",
    "startsWith": "'abc'.startsWith('a')",
    "endsWith": "'abc'.endsWith('c')",
    "matches": "'abc'.matches('^a')",
} | {name: f"timestamp('2026-01-02T03:04:05Z').{name}() >= 0" for name in re.findall(
    r"get\w+", "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear "
    "getHours getMinutes getSeconds getMilliseconds")}  # fmt: skip


def test_every_function_of_cel_that_we_let_through_is_known_to_the_binding():
    assert EXAMPLES.keys() == CEL_FUNCTIONS.keys()
    for source in EXAMPLES.values():
        assert compile_expression(source, statement=False).program.execute({"row": {}}) is True, source


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("[1].all(x, x == 1)", True),
        ("[1].exists(x, x == 1)", True),
        ("[1].exists_one(x, x == 1)", True),
        ("[1, 2].filter(x, x > 1)", [2]),
        ("[1, 2].map(x, x + 1)", [2, 3]),
        ("[1, 2].map(x, x > 1, x + 1)", [3]),
        ("[[1], [2]].exists(x, x.all(y, y == 2))", True),
        ("[1, 2].filter(x, x > 1).map(x, [x])", [[2]]),
    ],
)
def test_every_comprehension_is_known_to_the_binding(source, value):
    assert compile_expression(source, statement=False).program.execute({}) == value


NESTED = "row.a.map(x, row.a.map(y, row.a.map(z, row)))"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (NESTED, "This could take far too long: map() has too much to do"),
        (
            "[1, 2].exists(x, " * 8 + "row.a.all(y, row.a == y)" + ")" * 8,
            "More than 3 comprehensions stand in one another here",
        ),
        ("true" + " && true" * 300, f"This has 2,404 characters, and an expression may have {MAX_LENGTH:,}"),
        ("[1].transformList(i, x, x)", "There is no function transformList() here"),
        ("optional.of(1)", "There is no function of() here"),
        ("cel.bind(x, 1, x)", "There is no function bind() here"),
        ("row.x.lowerAscii()", "There is no function lowerAscii() here"),
        ("parent('x')", "There is no function parent() here"),
        ("all(row.a, true)", "There is no function all() here"),
        ("row.a.map(x)", "There is no function map() here"),
        ("endsWith(row.a, 'x')", "endsWith() is called on a value"),
        ("row.a.int()", "int() is not called on a value"),
        ("hours(row.a)", "hours() takes 2, not 1 arguments"),
        ("row.a.text('en', 'de')", "text() takes 1 or 2, not 3 arguments"),
        ("[1].exists(x, x == y)", "There is no variable 'y' here"),
        ("[1].exists(x, x == 1) && x == 1", "There is no variable 'x' here"),
        ("row.a.exists(row, row.b)", "exists() makes a variable 'row', which is there already"),
        ("item.x", "There is no variable 'item' here"),
    ],
)
def test_an_expression_that_could_cost_much_or_does_not_exist_is_refused(source, says):
    with pytest.raises(ExpressionError) as refused:
        compile_expression(source, statement=False)

    assert refused.value.text.startswith(says)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "source",
    [
        "[1, 2].exists(x, x == row.a)",
        "row.a in (row.b)",
        "row.text == 'exists(filter(all('",  # inside a text, no call
        "row.all == 1 && row.filter == 2",  # fields
        "row.x // .all(x, x).all(y, y)",  # a comment
        "'a' + \"it's\" + r'\\'",
        "row.a" + " + row.a" * 20 + " == '" + "+" * 100 + "'",
        "row.a.exists(x, row.a.exists(y, x == y))",
        "row.a.map(x, x.b).filter(x, x != null)",
        "row.a.exists(x, x.matches('^https://[a-z]+'))",
    ],
)
def test_a_bounded_expression_is_let_through(source):
    assert compile_expression(source, statement=False).source == source


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("row.a ===\n 1", 1, 9),
        ("row.a\n  && parnt(row)", 2, 6),
        ("row.a\n  && [1].all(x, x == roww)", 2, 22),
        ("row.x.hours()", 1, 7),
        ("row.b == 1 &&\n " + NESTED, 2, 8),
        ("row.b +\n 1 == 'a'", 2, 4),
    ],
)
def test_the_place_inside_the_text_is_told(source, line, column):
    with pytest.raises(ExpressionError) as refused:
        compile_expression(source, statement=False)

    assert (refused.value.line, refused.value.column) == (line, column)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_can_be_called_with_as_many_arguments_as_its_signature_has(name):
    function = FUNCTIONS[name]
    code = function.call.__code__ if function.call else None

    assert code is None or code.co_argcount - function.of_statement == len(function.takes)
    assert [part.strip() for part in re.findall(r"\w+(?=[,)\[\]])", function.signature)]
    for count in function.counts:
        source = f"{name}({', '.join(['null'] * count)})"
        assert compile_expression(source, statement=True).functions == (name,)


@pytest.mark.parametrize(
    ("source", "column", "remedy"),
    [
        ("result.succes", 8, "'success'"),
        ("object.idd", 8, "'id'"),
        ("context.registratoin", 9, "'registration'"),
        ("statement.timestmp", 11, "'timestamp'"),
        ("result.score.scald", 14, "'scaled'"),
        ("actor.mbx", 7, "'mbox'"),
        ("actor['acount'].name", 7, "'account'"),
        ("context.contextActivities.parnt", 27, "'parent'"),
        ("context.contextActivities.parent[0].definiton", 37, "'definition'"),
        ("context.contextActivities.other.exists(x, x.ids == '')", 45, "'id'"),
        ("context.contextActivities.other.filter(x, x.id != '').exists(x, x.def == '')", 67, "definition"),
        ("context.contextAgents[0].agnet", 26, "'agent'"),
        ("has(object.definition.nam)", 23, "'name'"),
        ("statement.object.object.idd", 25, "'id'"),
        ("object.definition.choices[0].descripton", 30, "'description'"),
        ("result.raw", 8, "The fields known here: completion, duration, extensions, response, score, success."),
    ],
)
def test_a_field_that_no_statement_has_is_refused(source, column, remedy):
    with pytest.raises(ExpressionError, match="No statement has") as refused:
        compile_expression(source, statement=True)

    assert (refused.value.line, refused.value.column) == (1, column)
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    "source",
    [
        "result.extensions.anything['https://example.com/x'].more",
        "object.definition.extensions.anything.more",
        "object.definition.name.de",
        "statement.verb.display['en-US']",
        "object.definition.correctResponsesPattern[0]",
        "object.definition.steps[0].description.en",
        "object.member[0].account.homePage",  # a group
        "object.object.definition.type",  # a sub-statement
        "context.contextAgents[0].relevantTypes[0]",
        "context.contextGroups[0].group.name",
        "context.contextActivities.grouping.id",  # one instead of a list
        "context.team.name + context.statement.id + statement.attachments[0].fileUrl",
        "statement.authority.account.name",
        "[{'a': 1}].exists(x, x.a == 1)",
        "result.extensions.exists(key, key == 'a')",
    ],
)
def test_what_a_statement_may_have_is_let_through(source):
    assert compile_expression(source, statement=True)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("not(row.a)", "Write !(...)."),
        ("len(row.a) > 1", "Write size(x)."),
        ("row.a == None", "Write null."),
        ("row.a == TRUE", "Write true."),
    ],
)
def test_names_of_other_languages_are_refused_with_what_cel_calls_them(source, remedy):
    with pytest.raises(ExpressionError) as refused:
        compile_expression(source, statement=False)

    assert refused.value.remedy == remedy


@pytest.mark.parametrize(
    ("statement", "supplied", "named", "hidden"),
    [
        (True, False, {"parent", "fraction"}, {"money", "business_hours"}),
        (False, False, {"fraction"}, {"money", "business_hours", "parent", "activity_of_type"}),
        (False, True, {"fraction", "money", "business_hours"}, {"parent", "activity_of_type"}),
    ],
)
def test_the_functions_named_are_those_of_such_documents(statement, supplied, named, hidden):
    with pytest.raises(ExpressionError) as refused:
        compile_expression("zzz()", statement=statement, supplied=supplied)

    known = set(re.findall(r"\w+", refused.value.remedy))
    assert named <= known
    assert not hidden & known


def test_a_row_may_have_any_field():
    assert compile_expression("row.result.succes", statement=False)


def test_a_function_may_be_called_on_its_first_argument():
    assert compile_expression("row.later.hours(row.earlier)", statement=False).functions == ("hours",)


def test_further_variables_are_there_where_they_are_asked_for():
    found = compile_expression("item.owner != row.owner", statement=False, extra=("item",))

    assert found.variables == {"item", "row"}


def test_two_expressions_of_one_text_are_equal():
    found = compile_expression("row.a", statement=False)

    assert found == compile_expression("row.a", statement=False, wants="text")
    assert len({found, compile_expression("row.a", statement=False, wants="text")}) == 1


@pytest.mark.parametrize(
    ("source", "least", "most"),
    [
        ("row.a == 1", MAX_VALUES, MAX_VALUES),
        ("row.a.exists(x, x.b == 1)", 1_000, MAX_VALUES),
        ("row.a.filter(x, x.b == 1)", 1_000, MAX_VALUES),
        ("row.a.map(x, x.b)", 1_000, MAX_VALUES - 1),
        ("row.a.map(x, row.a)", LEAST_VALUES, 1_000),
        ("row.a.exists(x, row.a.exists(y, x == y))", LEAST_VALUES, 1_000),
    ],
)
def test_the_more_an_expression_has_to_do_the_smaller_is_the_item_that_it_may_look_at(source, least, most):
    assert least <= compile_expression(source, statement=False).most_values <= most < BUDGET
