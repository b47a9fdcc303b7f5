"""What is wrong with a file that is no YAML, in words for people who write it.

PyYAML stops where it can go on no further, which is often far behind what is wrong: an unclosed quote is noticed at the
end of the file. Here the place of the mistake is looked for, and a remedy.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from bridge.mapping.problems import Problem, shown

_ODD_INDENT = re.compile(r"[ \t]*([^\S \t\r\n]|[\u200b\ufeff])")
_DASH_WITHOUT_SPACE = re.compile(r"[ ]*-(?![-\s])")
_LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""As PyYAML counts lines."""
_KEY = re.compile(r"\s*(?:- )?\w+:(?: |$)")
_CLOSING = {"[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class _Fault:
    """Where PyYAML stopped and why; lines count from 0, as its own do."""

    text: str
    lines: list[str]
    problem: str
    line: int
    column: int
    context: str
    begins: tuple[int, int] | None
    """Where what it was reading begins."""

    def text_of(self, line: int) -> str:
        return self.lines[line].strip() if line < len(self.lines) else ""


_Found = tuple[int, int, str, str]
"""Line and column from 0, what is wrong, and what to do."""


def problem(err: yaml.YAMLError, text: str, file: str) -> Problem:
    """Give the place of the mistake, what it is and what to do about it."""
    if not isinstance(err, yaml.MarkedYAMLError) or not (mark := err.problem_mark or err.context_mark):
        position = err.position if isinstance(err, yaml.reader.ReaderError) else 0
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        what = "YAML does not allow this character"
        return Problem(file, line, column, what, "Remove it; it is most likely invisible.")
    begins = (err.context_mark.line, err.context_mark.column) if err.context_mark else None
    reason = err.problem or err.context or ""
    fault = _Fault(text, _LINE_END.split(text), reason, mark.line, mark.column, err.context or "", begins)
    found = next(filter(None, (look(fault) for look in _LOOKS)), None) or _otherwise(fault)
    return Problem(file, found[0] + 1, found[1] + 1, f"This is no YAML: {found[2]}", found[3])


def _odd_indent(fault: _Fault) -> _Found | None:
    for line in range(fault.line, max(fault.line - 3, -1), -1):
        odd = _ODD_INDENT.match(fault.lines[line]) if line < len(fault.lines) else None
        if odd:
            what = f"the line begins with the invisible character U+{ord(odd[1]):04X}, which is no space"
            return line, odd.start(1), what, "Indent with plain spaces."
    return None


def _tab(fault: _Fault) -> _Found | None:
    if "'\\t'" not in fault.problem:
        return None
    what = f"there is a tab before {shown(fault.text_of(fault.line))}"
    return fault.line, fault.column, what, "Use spaces for the indentation."


def _quote_not_closed(fault: _Fault) -> _Found | None:
    if not fault.begins or "quoted scalar" not in fault.context or fault.begins[0] == fault.line:
        return None
    within = fault.lines[fault.begins[0] + 1 : fault.line + 1]
    if "escape" in fault.problem and not any(map(_KEY.match, within)):
        return None
    return _opened(fault, *fault.begins)


def _opened(fault: _Fault, line: int, column: int) -> _Found:
    quote = fault.lines[line][column]
    what = f"the text that begins here with {quote} does not end in its line: {shown(fault.lines[line][column:])}"
    return line, column, what, f"Put a {quote} at its end."


def _escape(fault: _Fault) -> _Found | None:
    if "escape" not in fault.problem:
        return None
    what = f"a backslash in double quotes begins a code, and this one means nothing: {shown(fault.text_of(fault.line))}"
    return fault.line, max(fault.column - 1, 0), what, "Use single quotes or none, or put the value below a |."


def _bracket(fault: _Fault) -> _Found | None:
    if "flow" not in fault.context:
        return None
    opened: list[yaml.Mark] = []
    for token in _tokens(fault.text):
        if (token.start_mark.line, token.start_mark.column) >= (fault.line, fault.column):
            break
        if isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken):
            opened.append(token.start_mark)
        elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken) and opened:
            opened.pop()
    if not opened:
        return None
    line, column = opened[-1].line, opened[-1].column
    sign = fault.lines[line][column]
    if line < fault.line or "stream end" in fault.problem:
        what = f"the {sign} here is not closed: {shown(fault.text_of(line))}"
        return line, column, what, f"Put a {_CLOSING[sign]} at its end."
    what = f"a comma or {_CLOSING[sign]} is expected here: {shown(fault.text_of(line))}"
    return fault.line, fault.column, what, "Put commas between the entries, and quotes around texts that hold signs."


