"""An expression as the binding is given it, where CEL's own meaning is not what an admin means.

`row.a / row.b` of types that are not known becomes a call of `arithmetic.divide`. `row.a.b == null` becomes true, and
`row.a.b != null` false, where a part of the path is missing or null; CEL would fail, so that all of it were null.
"""

import json
from collections.abc import Collection

from bridge.mapping.arithmetic import DIVIDE, as_double
from bridge.mapping.syntax import Binary, Index, Literal, Name, Node, Select


def rewritten(node: Node, source: str, divisions: Collection[tuple[int, int]]) -> str:
    """Give the text of a part as the binding computes it; `divisions` are the places of those to be watched."""
    match node:
        case Binary("/", left, right) if (node.line, node.column) in divisions:
            computed = [rewritten(part, source, divisions) for part in (left, right)]
            told = [json.dumps(as_double(part, source), ensure_ascii=False) for part in (left, right)]
            return f"{DIVIDE}({', '.join([*computed, *told])})"
        case Binary("==" | "!=" as sign) if path := path_compared_with_null(node):
            found = " || ".join(_missing(path, source))
            return f"({found})" if sign == "==" else f"(!({found}))"
    text, end = "", node.start
    for part in sorted(node.parts, key=lambda part: part.start):
        text += source[end : part.start] + rewritten(part, source, divisions)
        end = part.end
    return text + source[end : node.end]


def path_compared_with_null(node: Binary) -> Node | None:
    """Give the fields or places of a variable that are compared with null."""
    match node:
        case Binary("==" | "!=", path, Literal(None)) | Binary("==" | "!=", Literal(None), path):
            return path if isinstance(path, Select | Index) and _is_path(path) else None
    return None


def _is_path(node: Node) -> bool:
    match node:
        case Name():
            return True
        case Select(of):
            return _is_path(of)
        case Index(of, Literal(int() | str() as key)) if not isinstance(key, bool):
            return _is_path(of)
    return False


def _missing(path: Node, source: str) -> list[str]:
    """Give the conditions, in this order, one of which is true where the path is missing or null."""
    match path:
        case Select(of):
            missing = f"!has({_text(path, source)})"
        case Index(of, Literal(str()) as key):
            missing = f"!({source[key.start : key.end]} in {_text(of, source)})"
        case Index(of, Literal(int(place))):
            missing = f"size({_text(of, source)}) <= {place}"
        case _:
            return []
    return [*_missing(of, source), missing, f"{_text(path, source)} == null"]


def _text(path: Node, source: str) -> str:
    """Give a path without brackets around its parts, which has() does not take."""
    match path:
        case Select(of, field):
            return f"{_text(of, source)}.{field}"
        case Index(of, key):
            return f"{_text(of, source)}[{source[key.start : key.end]}]"
    return path.name if isinstance(path, Name) else ""
