"""What rules of each kind of fact read, and by what statements are matched."""

import json
from datetime import UTC, datetime

import pytest

from bridge.mapping import Documents, Failure, StatementReader

LMS = "https://lms.example.com"
ACTOR = {"objectType": "Agent", "name": "Ana", "account": {"homePage": LMS, "name": "3"}}
MANAGER = {"objectType": "Agent", "name": "Mo", "mbox": "mailto:Mo@example.com"}
QUIZ = "http://adlnet.gov/expapi/activities/assessment"
REGISTRATION = "6f0f3f0e-3f36-4a80-9d4e-0c9d6d9b3c11"
STATEMENT = {
    "id": "0b1e9f40-6a5c-4f9f-8f43-0b8f2d9a7f01",
    "actor": ACTOR,
    "verb": {"id": "https://verbs/done"},
    "object": {"id": f"{LMS}/quiz/43?x=1", "definition": {"type": QUIZ}},
    "result": {"response": "I ask first.", "duration": "PT1M30S", "score": {"raw": 4, "max": 5}},
    "context": {
        "registration": REGISTRATION.upper(),
        "platform": "Moodle",
        "instructor": MANAGER,
        "contextActivities": {
            "parent": {"id": f"{LMS}/section/9"},
            "grouping": [{"id": f"{LMS}/course/7", "definition": {"type": "https://types/course"}}],
            "category": [{"id": "https://profiles/sales/v1"}],
        },
    },
    "timestamp": "2026-10-05T08:00:00Z",
    "stored": "2026-10-06T00:00:00Z",
}


@pytest.fixture
def read(load):
    def read_with(rule, *, document="", **changes):
        rule = {"name": "r", "when": "true == true"} | rule
        text = f"kind: learning\nname: d\n{document}\nrules: [{json.dumps(rule)}]\n"
        return load(text).statement_reader.read(STATEMENT | changes)

    return read_with


# --- Kinds of facts


@pytest.mark.parametrize(
    ("rule", "value", "detail"),
    [
        ({"fact": "progressed", "progress": "fraction(result.score)"}, 0.8, {}),
        ({"fact": "completed", "score": "fraction(result.score)"}, 0.8, {}),
        ({"fact": "started", "duration": "result.duration"}, None, {"duration": 90.0}),
        ({"fact": "started", "duration": "90"}, None, {"duration": 90.0}),
        ({"fact": "started", "duration": "duration('90s')"}, None, {"duration": 90.0}),
        (
            {"fact": "applied", "what": "result.response", "by": "context.instructor"},
            None,
            {"what": "I ask first.", "by": "mbox:mailto:mo@example.com"},
        ),
        (
            {"fact": "observed", "level": "result.score.raw", "by": "context.instructor"},
            4.0,
            {"by": "mbox:mailto:mo@example.com"},
        ),
        (
            {"fact": "surveyed", "question": "'Was it useful?'", "answer": "result.response"},
            None,
            {"question": "Was it useful?", "answer": "I ask first."},
        ),
        ({"fact": "surveyed", "answer": "result.score.raw"}, 4.0, {}),
        ({"fact": "surveyed", "answer": "result.score.raw > 3"}, 1.0, {}),
        (
            {"fact": "committed", "what": "result.response", "due": "'2026-11-01T01:00:00+01:00'"},
            None,
            {"what": "I ask first.", "due": "2026-11-01T00:00:00Z"},
        ),
        (
            {"fact": "obstacle", "category": "'time'", "text": "result.response"},
            None,
            {"category": "time", "text": "I ask first."},
        ),
        (
            {"fact": "recognised", "what": "result.response", "by": "context.extensions.x"},
            None,
            {"what": "I ask first."},
        ),
    ],
)
def test_each_kind_keeps_its_value_and_puts_what_else_it_says_into_detail(read, rule, value, detail):
    [fact] = read(rule).facts

    assert (fact.kind, fact.value, fact.detail) == (rule["fact"], value, detail)


