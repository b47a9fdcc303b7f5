"""A program is a contract: what it must say before it may be launched."""

import pytest

from bridge.mapping import Document, Documents, MappingError
from bridge.mapping.contracts import changes, contract_hash, gaps, warnings
from bridge.mapping.kinds import Change
from bridge.mapping.positions import read

METRIC = """
kind: performance
name: crm
source: crm
metrics: [{name: won, title: Won, unit: share, family: binary, direction: up,
  owner: row.o, occurred_at: row.t, value: row.v}]
---
"""
WHOLE = """
kind: program
name: objections
title: Objections
problem: Every second deal is lost after the first objection.
causes: [capability]
stakes: About 40 deals a quarter.
sponsor: Dana Cole, Sales
owner: Ines Prat, Learning
population: {role: [sales, support]}
metrics:
  - {metric: won, primary: true, target: 3%, horizon_weeks: 16}
behaviours:
  - name: asks-back
    does: asks a question before naming a price
    evidence: {fact: observed, activities: ["x:checklist"]}
    within_days: 21
skills:
  - {name: objections, moments: [first objection], activities: ["x:quiz"], required: 0.7}
courses: ["x:course"]
completion: {of: ["x:course"]}
"""


def documents(text):
    return Documents.of(_documents(METRIC + text))


def _documents(text):
    for number, located in enumerate(read(text, "a.yaml")):
        data = located.value
        yield Document(kind=data["kind"], name=data["name"], data=data, file=f"a{number}.yaml", folder="/")


def program(text):
    found = documents(text)
    return found.programs["objections"], found.metrics


def without(key):
    lines, kept, leaving = WHOLE.strip("\n").split("\n"), [], False
    for line in lines:
        if not line.startswith(" "):
            leaving = line.startswith(f"{key}:")
        if not leaving:
            kept.append(line)
    return "\n".join(kept)


def test_a_whole_contract_has_no_gaps_and_says_what_it_was_given():
    found, metrics = program(WHOLE)
    assert gaps(found, metrics) == ()
    assert warnings(found) == ()
    assert found.metrics == ("won",)
    assert (found.primary.target, found.primary.is_share) == (0.03, True)
    assert (found.primary.horizon_weeks, found.primary.interim_weeks) == (16, 4)
    assert found.behaviours[0].within_days == 21
    assert [touch.after_days for touch in found.reinforcement] == [14, 30, 90]
    assert found.population == {"role": ("sales", "support")}


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("problem", "What is the performance problem?"),
        ("causes", "Is it a lack of capability, or something else?"),
        ("stakes", "What is protected or gained?"),
        ("sponsor", "Who outside of training answers for the outcome?"),
        ("owner", "Who runs the program?"),
        ("population", "Whose performance should change?"),
        ("metrics", "Which measure of performance should move?"),
        ("behaviours", "What will people do differently?"),
    ],
)
def test_each_part_that_is_missing_is_asked_for_and_nothing_else(key, told):
    found = gaps(*program(without(key)))
    assert [gap.text for gap in found] == [told]
    assert found[0].path == (key,)
    assert found[0].remedy


def test_a_contract_can_be_written_before_there_is_a_course():
    text = without("courses").replace('completion: {of: ["x:course"]}', "")
    assert [gap.path for gap in gaps(*program(text))] == [("courses",)]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("primary: true, ", "", ("metrics",)),
        ("target: 3%, ", "", ("metrics", 0, "target")),
        ('    evidence: {fact: observed, activities: ["x:checklist"]}\n', "", ("behaviours", 0, "evidence")),
        ("does: asks a question", "does: understands the question", ("behaviours", 0, "does")),
        ("does: asks a question", "does: Is aware of it", ("behaviours", 0, "does")),
    ],
)
def test_what_nobody_could_check_is_a_gap_at_its_place(old, new, path):
    assert old in WHOLE
    assert [gap.path for gap in gaps(*program(WHOLE.replace(old, new)))] == [path]


