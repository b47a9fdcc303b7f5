"""How rules read one statement, whatever it holds."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mapping import Failure, load_folders
from bridge.mapping.aliases import of_actor

ACTOR = {"objectType": "Agent", "name": "Ana", "account": {"homePage": "https://lms", "name": "3"}}
STATEMENT = {
    "actor": ACTOR,
    "verb": {"id": "https://verbs/completed"},
    "object": {"id": "https://lms/lesson/1"},
    "timestamp": "2026-10-05T10:00:00+02:00",
    "stored": "2026-10-06T00:00:00Z",
}


@pytest.fixture
def read(load):
    def read_with(rules, **changes):
        return load(f"kind: learning\nname: lms\nrules: {rules}\n").statement_reader.read(STATEMENT | changes)

    return read_with


DONE = "{name: done, fact: completed, when: verb == 'https://verbs/completed'}"


def test_a_fact_says_who_what_and_when(read):
    [fact] = read(f"[{DONE}]").facts

    assert fact.rule == "lms/done"
    assert fact.kind == "completed"
    assert fact.alias_key == "account:https://lms|3"
    assert fact.actor_name == "Ana"
    assert fact.occurred_at == datetime(2026, 10, 5, 8, tzinfo=UTC)
    assert fact.activity == "https://lms/lesson/1"
    assert (fact.course, fact.attempt, fact.value, fact.success) == (None, None, None, None)


def test_every_rule_that_matches_gives_a_fact(read):
    rules = [
        DONE,
        "{name: seen, fact: progressed, when: object.id != ''}",
        "{name: no, fact: started, when: verb == ''}",
    ]

    assert [fact.rule for fact in read(f"[{', '.join(rules)}]").facts] == ["lms/done", "lms/seen"]


def test_a_rule_that_fails_gives_no_fact_and_the_others_go_on(read):
    reading = read(f"[{{name: bad, fact: started, when: 1 / size(event) == 1}}, {DONE}]")

    assert [fact.rule for fact in reading.facts] == ["lms/done"]
    assert reading.failures == [Failure("lms/bad", "1 / size(event) == 1", "division by zero in CEL expression")]


@pytest.mark.parametrize(
    ("key", "source", "reason"),
    [
        ("score", "result.score.raw", "it gave 80; 0 to 1 is expected: use fraction(result.score)"),
        ("success", "result.score.raw", "it gave a number ('80'), true or false is expected"),
        ("activity", "parent('/quiz/')", "it gave null, and a fact must be about an activity"),
    ],
)
def test_a_value_that_a_fact_cannot_have_fails_the_rule(read, key, source, reason):
    rules = f"[{{name: a, fact: assessed, when: verb != '', {key}: {source}}}]"

    reading = read(rules, result={"score": {"raw": 80, "max": 100}})

    assert reading.facts == []
    assert reading.failures == [Failure("lms/a", source, reason)]


def test_a_progress_in_percent_fails_with_what_to_do(read):
    rules = "[{name: a, fact: progressed, when: verb != '', progress: result.score.raw}]"

    [failure] = read(rules, result={"score": {"raw": 80}}).failures

    assert failure.reason == "it gave 80; 0 to 1 is expected: divide by 100.0"


def test_the_time_stored_stands_in_for_a_missing_timestamp(read):
    [fact] = read(f"[{DONE}]", timestamp=None).facts

    assert fact.occurred_at == datetime(2026, 10, 6, tzinfo=UTC)


def test_a_timestamp_that_is_none_fails(read):
    [failure] = read(f"[{DONE}]", timestamp="soon").failures

    assert failure == Failure(
        "lms/done", "timestamp", "'soon' is no time as ISO 8601 has it, like 2026-10-05T08:00:00Z"
    )


def test_parents_come_before_groupings_and_may_stand_alone(read):
    contexts = {
        "contextActivities": {"grouping": [{"id": "https://lms/course/9"}], "parent": {"id": "https://lms/course/7"}}
    }

    [fact] = read(
        "[{name: a, fact: started, when: size(parents) == 2, course: parent('/course/')}]", context=contexts
    ).facts

    assert fact.course == "https://lms/course/7"


@pytest.mark.parametrize(
    ("actor", "key"),
    [
        ({"mbox": "mailto:Ana@Example.com"}, "mbox:mailto:ana@example.com"),
        ({"mbox_sha1sum": "ABCDEF"}, "mbox_sha1sum:abcdef"),
        ({"openid": "https://ana.example.com/"}, "openid:https://ana.example.com/"),
        ({"account": {"homePage": "https://LMS", "name": "Ana"}}, "account:https://LMS|Ana"),
        ({"objectType": "Group", "mbox": "mailto:team@example.com"}, "mbox:mailto:team@example.com"),
        ({"objectType": "Group", "member": [ACTOR]}, None),
        ({"account": {"homePage": "https://lms"}}, None),
        ({"account": {"homePage": "https://lms", "name": 3}}, None),
        ({"mbox": None, "account": "x"}, None),
        ({}, None),
    ],
)
def test_an_actor_is_one_canonical_alias_or_none(actor, key):
    assert of_actor(actor) == key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=6), children, max_size=4),
    max_leaves=12,
)
WHO = ["actor", "id", "mbox", "account", "name"]
WHAT = ["verb", "object", "definition", "type", "result", "score", "raw", "min", "max", "timestamp", "stored"]
WHERE = ["context", "contextActivities", "parent", "category", "extensions", "registration", "attachments"]
KEYS = [*WHO, *WHAT, *WHERE]
NEARLY = st.recursive(
    JSON, lambda children: st.dictionaries(st.sampled_from(KEYS), children, max_size=6), max_leaves=30
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Rules that touch all that can be touched."""
    folder = tmp_path_factory.mktemp("rules")
    whens = [
        "verb != 'x'", "result.score.raw > 0", "statement.actor.name.size() > 1", "parents.exists(p, p.contains('a'))",
        "fraction(result.score) > 0.5", "text(object.definition.name) == 'a'", "duration_seconds(result.duration) > 1",
        "hours(statement.timestamp, statement.stored) > 1.0", "timestamp(statement.timestamp) > timestamp(event)",
    ]  # fmt: skip
    rules = [
        {"name": f"r{number}", "when": when, "fact": "assessed", "activity": "verb + object.id", "course": "type",
         "score": "fraction(result.score)", "success": "result.success", "attempt": "parent('a')"}
        for number, when in enumerate(whens)
    ]  # fmt: skip
    activity = {"id": ["a:b", "x:y"], "prefix": "", "pattern": "a|$", "type": "a:b"}
    matches = [{"verb": ["a:b"], "platform": "a"}, {"registration": ["absent", "present"]}, {"template": "t:a"}]
    matches += [{"profile": "p:a"}, *({role: {key: text}} for role in ROLES for key, text in activity.items() if text)]
    rules += [
        {
            "name": f"m{number}",
            "match": match,
            "fact": "observed",
            "learner": "object",
            "by": "actor",
            "level": "result.extensions.x",
        }
        for number, match in enumerate(matches)
    ]
    (folder / "a.yaml").write_text(json.dumps({"kind": "learning", "name": "all", "rules": rules}))
    locations = ["$..*", "context.contextActivities.parent[*].id", "object['id','definition']", "$.*"]
    template = {
        "id": "t:a", "type": "StatementTemplate", "attachmentUsageType": [],
        "rules": [{"location": location, "none": ["a", {"id": 1}]} for location in locations],
    }  # fmt: skip
    profile = {"id": "p:a", "type": "Profile", "templates": [template]}
    (folder / "p.jsonld").write_text(json.dumps(profile))
    return load_folders([folder])


ROLES = ["activity", "parent", "grouping", "category", "other", "context"]


@given(st.dictionaries(st.sampled_from(KEYS), NEARLY, max_size=8), st.booleans())
def test_no_statement_makes_reading_raise_and_it_is_explained_as_it_is_read(everything, statement, with_actor):
    if with_actor:
        statement["actor"] = ACTOR

    reading = everything.statement_reader.read(statement)

    assert len(reading.facts) + len(reading.failures) <= len(everything.learning[0].rules)
    for fact in reading.facts:
        assert fact.occurred_at.tzinfo is UTC
        assert fact.kind == "observed" or fact.value is None or 0 <= fact.value <= 1
    traces = everything.statement_reader.explain(statement)
    assert [fact for trace in traces for fact in trace.facts] == reading.facts
    assert [trace.failure for trace in traces if trace.failure] == reading.failures
