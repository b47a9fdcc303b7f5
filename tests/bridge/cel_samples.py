"""CEL expressions over a row, and rows, as hypothesis makes them up; and what the binding makes of them."""

import cel
from hypothesis import strategies as st

from bridge.mapping import arithmetic, binding
from bridge.mapping.functions import FUNCTIONS

TEXTS = ["", "a", "abc", "é", "z😀", "1", "-2", "1.5", "2026-10-05T08:00:00Z", "PT1H", " ", "9" * 20, "1e5"]
NUMBERS = [0, 1, -1, 2, 7, -7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -0.0, 0.5, 1.0, -2.5, 1e300]
SCALARS = st.sampled_from([None, True, False, *TEXTS, *NUMBERS])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def written(value):
    """Give a constant as CEL writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
    return f"({value!r})"


CONSTANTS = st.sampled_from([None, True, False, *TEXTS[:9], 0, 1, -1, 2, 5, 2**53, 0.5, 1.0, -2.5]).map(written)


def larger(inner):
    two = st.tuples(inner, inner)
    signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "&&", "||"])
    methods = st.sampled_from(["contains", "startsWith", "endsWith"])
    macros = st.sampled_from(["all", "exists", "exists_one", "filter", "map"])
    functions = st.sampled_from(["size", "int", "double", "string", "fraction", "text", "duration_seconds", "ifi"])
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, st.sampled_from("abc")).map(lambda parts: f"{parts[0]}.{parts[1]}"),
        two.map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        inner.map(lambda part: f"(!{part})"),
        inner.map(lambda part: f"(-{part})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(inner, methods, inner).map(lambda parts: f"{parts[0]}.{parts[1]}({parts[2]})"),
        st.tuples(functions, inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        two.map(lambda parts: f"hours({parts[0]}, {parts[1]})"),
        st.tuples(inner, st.sampled_from("abc")).map(lambda parts: f"has({parts[0]}.{parts[1]})"),
        st.tuples(inner, macros, inner).map(lambda parts: f"{parts[0]}.{parts[1]}(x, {parts[2]})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"{parts[0]}.map(x, {parts[1]}, {parts[2]})"),
    )


FIELDS = st.sampled_from(["row.a", "row.b", "row.c", "row.a.b", "row.b.c.a", "row['a']", "row.c[0]"])
MADE = st.sampled_from(["x", "x.a", "x == 1", "x > 0", "x != null"])
"""What holds in comprehensions only; elsewhere there is no `x`."""
EXPRESSIONS = st.recursive(FIELDS | FIELDS | CONSTANTS | MADE, larger, max_leaves=6)


def asked(program, row):
    """Give what the binding makes of it, or why it fails."""
    reasons = []
    context = cel.Context({"row": row})
    context.add_function(arithmetic.DIVIDE, binding.guarded(reasons, arithmetic.divide))
    for name, function in FUNCTIONS.items():
        if function.call and not function.of_statement:
            context.add_function(name, binding.guarded(reasons, function.call))
    try:
        return binding.execute(program, context, reasons)
    except binding.Uncomputable as err:
        return f"failed: {err}"
