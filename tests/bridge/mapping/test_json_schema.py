"""The JSON Schema for editors takes what `mapping validate` takes, and refuses the usual mistakes."""

import re
from pathlib import Path

import jsonschema_rs
import pytest

from bridge.mapping import json_schema, positions
from bridge.mapping.schemas import KINDS, SCHEMAS
from bridge.mapping.schemas.descriptions import KINDS as DESCRIBED_KINDS
from connectors import forms
from connectors.destinations import DESTINATIONS
from connectors.sources import SOURCES

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "mappings").glob("**/*.yaml"))
README = (ROOT / "mappings" / "README.md").read_text()


@pytest.fixture(scope="module")
def valid():
    everything = jsonschema_rs.validator_for(json_schema.of_all(forms()))
    by_kind = {kind: jsonschema_rs.validator_for(json_schema.of_kind(kind, forms())) for kind in KINDS}

    def tell(document):
        both = [everything.is_valid(document), by_kind[document["kind"]].is_valid(document)]
        assert both[0] == both[1]
        return both[0]

    return tell


def written(text):
    return [located.value for located in positions.read(text, "a.yaml")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_shipped_document_is_valid(valid, file):
    for document in written(file.read_text()):
        assert valid(document), document["name"]


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_every_example_is_valid(valid, text):
    for document in written(text):
        assert valid(document), document["name"]


RULE = "kind: learning\nname: a\nrules:\n  - {name: b, when: verb == 'x', fact: surveyed, answer: result.response}\n"
METRIC = """\
kind: performance
name: a
source: s
metrics: [{name: b, family: count, direction: up, owner: row.o, occurred_at: row.t, value: row.v}]
"""
ROSTER = "kind: identity\nname: a\nrosters: [{source: s, learner: row.id, aliases: [{mbox: row.mail}]}]\n"
PROGRAM = "kind: program\nname: a\ncourses: ['x:c']\ncompletion: {of: ['x:c']}\n"
SOURCE = "kind: source\nname: a\ntype: csv\npath: a.csv\nkey: id\nevery: 1h\ncolumns: {t: {type: datetime}}\n"
DESTINATION = "kind: destination\nname: a\ntype: directory\npath: out\n"


@pytest.mark.parametrize("text", [RULE, METRIC, ROSTER, PROGRAM, SOURCE, DESTINATION])
def test_these_are_valid_before_they_are_broken(valid, text):
    assert valid(*written(text))


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        (RULE, "name: a\n", ""),
        (RULE, "name: a\n", "name: An LMS\n"),
        (RULE, "rules:", "rule:"),
        (RULE, "answer: result.response", "anser: result.response"),
        (RULE, "answer: result.response", "answer: 7"),
        (RULE, "answer: result.response", "answer: result.response, score: result.score.raw"),
        (RULE, ", answer: result.response", ""),
        (RULE, "surveyed", "asked"),
        (RULE, "surveyed, answer: result.response", "nothing"),
        (RULE, "when: verb == 'x', ", ""),
        (RULE, "when: verb == 'x'", "match: {}"),
        (RULE, "when: verb == 'x'", "match: {verbs: 'v:a'}"),
        (RULE, "when: verb == 'x'", "match: {verb: []}"),
        (RULE, "when: verb == 'x'", "match: {activity: {kind: a}}"),
        (METRIC, "family: count", "family: counts"),
        (METRIC, "owner: row.o", "owner: {is: row.o, at_the_time: row.o}"),
        (METRIC, "owner: row.o", "owner: {as: email}"),
        (METRIC, "owner: row.o, ", ""),
        (METRIC, "metrics: [", "money: {base: USD, rates: {EUR: -1}}\nmetrics: ["),
        (METRIC, "metrics: [", "calendar: {hours: '09:00-17:00'}\nmetrics: ["),
        (ROSTER, "{mbox: row.mail}", "{mbox: row.mail, openid: row.id}"),
        (ROSTER, "{mbox: row.mail}", "{phone: row.phone}"),
        (ROSTER, ", aliases: [{mbox: row.mail}]", ""),
        (PROGRAM, "courses: ['x:c']", "courses: 'x:c'"),
        (PROGRAM, "courses: ['x:c']", "courses: ['7']"),
        (PROGRAM, "courses: ['x:c']", "courses: []"),
        (PROGRAM, "courses: ['x:c']", "courses: ['x:c']\nwindow_days: '90'"),
        (PROGRAM, "{of: ['x:c']}", "{of: ['x:c'], need: some}"),
        (SOURCE, "path: a.csv", "file: a.csv"),
        (SOURCE, "type: csv", "type: cvs"),
        (SOURCE, "every: 1h", "every: hourly"),
        (SOURCE, "type: datetime", "type: time"),
        (DESTINATION, "path: out\n", ""),
    ],
)
def test_the_usual_mistakes_are_not_valid(valid, text, before, after):
    assert before in text

    assert not valid(*written(text.replace(before, after)))


def test_a_document_of_no_kind_or_an_unknown_one_is_not_valid():
    everything = jsonschema_rs.validator_for(json_schema.of_all(forms()))

    for document in ({"name": "a"}, {"kind": "lerning", "name": "a"}, [], "learning"):
        assert not everything.is_valid(document)


def keys(part, path=""):
    """Give every key that the schema knows, with what it says of it."""
    if isinstance(part, dict):
        for name, inner in part.get("properties", {}).items():
            if isinstance(inner, dict) and inner.keys() - {"const"}:
                yield f"{path}.{name}", inner
        for name, inner in part.items():
            yield from keys(inner, f"{path}.{name}")
    elif isinstance(part, list):
        for number, inner in enumerate(part):
            yield from keys(inner, f"{path}[{number}]")


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_every_key_is_described(kind):
    found = dict(keys(json_schema.of_kind(kind, forms())))

    assert len(found) > 4
    assert [path for path, about in found.items() if "description" not in about] == []


def test_every_kind_and_every_type_has_a_schema():
    assert DESCRIBED_KINDS.keys() == KINDS
    assert forms()["source"].keys() == SOURCES.keys()
    assert forms()["destination"].keys() == DESTINATIONS.keys()


def test_the_schema_says_itself_what_it_is():
    schema = json_schema.of_all(forms())

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)