def test_the_learner_may_be_somebody_else_than_the_actor(read):
    rule = {"fact": "observed", "learner": "object", "activity": "parents[0]", "by": "actor"}

    [fact] = read(rule, object=MANAGER).facts

    assert (fact.alias_key, fact.actor_name) == ("mbox:mailto:mo@example.com", "Mo")
    assert fact.detail == {"by": f"account:{LMS}|3"}


@pytest.mark.parametrize("learner", ["context.extensions.x", "context.team"])
def test_without_anybody_to_tell_there_is_no_fact_and_no_failure_unless_a_learner_is_required(read, learner):
    crowd = {"objectType": "Group", "member": [ACTOR]}
    rule = {"fact": "started", "learner": learner}
    context = {"team": crowd}

    assert read(rule, context=context).facts == read(rule, context=context).failures == []
    [failure] = read(rule | {"required": ["learner"]}, context=context).failures
    assert failure == Failure("d/r", learner, "it gave null, and this rule requires 'learner'")
    assert read({"fact": "started"}, actor=crowd).failures == []
    [failure] = read({"fact": "started", "required": ["learner"]}, actor=crowd).failures
    assert failure.reason == "it is an anonymous group, and this rule requires 'learner'"


def test_without_a_learner_nothing_else_is_looked_at(read):
    rule = {
        "fact": "assessed",
        "activity": "parents[0]",
        "score": "result.score.raw",
        "learner": "context.extensions.x",
    }

    assert read(rule).failures == []
    assert len(read(rule | {"learner": "actor"}).failures) == 1


def test_the_time_may_be_another_one_and_falls_back_to_the_statements(read):
    assert read({"fact": "started", "occurred_at": "statement.stored"}).facts[0].occurred_at == datetime(
        2026, 10, 6, tzinfo=UTC
    )
    assert read({"fact": "started", "occurred_at": "result.extensions"}).facts[0].occurred_at == datetime(
        2026, 10, 5, 8, tzinfo=UTC
    )


def test_null_in_what_is_required_fails_the_rule(read):
    rule = {"fact": "assessed", "course": "parent('/nowhere/')", "required": ["course"]}

    reading = read(rule)

    assert reading.facts == []
    reason = "it gave null, and this rule requires 'course'"
    assert reading.failures == [Failure("d/r", "parent('/nowhere/')", reason)]
    assert len(read(rule | {"required": ["activity"]}).facts) == 1


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            {"fact": "started", "learner": "statement.verb.id"},
            "it gave a text ('https://verbs/done'), an agent is expected, like actor",
        ),
        (
            {"fact": "started", "learner": "object"},
            "it gave a map without mbox, mbox_sha1sum, openid or account; it is no agent",
        ),
        (
            {"fact": "progressed", "progress": "result.score.raw"},
            "it gave 4; 0 to 1 is expected: divide by 100.0",
        ),
        (
            {"fact": "observed", "level": "statement.verb.id"},
            "it gave a text ('https://verbs/done'), a finite number is expected",
        ),
        ({"fact": "started", "duration": "'P1Y'"}, "'P1Y' is no duration"),
        ({"fact": "committed", "what": "'x'", "due": "statement.verb.id"}, "'https://verbs/done' is no time"),
    ],
)
def test_a_value_of_the_wrong_kind_fails_the_rule(read, rule, reason):
    reading = read(rule)

    assert reading.facts == []
    assert reading.failures[0].reason.startswith(reason)


def test_what_is_left_out_on_purpose_gives_no_fact_but_is_known(load):
    documents = load(
        """\
        kind: learning
        name: d
        rules:
          - {name: noise, match: {verb: "https://verbs/done"}, fact: nothing, because: It is said twice.}
          - {name: other, match: {verb: "https://verbs/else"}, fact: nothing, because: Nobody asks.}
        """
    )

    reading = documents.statement_reader.read(STATEMENT)

    assert (reading.facts, reading.failures, reading.left_out) == ([], [], ["d/noise"])
    assert documents.rules == ()


# --- Matching

