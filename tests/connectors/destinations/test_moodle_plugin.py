"""The Moodle plugin, as far as it can be checked without a Moodle; its PHPUnit tests need one (its README)."""

import json
import re
import shutil
import subprocess
import zipfile
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from connectors.destinations.moodle_plugin import pack
from connectors.destinations.rows import FEEDS, Outcome

PLUGIN = pack.PLUGIN
PHP = sorted(PLUGIN.rglob("*.php"))
TEMPLATES = sorted(PLUGIN.glob("templates/*.mustache"))
STRINGS = dict(
    re.findall(r"^\$string\['(.+?)'\] = '(.+)';$", (PLUGIN / "lang/en/local_lrsbridge.php").read_text(), re.MULTILINE)
)
NEWER_THAN_PHP_74 = (
    r"\?->|\bmatch \(|\bstr_(contains|starts_with|ends_with)\(|\barray_is_list\(|\benum \w+ *[:{]"
    r"|\): (mixed|static|never)\b"
)


def source(*names: str) -> str:
    return "\n".join((PLUGIN / name).read_text() for name in names)


def test_packing_twice_gives_the_same_bytes_with_the_plugin_at_the_top(tmp_path: Path) -> None:
    first, second = pack.pack(tmp_path / "a"), pack.pack(tmp_path / "b")

    assert first.read_bytes() == second.read_bytes()
    assert first.name == f"local_lrsbridge-{pack.release()}.zip"
    names = zipfile.ZipFile(first).namelist()
    assert {name.partition("/")[0] for name in names} == {"lrsbridge"}
    assert {"lrsbridge/version.php", "lrsbridge/db/install.xml", "lrsbridge/README.md"} <= set(names)


@pytest.mark.parametrize("path", [*PHP, *TEMPLATES], ids=lambda path: str(path.relative_to(PLUGIN)))
def test_every_file_says_whose_licence_it_is_under(path: Path) -> None:
    assert "GNU General Public License" in path.read_text()[:700]


@pytest.mark.parametrize("path", PHP, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_no_file_needs_more_than_the_php_of_moodle_4_1(path: Path) -> None:
    assert not re.findall(NEWER_THAN_PHP_74, path.read_text())


def test_strings_are_sorted_and_every_one_that_is_named_is_there() -> None:
    assert all(before < after for before, after in pairwise(STRINGS))
    code = "\n".join(path.read_text() for path in [*PHP, *TEMPLATES] if "lang" not in path.parts)
    named = set(re.findall(r"(?:get_string|new lang_string)\('([\w:]+)',\s*'local_lrsbridge'", code))
    named |= set(re.findall(r"\{\{#str\}\}(\w+), local_lrsbridge", code))
    named |= set(re.findall(r"'(problem\w+)'", source("classes/bridge.php", "classes/puller.php")))
    named |= set(re.findall(r"'(test\w+)'", source("classes/connection_test.php")))
    named |= {name.replace("local/", "") for name in re.findall(r"'(local/lrsbridge:\w+)'", source("db/access.php"))}
    assert len(named) > 100
    assert named <= set(STRINGS)
    # Those that are put together from parts are named by their beginnings.
    made = ("column", "feed", "page", "privacy:metadata:", "mode", "direction")
    used = set(re.findall(r"\w+(?::\w+)*", code))
    assert not {name for name in STRINGS if name not in used and not name.startswith(made)}


def test_upgrade_ends_at_the_version_of_the_plugin() -> None:
    (version,) = re.findall(r"\$plugin->version = (\d{10});", source("version.php"))
    steps = re.findall(r"if \(\$oldversion < (\d{10})\)", source("db/upgrade.php"))
    saved = re.findall(r"upgrade_plugin_savepoint\(true, (\d{10}), 'local', 'lrsbridge'\)", source("db/upgrade.php"))

    assert steps == saved == sorted(steps)
    assert max(steps) <= version
    assert f'VERSION="{max(steps)}"' in source("db/install.xml")


def test_tables_have_the_columns_that_rows_are_stored_in() -> None:
    tables = {
        table.attrib["NAME"]: {field.attrib["NAME"] for field in table.iter("FIELD")}
        for table in ET.fromstring(source("db/install.xml")).iter("TABLE")  # noqa: S314 - our own file
    }
    feeds = re.split(r"\n        '(\w+)' => \[\n", source("classes/feed.php"))[1:]

    assert all(re.fullmatch(r"local_lrsbridge_[a-z]+", name) for name in tables)
    assert sorted(feeds[::2]) == sorted(FEEDS)
    for body in feeds[1::2]:
        (table,) = re.findall(r"'table' => '(\w+)'", body)
        columns = set(re.findall(r"\['(\w+)', '\w+', self::", body))
        assert columns < tables[table]
        assert {"rowkey", "version", "checksum", "contenthash", "deleted", "timemodified"} < tables[table]


def test_it_answers_in_words_that_we_know() -> None:
    outcomes = r"public const (?:STORED|UNCHANGED|DELETED|UNMATCHED|REFUSED) = '(\w+)'"
    words = re.findall(outcomes, source("classes/store.php"))

    assert len(words) == 5
    assert {Outcome(word) for word in words} == set(Outcome) - {Outcome.LEFT_OUT}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_an_example_that_is_json_with_all_that_they_show(path: Path) -> None:
    text = path.read_text()
    (example,) = re.findall(r"Example context \(json\):\n(.*?)\n\}\}", text, re.DOTALL)
    shown = set(re.findall(r"\{\{[#^]?(\w+)\}\}", text.rpartition("\n}}\n")[2])) - {"str"}

    assert shown <= set(re.findall(r'"(\w+)":', json.dumps(json.loads(example))))


@pytest.mark.skipif(not shutil.which("php"), reason="needs PHP")
def test_php_can_parse_every_file() -> None:
    for path in PHP:
        subprocess.run(["php", "-l", path], check=True, capture_output=True)


@pytest.mark.skipif(not shutil.which("phpcs"), reason="needs PHP_CodeSniffer")
def test_the_code_keeps_the_style() -> None:
    done = subprocess.run(["phpcs", "-q"], cwd=PLUGIN.parent, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
