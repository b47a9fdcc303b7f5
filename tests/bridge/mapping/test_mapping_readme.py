"""mappings/README.md and the code tell the same."""

import re
from dataclasses import fields
from pathlib import Path

from bridge.mapping import FactKind, load_folders
from bridge.mapping.costs import MAX_NESTED, MAX_VALUES
from bridge.mapping.expressions import MAX_LENGTH, ROW_VARIABLES, STATEMENT_VARIABLES
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.items import MAX_SECONDS
from bridge.mapping.kinds import KEYS_OF_ALL_FACTS, KEYS_OF_FACTS, ActivityMatch, Match
from bridge.mapping.schemas import KINDS, SCHEMAS
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


def test_all_examples_together_validate(tmp_path):
    others = ["kind: source\nname: hr\ntype: csv\n", "kind: source\nname: zendesk\ntype: csv\n"]
    others += ["kind: destination\nname: files\ntype: directory\n"]
    [profile] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (tmp_path / "a.yaml").write_text("---\n".join([*EXAMPLES, *others]))
    (tmp_path / "sales.jsonld").write_text(profile)

    found = load_folders([tmp_path])

    assert len(EXAMPLES) == README.count("```yaml") > 4
    assert found.programs["objection-handling"].metrics == ("hours_to_resolve",)
