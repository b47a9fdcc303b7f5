"""Hostile documents and items: each is stopped within its bound, and said with its place.

No timed tests: the limits here are many times what the slowest was measured to take, and without the bounds these would
take minutes or end the process.
"""

import re
import time
from contextlib import contextmanager

import pytest

from bridge.mapping import MappingError, load_folders
from bridge.mapping.expressions import ExpressionError, compile_expression
from bridge.mapping.items import MAX_SECONDS, EvaluationError, Item

RULE = "kind: learning\nname: hostile\nrules:\n  - name: one\n    fact: started\n    when: |\n      {when}\n"


@contextmanager
def within(seconds):
    """Fail if it takes longer, of the process's own time."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


LEVELS = "row.a.map(x1, row.a.map(x2, row.a.map(x3, row.a)))"
REFUSED = {
    "endless comprehension": LEVELS,
    "comprehensions in one another": "[1].exists(x, " * 100 + "true" + ")" * 100,
    "a list that grows and grows": "row.a.map(x, row).map(x, row).map(x, row).map(x, row).map(x, row)",
    "lists of everything": "[" + ", ".join(["row"] * 280) + "].map(x, [x, x])",
    "a text that grows and grows": "row.a.map(x, " + " + ".join(["string(row.t)"] * 60) + ")",
    "many regular expressions": " && ".join([r"row.t.matches(r'\w{90}')"] * 60),
    "a regular expression for each value": r"row.a.exists(x, x.matches(r'(\w{1,30}){1,30}'))",
    "deep brackets": "(" * 900 + "1" + ")" * 900,
    "deep lists": "[" * 900 + "]" * 900,
    "deep calls": "size(" * 300 + "row" + ")" * 300,
    "deep fields": "row" + ".a" * 900,
    "deep conditions": "true ? " * 200 + "1" + " : 2" * 200,
    "deep sums": "row.a" + " + 1" * 400,
    "brackets without end": "(" * 2_000,
    "two megabytes": "true || " * 250_000 + "true",
    "two megabytes of text": "'" + "x" * 2_000_000 + "'",
    "a text without end": "'" + "\\'" * 900,
    "a huge number": "9" * 1_900,
    "an impossible exponent": "1e" + "9" * 1_900,
    "constants that take long": "["
    + ", ".join(["1"] * 300)
    + "].map(x, ["
    + ", ".join(["1"] * 300)
    + "])"
    + ".map(y, y)",
}


@pytest.mark.parametrize("source", REFUSED.values(), ids=REFUSED.keys())
def test_a_hostile_expression_is_refused_before_it_is_evaluated(source):
    with within(seconds=20), pytest.raises(ExpressionError) as refused:
        compile_expression(source, statement=False)

    assert refused.value.remedy
    assert 1 <= refused.value.column <= len(source) + 1


@pytest.mark.parametrize(
    "source",
    [
        "true in [" * 24 + "true" + "]" * 24,
        "[" * 24 + "1" + "][0]" * 24,
        "row[" * 45 + "1" + "]" * 45,
        "[1" + ", 1" * 660 + "]",
    ],
    ids=["lists in lists", "places of places", "keys of keys", "a long list"],
)
def test_what_is_checked_of_a_part_is_checked_once(source):
    """Else a level of brackets would double the time."""
    with within(seconds=20):
        assert compile_expression(source, statement=False).source == source


def test_the_place_of_a_hostile_expression_is_told(load, tmp_path):
    deep = "verb == 'x' && " + "(" * 60 + "true" + ")" * 60

    with pytest.raises(MappingError) as refused:
        load(RULE.format(when=deep))

    [problem] = refused.value.problems
    assert (problem.line, problem.file) == (7, str(tmp_path / "a.yaml"))
    assert problem.column > 7 + len("verb == 'x' && ")
    assert problem.text == "This is nested deeper than 50 levels"


ALLOWED = {
    "pairs of values": ("row.a.exists(x, row.a.exists(y, x == -1))", "list"),
    "a list of lists": ("row.a.map(x, row.a)", "list"),
    "a list of all pairs": ("row.a.map(x, row.a.map(y, y))", "list"),
    "a list of itself": ("row.a.map(x, {'a': row.a, 'b': row}).size() > 0", "list"),
    "two lists": ("row.a.map(x, [x]).map(y, [y])", "list"),
    "a filter": ("row.a.filter(x, true)", "list"),
    "sums in a filter": ("row.a.filter(x, " + " + ".join(["row.a"] * 20) + " != [])", "list"),
    "sums of lists": ("size(" + " + ".join(["row.a"] * 21) + ") > 0", "list"),
    "comparisons of lists": (" && ".join(["row.a == row.a"] * 100), "list"),
    "regular expressions": (" && ".join(["!'x'.matches(r'\\w{90}')"] * 30), "text"),
    "a regular expression on a long text": (r"row.t.matches(r'(\w{1,9}){1,9}y')", "text"),
    "one that others choke on": (r"row.t.matches('^(x+x+)+y$')", "text"),
    "a regular expression for each value": (r"row.a.exists(x, string(x).matches(r'\w\w\w\w\w\w'))", "list"),
    "texts in a list": ("row.a.map(x, row.t + row.t)", "both"),
    "sums of texts": ("size(" + " + ".join(["row.t"] * 40) + ") > 0", "text"),
    "many conditions for each value": ("row.a.exists(x, " + " || ".join(["x == -1"] * 150) + ")", "list"),
}


def largest(expression, shape):
    """Give about the largest row that the expression may be evaluated on."""
    most = expression.most_values - 5
    texts = {"list": 0, "text": most, "both": most // 2}[shape]
    return {"a": list(range(most - texts)), "t": "x" * 200 * texts}


@pytest.mark.parametrize(("source", "shape"), ALLOWED.values(), ids=ALLOWED.keys())
def test_the_costliest_expressions_that_are_allowed_end(source, shape):
    expression = compile_expression(source, statement=False)
    item = Item({"row": largest(expression, shape)})

    with within(seconds=20):
        item.value(expression)


def test_many_costly_rules_do_not_add_up():
    """The slowest single one takes about half a second: so an item is done with after little more than a second."""
    sources = [f"row.a.map(x, row.a.map(y, y + {number})) == []" for number in range(200)]
    expressions = [compile_expression(source, statement=False) for source in sources]
    item = Item({"row": largest(expressions[0], "list")})
    failures = []

    with within(seconds=20 * MAX_SECONDS):
        for expression in expressions:
            try:
                item.value(expression)
            except EvaluationError as err:
                failures.append(err)

    assert len(failures) > 100
    assert failures[-1].expression == sources[-1]
    assert failures[-1].reason == "it took too long: the expressions before it took more than 1 s for this item"


def nested(levels, make):
    value = 1
    for _ in range(levels):
        value = make(value)
    return value


@pytest.mark.parametrize(
    "row",
    [
        {"a": nested(100_000, lambda inner: [inner])},
        {"a": nested(100_000, lambda inner: {"a": inner})},
        {"a": list(range(1_000_000))},
        {"a": [{"b": "x" * 10_000_000}]},
        {"a": ["\ud800"]},
        {"a": [10**400]},
    ],
    ids=["deep lists", "deep maps", "many values", "long text", "no Unicode", "huge number"],
)
@pytest.mark.parametrize("source", ["row.a.map(x, row.a.size())", "row.a[0].b.c", "row.a == [1]", "row == row.a"])
def test_a_hostile_item_fails_or_is_read_and_ends_nothing(row, source):
    reason = "it was read"
    with within(seconds=20):
        try:
            Item({"row": row}).value(compile_expression(source, statement=False))
        except EvaluationError as err:
            reason = err.reason

    assert reason


def test_ten_thousand_rules_are_refused_or_read_in_bounded_time(tmp_path):
    rule = "  - {{name: r{0}, fact: started, when: \"verb == 'https://example.com/{0}'\"}}\n"
    head = "kind: learning\nname: many-{0}\nrules:\n"
    (tmp_path / "a.yaml").write_text(head.format("a") + "".join(rule.format(number) for number in range(10_000)))
    with within(seconds=60), pytest.raises(MappingError, match=re.escape("a.yaml: It is larger than 128 KB")):
        load_folders([tmp_path])

    (tmp_path / "a.yaml").write_text(head.format("a") + "".join(rule.format(number) for number in range(1_500)))
    with within(seconds=60):
        [document] = load_folders([tmp_path]).learning

    assert len(document.rules) == 1_500


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("/dev/zero", "This is not a regular file"),
        ("/dev/stdin", None),
        ("/proc/self/environ", None),
        ("../../../../../../../../etc/passwd", None),
        ("a.yaml", None),
        (".", "no folder"),
    ],
    ids=["endless device", "standard input", "secrets", "out of the folder", "itself", "its own folder"],
)
def test_a_link_to_somewhere_else_is_refused_without_showing_what_is_there(tmp_path, target, says, capfd):
    (tmp_path / "a.yaml").symlink_to(target)

    with within(seconds=20):
        if says == "no folder":  # folders inside a folder are left out
            assert load_folders([tmp_path]).written == ()
            return
        with pytest.raises(MappingError) as refused:
            load_folders([tmp_path])

    assert says is None or says in str(refused.value)
    assert "root:" not in str(refused.value)
    assert "PATH=" not in str(refused.value)