MATCHES = [
    # (match, whether it holds)
    ({"verb": "https://verbs/done"}, True),
    ({"verb": ["https://verbs/x", "https://verbs/done"]}, True),
    ({"verb": "https://verbs/x"}, False),
    ({"activity": {"id": f"{LMS}/quiz/43?x=1"}}, True),
    ({"activity": {"id": f"{LMS}/quiz/43"}}, False),
    ({"activity": {"prefix": f"{LMS}/quiz/"}}, True),
    ({"activity": {"prefix": [f"{LMS}/lesson/", f"{LMS}/quiz/"]}}, True),
    ({"activity": {"prefix": "quiz"}}, False),
    ({"activity": {"pattern": "/quiz/[0-9]+"}}, True),
    ({"activity": {"pattern": "^/quiz/"}}, False),
    ({"activity": {"pattern": ["^nowhere", r"x=1$"]}}, True),
    ({"activity": {"type": QUIZ}}, True),
    ({"activity": {"type": "https://types/course"}}, False),
    ({"activity": {"type": QUIZ, "prefix": f"{LMS}/lesson/"}}, False),
    ({"parent": {"prefix": f"{LMS}/section/"}}, True),
    ({"parent": {"prefix": f"{LMS}/course/"}}, False),
    ({"grouping": {"type": "https://types/course"}}, True),
    ({"grouping": {"type": "https://types/course", "prefix": f"{LMS}/section/"}}, False),
    ({"category": {"id": "https://profiles/sales/v1"}}, True),
    ({"other": {"pattern": "."}}, False),
    ({"context": {"prefix": f"{LMS}/course/"}}, True),
    ({"context": {"prefix": f"{LMS}/quiz/"}}, False),
    ({"registration": "present"}, True),
    ({"registration": "absent"}, False),
    ({"registration": REGISTRATION}, True),
    ({"registration": ["absent", REGISTRATION]}, True),
    ({"registration": "6f0f3f0e-3f36-4a80-9d4e-0c9d6d9b3c12"}, False),
    ({"platform": "Moodle"}, True),
    ({"platform": ["Canvas", "moodle"]}, False),
    ({"platform": "Mood"}, False),
    ({"verb": "https://verbs/done", "platform": "Canvas"}, False),
]


@pytest.mark.parametrize(("match", "holds"), MATCHES)
def test_all_keys_of_a_match_must_hold_by_any_of_their_texts(read, match, holds):
    rule = {"name": "r", "fact": "started", "match": match}
    del (with_match := dict(rule))["name"]

    assert len(read(with_match).facts) == holds
    assert len(read(with_match, document=f"match: {json.dumps(match)}").facts) == holds


@pytest.mark.parametrize(("match", "holds"), MATCHES)
def test_match_of_a_document_stands_for_each_of_its_rules(read, match, holds):
    assert len(read({"fact": "started"}, document=f"match: {json.dumps(match)}").facts) == holds


def test_match_and_when_must_both_hold(read):
    match = {"verb": "https://verbs/done"}

    assert len(read({"fact": "started", "match": match, "when": "type != ''"}).facts) == 1
    assert read({"fact": "started", "match": match, "when": "type == ''"}).facts == []
    assert read({"fact": "started", "match": match}, document="when: type == ''").facts == []


def test_no_registration_is_absent(read):
    for context in ({}, {"registration": None}, {"registration": 7}):
        assert len(read({"fact": "started", "match": {"registration": "absent"}}, context=context).facts) == 1
        assert read({"fact": "started", "match": {"registration": "present"}}, context=context).facts == []


@pytest.mark.parametrize("kind", ["Agent", "StatementRef", "SubStatement"])
def test_an_object_that_is_no_activity_is_matched_by_no_activity(read, kind):
    rule = {"fact": "started", "match": {"activity": {"pattern": "quiz"}}}

    assert read(rule, object={"objectType": kind, "id": "quiz"}).facts == []
    assert len(read(rule, object={"objectType": "Activity", "id": "quiz"}).facts) == 1


