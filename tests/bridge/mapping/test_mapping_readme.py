"""mappings/README.md and the code tell the same."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bridge.mapping import FactKind, load_folders
from bridge.mapping.costs import MAX_NESTED, MAX_VALUES
from bridge.mapping.expressions import MAX_LENGTH, ROW_VARIABLES, STATEMENT_VARIABLES
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.identities import OWN
from bridge.mapping.items import MAX_SECONDS
from bridge.mapping.kinds import KEYS_OF_ALL_FACTS, KEYS_OF_FACTS, ActivityMatch, LinkRule, Match, RosterFormat
from bridge.mapping.schemas import KINDS, SCHEMAS
from bridge.mapping.schemas.identity import _Alias
from bridge.mapping.syntax import MACROS, MAX_DEPTH

README = (Path(__file__).parents[3] / "mappings" / "README.md").read_text()


def table(heading):
    """Give the rows of the table whose first column is called so, by its first cell."""
    [found] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.splitlines()]
    return {row[0].strip("`| "): row[1].strip("| ") for row in rows}


def test_every_kind_of_fact_is_explained():
    assert list(table("fact")) == [kind.value for kind in FactKind]


def test_every_key_of_a_rule_is_explained_with_the_kinds_that_it_goes_with():
    [text] = re.findall(r"^\| key of a rule \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]
    told = {row[0].strip("`| "): re.findall(r"\w+", row[3]) for row in rows}

    keys = [*KEYS_OF_ALL_FACTS, *(key for keys in KEYS_OF_FACTS.values() for key in keys)]
    for key in keys:
        kinds = [kind.value for kind, allowed in KEYS_OF_FACTS.items() if key in allowed]
        assert sorted(told[key]) == (sorted(kinds) or ["all"]), key
    assert told.keys() == {*keys, "name", "fact", "required", "because"}


def test_every_key_of_a_match_is_explained():
    assert list(table("key of `match`")) == [field.name for field in fields(Match)]
    assert list(table("key of an activity")) == [field.name for field in fields(ActivityMatch)]


def test_every_variable_is_explained_in_the_words_of_the_code():
    [statement, row] = re.findall(r"^\| variable \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)

    for text, variables in ((statement, STATEMENT_VARIABLES), (row, ROW_VARIABLES)):
        assert text == "".join(f"| `{name}` | {what} |\n" for name, what in variables.items())


def test_every_function_is_explained_in_the_words_of_the_code():
    assert table("function") == {function.signature: function.description for function in FUNCTIONS.values()}


def test_every_kind_of_alias_and_every_format_of_rosters_is_explained():
    assert set(table("alias")) == set(_Alias().fields)
    assert set(table("format")) == set(RosterFormat)


def test_every_rule_by_which_aliases_meet_is_explained():
    told = {name.split(" ")[0] for name in table("rule")}

    assert told >= {"override", "roster", "link", *(rule for rule in LinkRule if rule != "exact"), OWN}


def test_every_kind_of_document_is_listed_with_who_validates_it():
    assert table("kind").keys() == KINDS
    assert SCHEMAS.keys() < KINDS


def test_every_shipped_file_is_listed():
    files = {path.name + "/" * path.is_dir() for path in (Path(__file__).parents[3] / "mappings").iterdir()}

    assert table("file").keys() == files - {"README.md"}


def test_the_limits_are_told_as_they_are():
    words = " ".join(README.split())

    assert f"an expression has up to {MAX_LENGTH:,} characters and {MAX_DEPTH} levels of brackets" in words
    assert f"Up to {MAX_NESTED} comprehensions" in words
    assert all(f"`{macro}`" in words for macro in MACROS)
    assert f"no item may hold more than {MAX_VALUES:,} values" in words
    assert f"have taken {MAX_SECONDS:g} second" in words


EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    others = [f"kind: source\nname: {name}\ntype: csv\n" for name in ("hr", "zendesk", "zendesk-agents", "crm")]
    others += ["kind: destination\nname: files\ntype: directory\n"]
    [profile] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (folder / "a.yaml").write_text("---\n".join([*EXAMPLES, *others]))
    (folder / "sales.jsonld").write_text(profile)
    return load_folders([folder])


def test_all_examples_together_validate(examples):
    assert len(EXAMPLES) == README.count("```yaml") > 4
    assert examples.programs["objection-handling"].metrics == ("hours_to_resolve",)


ANA, MO = {"mbox": "mailto:ana@example.com"}, {"mbox": "mailto:mo@example.com"}
ADL, VERBS = "http://adlnet.gov/expapi/verbs", "https://example.com/verbs"
COURSE = {"id": "c:1", "definition": {"type": "http://adlnet.gov/expapi/activities/course"}}
ACADEMY = {"platform": "Academy"}
VIDEO = ACADEMY | {
    "registration": "6f0f3f0e-3f36-4a80-9d4e-0c9d6d9b3c11",
    "contextActivities": {"grouping": [COURSE]},
}
FOLLOW_UP = {
    "contextActivities": {
        "category": [{"id": "https://example.com/follow-up"}],
        "parent": [{"id": "a:1", "definition": {"type": "https://example.com/types/survey"}}],
    }
}
BY_MO = {"by": "mbox:mailto:mo@example.com"}


def said(verb, context=None, *, actor=ANA, object=None, **result):  # noqa: A002 - as xAPI calls it
    return {
        "actor": actor,
        "verb": {"id": verb},
        "object": object or {"id": "x:1"},
        "result": result,
        "context": context or {},
        "timestamp": "2026-10-05T08:00:00Z",
    }


@pytest.mark.parametrize(
    ("statement", "rule", "value", "detail"),
    [
        (said(f"{ADL}/completed", object=COURSE), "my-lms/course-completed", None, {}),
        (
            said(
                f"{ADL}/experienced",
                VIDEO,
                object={"id": "https://academy.example.com/video/3"},
                extensions={"https://w3id.org/xapi/video/extensions/progress": 0.5},
            ),
            "our-academy/video-watched",
            0.5,
            {},
        ),
        (said(f"{ADL}/scored", ACADEMY, completion=True, score={"scaled": 0.4}), "our-academy/quiz-taken", 0.4, {}),
        (said(f"{VERBS}/used", FOLLOW_UP, response="so"), "after-the-course/used-it", None, {"what": "so"}),
        (
            said(f"{VERBS}/observed", FOLLOW_UP, actor=MO, object=ANA, score={"raw": 3}),
            "after-the-course/seen-by-manager",
            3,
            BY_MO,
        ),
        (
            said(
                f"{ADL}/answered",
                FOLLOW_UP,
                object={"id": "x:1", "definition": {"description": {"en": "Why?"}}},
                response="so",
            ),
            "after-the-course/survey-answered",
            None,
            {"question": "Why?", "answer": "so"},
        ),
        (said(f"{ADL}/answered", FOLLOW_UP, score={"raw": 4}), "after-the-course/survey-answered", 4, {}),
        (
            said(f"{VERBS}/planned", FOLLOW_UP, response="so", extensions={"https://example.com/due": "2026-11-01"}),
            "after-the-course/intends",
            None,
            {"what": "so", "due": "2026-11-01T00:00:00Z"},
        ),
        (
            said(f"{VERBS}/held-up", FOLLOW_UP, response="so", extensions={"https://example.com/reason": "time"}),
            "after-the-course/held-up",
            None,
            {"category": "time", "text": "so"},
        ),
        (
            said(f"{VERBS}/praised", FOLLOW_UP, actor=MO, object=ANA, response="so"),
            "after-the-course/praised",
            None,
            {"what": "so"} | BY_MO,
        ),
        (
            said(
                "https://example.com/sales/asked",
                object={"id": "x:1", "definition": {"type": "https://example.com/sales/call"}},
                score={"scaled": 0.8},
            ),
            "sales/asked-in-a-call",
            0.8,
            {},
        ),
    ],
)
def test_the_examples_of_learning_read_what_they_say(examples, statement, rule, value, detail):
    reading = examples.statement_reader.read(statement)

    assert reading.failures == []
    fact = reading.facts[0]
    assert (fact.rule, fact.alias_key) == (rule, "mbox:mailto:ana@example.com")
    assert (fact.value, fact.detail) == (value, detail)


def test_the_example_without_a_score_goes_into_quarantine_and_pages_are_left_out(examples):
    [failure] = examples.statement_reader.read(said(f"{ADL}/scored", ACADEMY, completion=True)).failures

    assert failure.reason == "it gave null, and this rule requires 'score'"
    assert examples.statement_reader.read(said(f"{ADL}/interacted", ACADEMY)).left_out == ["our-academy/page-turned"]