def test_a_verb_that_only_begins_alike_can_be_seen():
    found, metrics = program(WHOLE.replace("asks a question", "learnt-by-heart phrases are said"))
    assert gaps(found, metrics) == ()


@pytest.mark.parametrize(
    ("causes", "words"),
    [
        ("[process]", "not capability"),
        ("[capability, tool]", "tool"),
        ("[workload, authority]", "workload and authority"),
    ],
)
def test_causes_other_than_capability_are_a_warning_and_no_gap(causes, words):
    found, metrics = program(WHOLE.replace("[capability]", causes))
    assert gaps(found, metrics) == ()
    assert words in warnings(found)[0]


@pytest.mark.parametrize(
    ("old", "new", "told", "place"),
    [
        ("target: 3%", "target: 0%", "is no size of a change", ("target",)),
        ("target: 3%", "target: -3", "is no number above 0", ("target",)),
        ("target: 3%", "target: much", "is no size of a change", ("target",)),
        ("horizon_weeks: 16", "horizon_weeks: 3", "later than the horizon", None),
        ("metric: won", "metric: wone", "There is no metric called 'wone'", None),
        ("fact: observed", "fact: completed", "shows nothing of what they do", None),
        ("fact: observed", "fact: surveyed", "shows nothing of what they do", None),
        ("{fact: observed, ", "{metric: won, fact: observed, ", "either a metric or facts", None),
        ("  - {metric: won", "  - won\n  - {metric: won", "stands twice", None),
        ("required: 0.7", "required: 7", "out of range", None),
        ("causes: [capability]", "causes: [lazyness]", "cannot stand in `causes`", None),
        ('completion: {of: ["x:course"]}', "", "The key 'completion' is missing", None),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(old, new, told, place):
    assert old in WHOLE
    with pytest.raises(MappingError) as refused:
        program(WHOLE.replace(old, new))
    assert told in str(refused.value)


def test_two_primary_metrics_are_refused():
    more = METRIC.replace("name: crm\n", "name: more\n").replace("{name: won", "{name: lost")
    text = WHOLE.replace("  - {metric: won", "  - {metric: lost, primary: true}\n  - {metric: won")
    with pytest.raises(MappingError, match="A second primary metric"):
        Documents.of(_documents(METRIC + more + text))


def test_what_else_changed_and_how_evidence_is_weighed_are_no_part_of_the_contract():
    agreed, _ = program(WHOLE)
    now, _ = program(
        f"{WHOLE}changes: [{{date: 2026-03-02, what: another form, teams: [North], metrics: [won]}}]\n"
        "readiness: {half_life_weeks: 8, told: 0}\n"
    )
    assert now.changes == (Change("2026-03-02", "another form", ("North",), ("won",)),)
    assert (now.readiness.half_life_weeks, now.readiness.told, now.readiness.real) == (8, 0, None)
    assert changes(agreed, now) == ()
    assert contract_hash(agreed) == contract_hash(now)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("changes: [{what: another form}]", "The key 'date' is missing"),
        ("changes: [{date: 2026-02-30, what: another form}]", "'2026-02-30' is no date"),
        ("changes: [{date: 2026-02-03, what: another form, teams: []}]", "teams"),
        ("readiness: {told: 1.5}", "is no weight"),
        ("readiness: {told: -0.1}", "is no weight"),
        ("readiness: {told: true}", "is no weight"),
        ("readiness: {told: .nan}", "is no weight"),
        ("readiness: {completed: 0.5}", "completed"),
        ("readiness: {half_life_weeks: 0}", "0 is out of range"),
        ("readiness: {half_life_weeks: 100000}", "100000 is out of range"),
    ],
)
def test_a_change_without_a_day_and_a_weight_out_of_range_are_refused(text, message):
    with pytest.raises(MappingError) as error:
        program(f"{WHOLE}{text}\n")
    assert message in str(error.value)
