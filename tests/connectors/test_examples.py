"""The README's examples are the documents that people copy, so they must be right."""

from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from bridge.mapping import json_schema
from connectors import forms, load_destination, load_source
from connectors.destinations import DESTINATIONS
from connectors.sources import SOURCES

README = Path(__file__).parents[2] / "connectors" / "README.md"
EXAMPLES = [yaml.safe_load(part.partition("```")[0]) for part in README.read_text("utf-8").split("```yaml\n")[1:]]


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: document["name"])
def test_example_is_a_valid_document(document, tmp_path):
    load = {"source": load_source, "destination": load_destination}[document["kind"]]

    assert load(document, base=tmp_path).name == document["name"]


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: document["name"])
def test_editors_take_the_example(document):
    jsonschema_rs.validator_for(json_schema.of_kind(document["kind"], forms())).validate(document)


def test_every_type_has_an_example():
    assert {(document["kind"], document["type"]) for document in EXAMPLES} == {
        *(("source", name) for name in SOURCES),
        *(("destination", name) for name in DESTINATIONS),
    }
