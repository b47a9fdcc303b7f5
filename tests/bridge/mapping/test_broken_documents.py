"""Broken documents, one fault each: the problem names file, line, column and remedy."""

import pytest

from bridge.mapping import MappingError

RULE = """\
kind: learning
name: moodle
rules:
  - name: one
    when: {when}
    fact: completed
"""
METRIC = """\
kind: performance
name: tickets
source: tickets
metrics:
  - name: hours
    family: duration
    direction: down
    owner: row.owner
    occurred_at: row.at
    value: row.hours
"""
ROSTER = """\
kind: identity
name: people
rosters:
  - source: hr
    learner: row.id
"""
PROGRAM = """\
kind: program
name: talking
courses: ["https://lms/course/1"]
completion: {of: ["https://lms/lesson/1"]}
"""

MATCH = RULE.replace("when: {when}", "match: {}")

BROKEN = [
    # (what, text, line, column, part of the text, part of the remedy)
    ("no YAML", "kind: learning\nname: a\nrules: *\n", 3, 9, "This is no YAML: expected alphabetic", "indentation"),
    ("a bracket", "kind: learning\nname: [a\n", 2, 7, "the [ here is not closed: 'name: [a'", "Put a ]"),
    ("a brace", "kind: learning\nname: {a: b\nrules: []\n", 2, 7, "the { here is not closed: 'name: {a: b'", "Put a }"),
    ("a brace too many", "kind: learning\nname: {a: b}}\n", 2, 13, "a } that nothing has opened", "Take it out"),
    ("no comma", "kind: program\ncourses: ['a' 'b']\n", 2, 15, "a comma or ] is expected here", "commas between"),
    ("a tab", "kind: learning\n\tname: a\n", 2, 1, "there is a tab before 'name: a'", "Use spaces"),
    (
        "indented less after a text of two lines",
        'rules:\n    - when: "a &&\n        b"\n   name: c\n',
        4,
        4,
        "the indentation of 'name: c' fits no line",
        "like line",
    ),
    (
        "a backslash in the second line of a text",
        'rules:\n    - when: "a &&\n        \\core"\n',
        3,
        9,
        "a backslash in double quotes begins a code",
        "single quotes or none",
    ),
    (
        "an open quote before a backslash",
        "title: \"Talk\nwhen: event == '\\core'\n",
        1,
        8,
        'begins here with " does not end',
        'Put a "',
    ),
    (
        "an invisible space",
        "kind: program\nname: a\ncompletion:\n\u00a0\u00a0of: [a]\n  need: any\n",
        4,
        1,
        "the invisible character U+00A0",
        "plain spaces",
    ),
    ("indented deeper", "kind: program\n  name: a\n", 2, 3, "'name: a' is indented deeper", "Indent it like line 1"),
    (
        "indented less",
        "rules:\n    - name: a\n      fact: b\n   when: c\n",
        4,
        4,
        "'when: c' fits no line",
        "like line",
    ),
    (
        "no colon",
        "kind: learning\nrules\n  - name: a\n",
        2,
        1,
        "there is no `key: value` in 'rules'",
        "a colon and a space",
    ),
    ("no colon above", "rules\n  name: a\n", 1, 1, "there is no `key: value` in 'rules'", "Put a colon"),
    ("no space after a colon", "kind:program\nname: a\n", 1, 1, "no `key: value` in 'kind:program'", "and a space"),
    (
        "no space after a dash",
        "rules:\n  -name: a\n   when: b\n",
        2,
        3,
        "no space after the dash in '-name: a'",
        "`- `",
    ),
    ("two colons", "kind: program\ntitle: Talk: now\n", 2, 12, "a second ': ' in 'title: Talk: now'", "below a |"),
    ("a sign", "kind: program\ntitle: @home\n", 2, 8, "a value cannot begin with @: 'title: @home'", "in quotes"),
    ("an open quote", 'kind: program\ntitle: "Talk\nname: a\n', 2, 8, 'begins here with " does not end', 'Put a "'),
    (
        "a quote open to the next",
        "title: 'Talk\nname: 'a'\n",
        1,
        8,
        "begins here with ' does not end in its",
        "Put a '",
    ),
    ("more after a quote", "title: 'a' + b\n", 1, 12, "more after the closing quote in 'title: 'a' + b'", "other kind"),
    ("a backslash", 'title: "a\\core"\n', 1, 10, "a backslash in double quotes begins a code", "single quotes or none"),
    ("an empty file", " \n", 1, 1, "The file is empty", "Write a document"),
    (
        "two documents in one",
        PROGRAM + PROGRAM,
        5,
        1,
        "'kind' stands twice, first in line 1",
        "--- between two documents",
    ),
    ("no map", "- kind: learning\n", 1, 1, "A document is a map of keys and values, not a list", "kind: ..."),
    ("no kind", "name: a\n", 1, 1, "The document has no `kind`", "Add `kind: ...`"),
    ("no name", "kind: program\n", 1, 1, "The document has no `name`", "Add `name: ...`"),
    ("unknown kind", "kind: programme\nname: a\n", 1, 7, "'programme' is no kind of document", "mean 'program'?"),
    (
        "name is a path",
        "kind: program\nname: ../../etc/passwd\n",
        2,
        7,
        "'../../etc/passwd' is no name",
        "a-z, 0-9 and -",
    ),
    ("name is no text", "kind: program\nname: 7\n", 2, 7, "'7' is no name", "a-z, 0-9 and -"),
    ("a key twice", "kind: program\nname: a\nname: b\n", 3, 1, "'name' stands twice, first in line 2", "Keep one"),
    (
        "an alias",
        "kind: program\nname: &n a\ntitle: *n\n",
        2,
        7,
        "Anchors and aliases are not used here",
        "Write the value out",
    ),
    ("a tag", "kind: program\nname: !!python/name:os.system a\n", 2, 7, "Tags are not used here", "Write plain texts"),
    (
        "unknown key",
        RULE.format(when="verb == 'x'") + "    scor: 'null'\n",
        7,
        5,
        "'scor' is not known here",
        "mean 'score'?",
    ),
    (
        "missing key",
        RULE.replace("    when: {when}\n", ""),
        4,
        5,
        "neither `match` nor `when`",
        "Add `match: {verb: ...}`",
    ),
    ("empty value", RULE.format(when=""), 5, 10, "'when' is empty", "Write its value"),
    (
        "unknown fact",
        RULE.format(when="true == true").replace("completed", "asessed"),
        6,
        11,
        "'asessed' cannot stand in `fact`",
        "mean 'assessed'?",
    ),
    (
        "wrong type",
        PROGRAM + 'window_days: "90"\n',
        5,
        14,
        "'90' is a text, a whole number is expected",
        "without quotes",
    ),
    ("out of range", PROGRAM + "window_days: 0\n", 5, 14, "0 is out of range", "from 1 to 3,660"),
    (
        "no list",
        PROGRAM.replace('["https://lms/course/1"]', "abc"),
        3,
        10,
        "'abc' is a text, a list is expected",
        "[ and ]",
    ),
    (
        "an empty list",
        PROGRAM.replace('["https://lms/course/1"]', "[]"),
        3,
        10,
        "'courses' is an empty list",
        "at least one",
    ),
    (
        "no map inside",
        PROGRAM.replace('{of: ["https://lms/lesson/1"]}', "all"),
        4,
        13,
        "'all' is a text, a map of keys and values is expected",
        "key: value",
    ),
    (
        "an item of a list",
        PROGRAM.replace('["https://lms/course/1"]', "[x:a, 7]"),
        3,
        16,
        "'7' is a number, a text is expected",
        "quotes",
    ),
    ("CEL, in the middle", RULE.format(when="verb === 'x'"), 5, 18, "This is no CEL expression", "Write =="),
    ("CEL, in quotes", RULE.format(when='"verb === 1"'), 5, 19, "This is no CEL expression", "Write =="),
    (
        "CEL, second line",
        RULE.format(when="|\n      verb == 'x' &&\n        verb === 'y'"),
        7,
        16,
        "This is no CEL expression",
        "Write ==",
    ),
    (
        "CEL, folded: its start",
        RULE.format(when=">\n      verb == 'x' &&\n      verb === 'y'"),
        5,
        11,
        "This is no CEL",
        "Write ==",
    ),
    ("CEL, escaped: its start", RULE.format(when='"\\u0076erb === 1"'), 5, 11, "This is no CEL", "Write =="),
    (
        "unknown variable",
        RULE.format(when="verb == 'x' && evnt == 'y'"),
        5,
        26,
        "There is no variable 'evnt'",
        "mean 'event'?",
    ),
    ("variable of rows", RULE.format(when="row.x == 1"), 5, 11, "There is no variable 'row'", "statement"),
    (
        "unknown function",
        RULE.format(when="parnt('x') == 'y'"),
        5,
        11,
        "There is no function parnt()",
        "mean 'parent'?",
    ),
    (
        "function of statements",
        METRIC.replace("row.hours", "parent('x')"),
        10,
        12,
        "There is no function parent()",
        "functions",
    ),
    (
        "wrong number of arguments",
        METRIC.replace("row.hours", "hours(row.at)"),
        10,
        12,
        "hours() takes 2, not 1 arguments",
        "dot",
    ),
    (
        "true instead of CEL",
        RULE.format(when="true"),
        5,
        11,
        "'true' is true or false, an expression is expected",
        "quotes",
    ),
    (
        "unknown family",
        METRIC.replace("duration", "durations"),
        6,
        13,
        "'durations' cannot stand in `family`",
        "mean 'duration'?",
    ),
    ("unknown direction", METRIC.replace("down", "lower"), 7, 16, "'lower' cannot stand in `direction`", "down, up"),
    ("name of a metric", METRIC.replace("name: hours", "name: hours-open"), 5, 11, "'hours-open' is no name", "and _"),
    (
        "unknown metric",
        PROGRAM + "metrics: [hour]\n---\n" + METRIC,
        5,
        11,
        "no metric called 'hour'",
        "mean 'hours'?",
    ),
    (
        "unknown program",
        PROGRAM + "---\nkind: report\nname: r\nprogram: taking\n",
        8,
        10,
        "no program called 'taking'",
        "mean 'talking'?",
    ),
    (
        "unknown destination",
        PROGRAM + "---\nkind: report\nname: r\nprogram: talking\ndestinations: [disk]\n",
        9,
        16,
        "no destination called 'disk'",
        "no destinations here yet",
    ),
    (
        "two rules of one name",
        RULE.format(when="verb == 'x'") + RULE[RULE.index("  - name") :].format(when="verb == 'y'"),
        7,
        11,
        "'one' stands twice",
        "another name",
    ),
    (
        "two documents of one name",
        PROGRAM + "---\n" + PROGRAM,
        7,
        7,
        "program 'talking' stands twice in this file, first at",
        "keep one",
    ),
    (
        "two identities",
        "kind: identity\nname: people\n---\nkind: identity\nname: staff\n",
        5,
        7,
        "There is an identity document already, 'people'",
        "name it 'people' to replace that one",
    ),
    (
        "a roster from nowhere",
        ROSTER + "    aliases: [{mbox: row.mail}]\n",
        4,
        13,
        "no source called 'hr'",
        "no sources here yet",
    ),
    (
        "two aliases in one",
        ROSTER + "    aliases:\n      - mbox: row.mail\n        openid: row.id\n",
        7,
        9,
        "An alias is one of",
        "own dash",
    ),
    (
        "an attribute",
        ROSTER + "    attributes: {team: rwo.x}\n    aliases: [{mbox: row.mail}]\n",
        6,
        24,
        "no variable 'rwo'",
        "mean 'row'?",
    ),
    (
        "no map of attributes",
        ROSTER + "    attributes: [a]\n    aliases: [{mbox: row.m}]\n",
        6,
        17,
        "is no map",
        "a map",
    ),
    (
        "a key of another kind",
        RULE.format(when="verb == 'x'") + "    level: result.score.raw\n",
        7,
        5,
        "The key 'level' does not go with fact 'completed'",
        "It goes with observed.",
    ),
    (
        "nothing without a reason",
        RULE.format(when="verb == 'x'").replace("completed", "nothing"),
        4,
        5,
        "'nothing' needs `because`",
        "Add `because:",
    ),
    (
        "an answer missing",
        RULE.format(when="verb == 'x'").replace("completed", "surveyed"),
        4,
        5,
        "'surveyed' needs `answer`",
        "Add `answer: result.response`",
    ),
    (
        "an obstacle of which nothing is said",
        RULE.format(when="verb == 'x'").replace("completed", "obstacle"),
        4,
        5,
        "'obstacle' needs `category` or `text`",
        "Add `text: result.response`",
    ),
    (
        "a key that is not read, required",
        RULE.format(when="verb == 'x'") + "    required: [learner, score]\n",
        7,
        25,
        "'score' is required, but this rule does not read it",
        "Add `score: ...`",
    ),
    (
        "a required key mistyped",
        RULE.format(when="verb == 'x'") + "    course: object.id\n    required: [corse]\n",
        8,
        16,
        "'corse' is required, but",
        "mean 'course'?",
    ),
    (
        "a rule without a condition that is a list",
        "kind: learning\nname: a\nrules:\n  - - name: b\n",
        4,
        5,
        "This is a list, a map of keys and values is expected",
        "key: value",
    ),
    ("an empty match", MATCH.format("{}"), 5, 12, "would match everything", "Add one of verb, activity"),
    ("an empty activity", MATCH.format("{parent: {}}"), 5, 21, "would match everything", "Add one of id, prefix"),
    ("a match that is a text", MATCH.format("completed"), 5, 12, "'completed' is a text, a map", "key: value"),
    ("an unknown key of a match", MATCH.format("{verbs: 'v:a'}"), 5, 13, "'verbs' is not known", "mean 'verb'?"),
    ("a verb by its word", MATCH.format("{verb: completed}"), 5, 19, "'completed' is no IRI", "Write it in full"),
    ("a verb with a space", MATCH.format("{verb: 'v: a'}"), 5, 19, "'v: a' is no IRI", "Write it in full"),
    ("a verb of a list", MATCH.format("{verb: ['v:a', b]}"), 5, 27, "'b' is no IRI", "Write it in full"),
    ("a verb that is a number", MATCH.format("{verb: 7}"), 5, 19, "'7' is a number, a text is expected", "quotes"),
    ("no verb at all", MATCH.format("{verb: []}"), 5, 19, "'verb' is an empty list", "at least one"),
    (
        "a pattern",
        MATCH.format("{activity: {pattern: '[a'}}"),
        5,
        33,
        "'[a' is no regular expression: unclosed character class",
        "id or prefix",
    ),
    ("a look-ahead", MATCH.format("{activity: {pattern: '(?=a)'}}"), 5, 33, "look-ahead", "as RE2 has it"),
    ("a large pattern", MATCH.format("{activity: {pattern: 'a{1000}{1000}'}}"), 5, 33, "exceeds size limit", "RE2"),
    ("a long pattern", MATCH.format("{activity: {pattern: " + "a" * 201 + "}}"), 5, 33, "201 characters", "prefix"),
    ("a registration", MATCH.format("{registration: some}"), 5, 27, "'some' is no registration", "present, absent"),
    (
        "a template",
        MATCH.format("{template: 't:a'}"),
        5,
        23,
        "no template 't:a' in the profiles",
        "mapping profile FILE",
    ),
    (
        "a match of the document",
        "match: {verb: a}\n" + RULE.format(when="verb == ''"),
        1,
        15,
        "'a' is no IRI",
        "in full",
    ),
    ("a list as key", "kind: program\n? [a]\n: b\n", 2, 3, "A key is a list, a map or an alias", "plain words"),
    (
        "NUL, escaped",
        'kind: program\nname: a\ntitle: "a\\0"\n',
        3,
        8,
        "the character U+0000, which cannot be kept",
        "Remove it",
    ),
    ("half a pair", 'kind: program\nname: a\n"\\ud83d": b\n', 3, 1, "U+D83D, which cannot be kept", "Remove it"),
    ("a control character", "kind: program\nname: a\x07b\n", 2, 8, "YAML does not allow this character", "invisible"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "says", "remedy"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_problem_names_file_line_column_and_remedy(load, tmp_path, text, line, column, says, remedy):
    with pytest.raises(MappingError) as refused:
        load(text)

    problem = refused.value.problems[0]
    assert (problem.file, problem.line, problem.column) == (str(tmp_path / "a.yaml"), line, column)
    assert says in problem.text
    assert remedy in problem.remedy
    assert str(problem).startswith(f"{tmp_path}/a.yaml:{line}:{column}: ")