def test_a_documents_condition_that_fails_fails_each_rule_that_may_match(load):
    documents = load(
        """\
        kind: learning
        name: d
        when: 1 / size(event) == 1
        rules:
          - {name: a, match: {verb: "https://verbs/done"}, fact: started}
          - {name: b, match: {verb: "https://verbs/else"}, fact: started}
          - {name: c, match: {platform: Moodle}, fact: started}
        """
    )

    assert [failure.rule for failure in documents.statement_reader.read(STATEMENT).failures] == ["d/a", "d/c"]


# --- How rules are found, and what is told of them

FOUR = """\
kind: learning
name: d
match: {platform: Moodle}
rules:
  - {name: by-match, match: {verb: "https://verbs/done"}, fact: started}
  - {name: by-when, when: "verb == 'https://verbs/done' || verb == 'https://verbs/else'", fact: started}
  - {name: by-type, match: {activity: {type: "https://types/course"}}, fact: started}
  - {name: any, when: type != '', fact: completed, score: result.score.raw, required: [score]}
"""


def test_a_rule_tells_the_verbs_that_it_can_match(load):
    verbs = {rule.name: rule.verbs for rule in load(FOUR).rules}

    assert verbs == {
        "by-match": {"https://verbs/done"},
        "by-when": {"https://verbs/done", "https://verbs/else"},
        "by-type": None,
        "any": None,
    }


def test_the_verbs_of_a_documents_when_count_as_well(load):
    text = FOUR.replace("match: {platform: Moodle}", "when: verb == 'https://verbs/done'")

    assert {rule.verbs for rule in load(text).rules} == {frozenset({"https://verbs/done"})}


def test_patterns_that_take_too_long_fail_the_rules_after_them(load, monkeypatch):
    monkeypatch.setattr("bridge.mapping.matching.MAX_SECONDS", 0)
    documents = load(
        """\
        kind: learning
        name: d
        rules:
          - {name: a, match: {activity: {pattern: quiz}}, fact: started}
          - {name: b, match: {activity: {pattern: "4[3]"}}, fact: started}
        """
    )

    reading = documents.statement_reader.read(STATEMENT)
    [first, second] = documents.statement_reader.explain(STATEMENT)

    assert [fact.rule for fact in reading.facts] == ["d/a"]
    reason = "it took too long: the patterns before it took more than 0 s for this statement"
    assert reading.failures == [Failure("d/b", "pattern: 4[3]", reason)]
    assert (first.facts, second.failure) == (tuple(reading.facts), reading.failures[0])
    assert second.because == "match cannot be evaluated"


def test_verbs_of_a_document_and_of_its_rule_must_meet(load):
    text = FOUR.replace("match: {platform: Moodle}", 'match: {verb: ["https://verbs/else", "https://verbs/third"]}')

    verbs = {rule.name: rule.verbs for rule in load(text).rules}

    assert verbs["by-match"] == frozenset()
    assert verbs["by-when"] == {"https://verbs/else"}
    assert verbs["any"] == {"https://verbs/else", "https://verbs/third"}