def _key_without_colon(fault: _Fault) -> _Found | None:
    if "expected ':'" not in fault.problem or not fault.begins:
        return None
    return _no_colon(fault, *fault.begins)


def _no_colon(fault: _Fault, line: int, column: int) -> _Found:
    what = f"there is no `key: value` in {shown(fault.text_of(line))}"
    return line, column, what, "Put a colon and a space after the key."


def _second_colon(fault: _Fault) -> _Found | None:
    if "mapping values are not allowed" not in fault.problem:
        return None
    here, before = fault.lines[fault.line], _line_before(fault)
    for line in (fault.line, before):
        if line is not None and _DASH_WITHOUT_SPACE.match(fault.lines[line]):
            column = fault.lines[line].index("-")
            what = f"there is no space after the dash in {shown(fault.text_of(line))}"
            return line, column, what, "Write `- ` before each item of a list."
    if ": " in here[: fault.column] or before is None:
        remedy = "Put the value in quotes, or on the next line below a |."
        return fault.line, fault.column, f"there is a second ': ' in {shown(fault.text_of(fault.line))}", remedy
    column = len(here) - len(here.lstrip())
    if ": " in fault.lines[before]:
        what = (
            f"{shown(fault.text_of(fault.line))} is indented deeper than the line above it, which has a value already"
        )
        return fault.line, column, what, f"Indent it like line {before + 1}."
    before_column = len(fault.lines[before]) - len(fault.lines[before].lstrip())
    return _no_colon(fault, before, before_column)


def _line_before(fault: _Fault) -> int | None:
    """Give the line before the fault that holds something."""
    lines = range(fault.line - 1, -1, -1)
    return next((line for line in lines if (text := fault.text_of(line)) and not text.startswith("#")), None)


def _sign(fault: _Fault) -> _Found | None:
    if "cannot start any token" not in fault.problem:
        return None
    sign = fault.lines[fault.line][fault.column : fault.column + 1]
    what = f"a value cannot begin with {sign}: {shown(fault.text_of(fault.line))}"
    return fault.line, fault.column, what, 'Put it in quotes: "..."'


def _quote_closed_late(fault: _Fault) -> _Found | None:
    """Look for a quoted text that goes on into the line of the fault: what closed it was meant to open another."""
    for token in _tokens(fault.text):
        begins, ends = token.start_mark, token.end_mark
        if getattr(token, "style", None) in ("'", '"') and begins.line < ends.line and fault.line - 1 <= ends.line:
            after = fault.lines[ends.line][ends.column :].strip()
            return _opened(fault, begins.line, begins.column) if after and after[0] not in ",:]}#" else None
    return None


def _tokens(text: str) -> Iterator[yaml.Token]:
    try:
        yield from yaml.scan(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return


def _indentation(fault: _Fault) -> _Found | None:
    if "expected <block end>" not in fault.problem or not fault.begins:
        return None
    line = shown(fault.text_of(fault.line))
    found = fault.problem.rpartition("found ")[2]
    if found == "'<scalar>'":
        remedy = "Put all of it in quotes of the other kind."
        return fault.line, fault.column, f"there is more after the closing quote in {line}", remedy
    if found in ("'}'", "']'", "','"):
        return fault.line, fault.column, f"there is a {found[1]} that nothing has opened in {line}", "Take it out."
    remedy = f"Indent it like line {fault.begins[0] + 1}, or as what belongs to the line above it."
    return fault.line, fault.column, f"the indentation of {line} fits no line above it", remedy


def _otherwise(fault: _Fault) -> _Found:
    line = fault.text_of(fault.line)
    what = f"{fault.problem} in {shown(line)}" if line else fault.problem
    remedy = "Check indentation, colons and quotes; an expression that holds ': ' or ' #' stands below a |."
    return fault.line, fault.column, what, remedy


_LOOKS: tuple[Callable[[_Fault], _Found | None], ...] = (
    _odd_indent,
    _tab,
    _quote_not_closed,
    _quote_closed_late,
    _escape,
    _bracket,
    _key_without_colon,
    _second_colon,
    _sign,
    _indentation,
)
"""The likely mistakes; each tells whether it is one."""
