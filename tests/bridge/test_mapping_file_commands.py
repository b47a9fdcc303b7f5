"""`lrs-bridge mapping schema|profile`: what an editor gets, and how a profile comes among the documents."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema_rs
import pytest
from click.testing import CliRunner, Result
from company import Company, done
from sqlalchemy import text

from bridge import cli, documents, jobs
from bridge.mapping import load_folders
from bridge.settings import document_folders, shipped
from lrs import db

PROFILE = {
    "id": "https://example.com/sales",
    "type": "Profile",
    "prefLabel": {"en": "Sales talks"},
    "versions": [{"id": "https://example.com/sales/v1"}],
    "concepts": [
        {"id": "https://example.com/sales/asked", "type": "Verb", "prefLabel": {"en": "asked"}},
        {"id": "https://example.com/sales/meeting", "type": "ActivityType"},
        {"id": "https://example.com/sales/mood", "type": "ContextExtension"},
    ],
    "templates": [
        {"id": "https://example.com/sales/t1", "type": "StatementTemplate", "verb": "https://example.com/sales/asked"}
    ],
}

Call = Callable[..., Result]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run a command in this process, in an empty folder, without settings."""
    monkeypatch.chdir(tmp_path)
    for variable in ("LRS_BRIDGE_MAPPINGS", "LRS_BRIDGE_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", *arguments])
        return CliRunner().invoke(cli.commands, arguments)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A downloaded profile."""
    path = tmp_path / "sales.json"
    path.write_text(json.dumps(PROFILE))
    return path


def test_the_schema_of_all_kinds_or_of_one_is_printed(call: Call) -> None:
    everything = json.loads(call("mapping", "schema", "--json").stdout)
    report = json.loads(call("mapping", "schema", "report").stdout)

    document = {"kind": "report", "name": "r", "program": "p"}
    for schema in (everything, report):
        assert jsonschema_rs.validator_for(schema).is_valid(document)
        assert not jsonschema_rs.validator_for(schema).is_valid(document | {"programme": "p"})


def test_an_unknown_kind_is_a_wrong_call_that_names_the_nearest(call: Call) -> None:
    result = call("mapping", "schema", "lerning")

    assert result.exit_code == 2
    assert "There are no documents of kind 'lerning'. Did you mean 'learning'?" in result.stderr


def test_a_profile_is_listed_and_kept_in_the_data_directory(call: Call, file: Path) -> None:
    result = call("mapping", "profile", str(file))

    assert result.exit_code == 0
    kept = Path("lrs-bridge-data/mappings/sales.jsonld")
    assert result.stdout == (
        "Sales talks (https://example.com/sales)\n\n"
        "Verbs:\n  https://example.com/sales/asked  asked\n\n"
        "Activity types:\n  https://example.com/sales/meeting\n\n"
        "Templates:\n  https://example.com/sales/t1\n\n"
        f"Kept as {kept}.\n"
    )
    assert json.loads(kept.read_text()) == PROFILE
    folders = document_folders((), Path("lrs-bridge-data"))
    assert folders == (shipped("mappings"), kept.parent)
    assert list(load_folders(folders).profiles.templates) == ["https://example.com/sales/t1"]


def test_machines_get_the_same(call: Call, file: Path) -> None:
    offer = json.loads(call("mapping", "profile", str(file), "--json").stdout)

    assert offer == {
        "valid": True,
        "profile": "https://example.com/sales",
        "title": "Sales talks",
        "versions": ["https://example.com/sales/v1"],
        "verbs": [{"id": "https://example.com/sales/asked", "title": "asked"}],
        "activity_types": [{"id": "https://example.com/sales/meeting", "title": ""}],
        "templates": [
            {
                "id": "https://example.com/sales/t1",
                "title": "",
                "verb": "https://example.com/sales/asked",
                "activity_type": None,
                "rules": 0,
            }
        ],
        "other_concepts": {"ContextExtension": 1},
        "file": "lrs-bridge-data/mappings/sales.jsonld",
        "is_read": True,
    }


def test_the_first_named_folder_comes_before_the_data_directory(
    call: Call, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRS_BRIDGE_MAPPINGS", f"{tmp_path}/mine:{tmp_path}/theirs")

    call("mapping", "profile", str(file))

    assert (tmp_path / "mine" / "sales.jsonld").is_file()
    assert not (tmp_path / "lrs-bridge-data").exists()


def test_a_folder_that_is_not_read_is_said_to_be_none(call: Call, file: Path, tmp_path: Path) -> None:
    result = call("mapping", "profile", str(file), "--into", "elsewhere")

    assert (tmp_path / "elsewhere" / "sales.jsonld").is_file()
    assert "elsewhere is not among the folders that are read: name it in LRS_BRIDGE_MAPPINGS." in result.stdout
    assert json.loads(call("mapping", "profile", str(file), "--into", "elsewhere", "--json").stdout)["is_read"] is False


def test_a_broken_profile_is_told_with_its_place_and_kept_nowhere(call: Call, file: Path, tmp_path: Path) -> None:
    file.write_text(json.dumps(PROFILE | {"type": "profile"}, indent=1))

    result = call("mapping", "profile", str(file))
    as_json = json.loads(call("mapping", "profile", str(file), "--json").stdout)

    assert result.exit_code == 1
    assert result.stderr == f"{file}:3:10: 'profile' is no type that is known here. Did you mean 'Profile'?\n"
    assert (as_json["valid"], as_json["problems"][0]["line"]) == (False, 3)
    assert not (tmp_path / "lrs-bridge-data").exists()


def test_documents_of_the_data_directory_are_validated_when_no_folder_is_named(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "mappings"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("kind: lerning\nname: a\n")

    with_data = call("mapping", "validate", "--data-dir", str(tmp_path / "data"))

    assert with_data.exit_code == 1
    assert f"{folder}/a.yaml:1:7: 'lerning' is no kind of document." in with_data.stderr
    assert call("mapping", "validate").exit_code == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "people.yaml").write_text("kind: identity\nname: people\n")
    assert call("mapping", "validate", str(other), "--data-dir", str(tmp_path / "data")).exit_code == 0


def test_a_profile_in_force_works_without_its_file(company: Company) -> None:
    company.write("sales.jsonld", json.dumps(PROFILE))
    company.write(
        "sales.yaml",
        "kind: learning\nname: sales\nrules:\n"
        "  - {name: asked, match: {template: https://example.com/sales/t1}, fact: applied, what: result.response}\n",
    )
    jobs.load_documents()
    (company.folder / "sales.jsonld").unlink()
    jobs.load_documents()
    asked = done() | {"verb": {"id": "https://example.com/sales/asked"}, "result": {"response": "I asked."}}

    company.post(asked)
    company.work()

    [problem] = documents.problems(db.session)
    assert "There is no template 'https://example.com/sales/t1'" in problem.text
    rows = db.session.execute(text("select rule, detail from counted_fact")).all()
    assert [(row.rule, row.detail) for row in rows] == [("sales/asked", {"what": "I asked."})]
