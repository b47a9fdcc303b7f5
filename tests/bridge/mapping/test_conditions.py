"""What a condition needs of a statement, told without trying it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.mapping.conditions import VARIABLES, both, either, required
from bridge.mapping.expressions import ExpressionError, compile_expression
from bridge.mapping.items import EvaluationError, Item


def needs(source):
    """Give what is known to be needed, as sorted lists."""
    found = required(compile_expression(source, statement=True))
    return {name: sorted(texts) for name, texts in found.items() if texts is not None}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("verb == 'a'", {"verb": ["a"]}),
        ("'a' == verb", {"verb": ["a"]}),
        ("event in ['a', 'b']", {"event": ["a", "b"]}),
        ("verb == 'a' && event == 'b' && type == 'c'", {"verb": ["a"], "event": ["b"], "type": ["c"]}),
        ("verb in ['a', 'b'] && verb in ['b', 'c']", {"verb": ["b"]}),
        ("verb == 'a' && verb == 'b'", {"verb": []}),
        ("verb == 'a' || verb == 'b'", {"verb": ["a", "b"]}),
        ("verb == 'a' || event == 'b'", {}),
        ("verb == 'a' && event == 'x' || verb == 'b'", {"verb": ["a", "b"]}),
        ("verb == 'a' || result.success", {}),
        ("verb == 'a' && (result.success || event.endsWith('x'))", {"verb": ["a"]}),
        ("(verb == 'a')", {"verb": ["a"]}),
        ("result.success ? verb == 'a' : verb == 'b'", {"verb": ["a", "b"]}),
        ("verb == 'a' ? result.success : false", {"verb": ["a"]}),
        ("verb == 'a' || false", {"verb": ["a"]}),
        ("verb != 'a'", {}),
        ("!(verb == 'a')", {}),
        ("verb in ['a', event]", {}),
        ("verb.endsWith('a')", {}),
        ("statement.verb.id == 'a'", {}),
        ("parents.exists(p, p == 'a')", {}),
        ("['a'].exists(x, x == verb)", {}),
    ],
)
def test_what_is_needed_is_read_through_the_signs(source, expected):
    assert needs(source) == expected


def test_no_condition_needs_nothing():
    assert set(required(None).values()) == {None}


def test_needs_are_put_together():
    verb_a = required(compile_expression("verb == 'a'", statement=True))
    verb_b = required(compile_expression("verb == 'b' && event == 'e'", statement=True))

    assert both(verb_a, verb_b)["verb"] == frozenset()
    assert both(verb_a, verb_b)["event"] == {"e"}
    assert either(verb_a, verb_b)["verb"] == {"a", "b"}
    assert either(verb_a, verb_b)["event"] is None


TEXTS = st.sampled_from(["a", "b", "c", ""])
QUOTED = TEXTS.map(lambda text: f"'{text}'")
NAMES = st.sampled_from(VARIABLES)
SIMPLE = st.one_of(
    st.tuples(NAMES, QUOTED).map(" == ".join),
    st.tuples(QUOTED, NAMES).map(" == ".join),
    st.tuples(NAMES, QUOTED).map(" != ".join),
    st.tuples(NAMES, st.lists(QUOTED, min_size=1, max_size=3)).map(lambda two: f"{two[0]} in [{', '.join(two[1])}]"),
    st.tuples(NAMES, QUOTED).map(lambda two: f"{two[0]}.startsWith({two[1]})"),
    st.sampled_from(["true", "false", "result.x", "result.x == 1", "result.y > 1", "parents.exists(p, p == verb)"]),
)
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' && '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' || '.join(parts)})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        inner.map(lambda part: f"!({part})"),
    ),
    max_leaves=6,
)


@settings(max_examples=1_000)
@given(CONDITIONS, st.fixed_dictionaries(dict.fromkeys(VARIABLES, TEXTS)), st.sampled_from([{}, {"x": True}, {"y": 2}]))
@example("(verb == 'a' ? verb == 'b' : result.x)", {"verb": "c", "event": "", "type": ""}, {"x": True})
def test_with_any_other_value_a_condition_does_not_hold(source, texts, result):
    try:
        condition = compile_expression(source, statement=True, wants="flag")
    except ExpressionError:
        return
    item = Item({**texts, "result": result, "parents": ["a"]})
    try:
        held = item.holds(condition)
    except EvaluationError:
        return

    if held:
        assert all(known is None or texts[name] in known for name, known in required(condition).items())
