"""Each golden case: items, and the facts that the shipped documents, or the one beside it, must read out of them."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bridge.mapping import RecordReader, StatementReader, Version, load_folders

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = sorted(GOLDEN.glob("*/*.json"))


@pytest.fixture(scope="module")
def documents(shipped):
    """Give the documents for the cases of a folder: the shipped ones, but for a folder with a `mapping.yaml`."""
    return lambda folder: load_folders([folder]) if (folder / "mapping.yaml").exists() else shipped


def read(shipped, document, case):
    """Read a case's `item`, or a record's `versions`, numbered from 1, in which null stands for a deletion."""
    if document in [learning.name for learning in shipped.learning]:
        return StatementReader(one for one in shipped.learning if one.name == document).read(case["item"])
    versions = [Version(number, data) for number, data in enumerate(case.get("versions") or [case["item"]], 1)]
    return RecordReader(one for one in shipped.performance if one.name == document).read(versions)


def plain(fact):
    values = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    values["occurred_at"] = fact.occurred_at.isoformat().replace("+00:00", "Z")
    return {name: value for name, value in values.items() if value is not None and value != {}}


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_items_give_exactly_these_facts(documents, path):
    for case in json.loads(path.read_text())["cases"]:
        reading = read(documents(path.parent), path.parent.name, case)

        assert [plain(fact) for fact in reading.facts] == case["facts"]
        assert [plain(fact) for fact in getattr(reading, "history", [])] == case.get("history", [])
        assert getattr(reading, "left_out", []) == case.get("left_out", [])
        assert [asdict(failure) for failure in reading.failures] == case.get("failures", [])


def test_every_shipped_rule_has_a_golden_case_that_fires_it(shipped):
    paths = [path for path in CASES if not (path.parent / "mapping.yaml").exists()]
    cases = [case for path in paths for case in json.loads(path.read_text())["cases"]]
    fired = {fact["rule"] for case in cases for fact in case["facts"]}
    fired |= {rule for case in cases for rule in case.get("left_out", [])}

    learning = {f"{one.name}/{rule.name}" for one in shipped.learning for rule in one.rules}
    performance = {f"{one.name}/{rule.metric.name}" for one in shipped.performance for rule in one.metrics}
    assert fired == learning | performance


def test_every_golden_case_says_what_it_is_about():
    for path in CASES:
        golden = json.loads(path.read_text())

        assert golden["about"].endswith("."), path
        assert golden["cases"], path
