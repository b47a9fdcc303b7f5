"""The package's README: its example runs, and the files that it names are there."""

import re
from pathlib import Path

from bridge import impact

FOLDER = Path(__file__).parents[3] / "bridge" / "impact"
README = (FOLDER / "README.md").read_text()


def test_every_module_is_named_and_every_named_one_is_there():
    named = set(re.findall(r"`(\w+\.py)`", README.split("## The estimate")[0]))
    assert named == {path.name for path in FOLDER.glob("*.py")} - {"__init__.py", "errors.py"}


def test_example_runs():
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    rows = {"person": range(8), "period": [0] * 8, "outcome": [0.5] * 8, "first_treated": [None] * 8}
    start, rest = example.split("win = panel(", 1)
    rest = rest.split("\n", 1)[1]
    names: dict = {}
    exec(start, names)  # noqa: S102 - our own words
    names["win"] = names["time"] = impact.panel(**rows)
    exec(rest, names)  # noqa: S102
    assert names["assessment"].verdict.grade is impact.Grade.NOT_ENOUGH