def test_every_rule_is_explained_and_the_explanation_agrees_with_the_reading(load):
    documents = load(FOUR)

    traces = {trace.rule: trace for trace in documents.statement_reader.explain(STATEMENT)}

    assert list(traces) == ["d/by-match", "d/by-when", "d/by-type", "d/any"]
    assert traces["d/by-match"].because == "all conditions hold"
    assert [value.key for value in traces["d/by-when"].values] == ["when", "activity"]
    assert traces["d/by-when"].values[0].value is True
    assert (traces["d/by-type"].tried, traces["d/by-type"].matched) == (False, False)
    assert traces["d/by-type"].because == f"the type 'https://types/course' is expected, and there is '{QUIZ}'"
    failed = traces["d/any"]
    assert (failed.tried, failed.matched, failed.facts) == (True, True, ())
    assert failed.failure.reason == "it gave 4; 0 to 1 is expected: use fraction(result.score)"
    assert {value.key: value.value for value in failed.values}["score"] == 4
    reading = documents.statement_reader.read(STATEMENT)
    assert [fact for trace in traces.values() for fact in trace.facts] == reading.facts
    assert [trace.failure for trace in traces.values() if trace.failure] == reading.failures
    hashes = {f"d/{rule.name}": rule.content_hash for rule in documents.rules}
    assert {name: trace.content_hash for name, trace in traces.items()} == hashes


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        (
            {"context": {"platform": "Canvas"}},
            "document.match.platform does not hold: 'Moodle' is expected, and there is 'Canvas'",
        ),
        (
            {"context": {"platform": "Moodle"}},
            "match.grouping does not hold: prefix 'https://lms' is expected, and there is none",
        ),
        (
            {"context": {"platform": "Moodle", "contextActivities": {"grouping": [{"id": "https://x"}]}}},
            "match.grouping does not hold: prefix 'https://lms' is expected, and there is 'https://x'",
        ),
        (
            {"actor": {"objectType": "Group", "member": []}},
            "all conditions hold, but nobody can be told to be the learner",
        ),
        ({"result": {"success": False}}, "when is false"),
        ({"result": {}}, "when is null"),
    ],
)
def test_what_keeps_a_rule_from_a_fact_is_named(load, changes, because):
    documents = load(
        """\
        kind: learning
        name: d
        match: {platform: Moodle}
        rules: [{name: r, match: {grouping: {prefix: https://lms}}, when: result.success, fact: started}]
        """
    )
    statement = STATEMENT | {"result": {"success": True}} | changes

    [trace] = documents.statement_reader.explain(statement)

    assert trace.because == because
    assert documents.statement_reader.read(statement).facts == list(trace.facts) == []


def test_a_rule_that_leaves_out_says_why(load):
    [trace] = load(
        "kind: learning\nname: d\nrules: [{name: r, when: verb != '', fact: nothing, because: It comes twice.}]\n"
    ).statement_reader.explain(STATEMENT)

    assert (trace.matched, trace.because, trace.facts) == (True, "left out on purpose: It comes twice.", ())


def test_rules_are_remembered_for_a_bounded_number_of_verbs_only(load, monkeypatch):
    monkeypatch.setattr("bridge.mapping.statements._MOST_REMEMBERED", 3)
    reader = load(FOUR).statement_reader

    for number in range(10):
        reading = reader.read(STATEMENT | {"verb": {"id": f"https://verbs/{number}"}})
        assert len(reading.failures) == 1

    assert [fact.rule for fact in reader.read(STATEMENT).facts] == ["d/by-match", "d/by-when"]
    assert len(reader._candidates) == 3


def test_rules_of_very_long_verbs_are_not_remembered(load):
    reader = load(FOUR).statement_reader

    assert len(reader.read(STATEMENT | {"verb": {"id": "https://verbs/" + "x" * 1_000}}).failures) == 1
    assert reader._candidates == {}


# --- Content hashes

BASE = """\
kind: learning
name: d
when: verb != ''
rules:
  - {name: a, match: {verb: "https://verbs/done"}, fact: committed, what: verb, required: [what]}
  - {name: b, when: verb != 'x', fact: started}
"""


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("what: verb", "what: type", {"a"}),
        ("required: [what]", "required: [learner]", {"a"}),
        ("verbs/done", "verbs/else", {"a"}),
        ("verb != 'x'", "verb != 'y'", {"b"}),
        ("when: verb != ''", "match: {platform: Moodle}", {"a", "b"}),
        ("name: d\n", "name: d\ntitle: Other\n", set()),
        ("fact: started", "fact: started, activity: object.id", set()),
        ('"https://verbs/done"', '["https://verbs/done"]', set()),
    ],
)
def test_a_rules_hash_changes_with_what_decides_its_facts_and_only_then(load, before, after, changed):
    first = {rule.name: rule.content_hash for rule in load(BASE).rules}
    second = {rule.name: rule.content_hash for rule in load(BASE.replace(before, after, 1)).rules}

    assert {name for name in first if first[name] != second[name]} == changed


def test_a_reader_needs_no_hashes(load):
    documents = load(BASE)

    [first, _] = StatementReader(documents.learning).explain(STATEMENT)

    assert first.content_hash == ""
    assert isinstance(Documents.from_text(documents.to_text()).statement_reader, StatementReader)
